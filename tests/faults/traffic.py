"""People who use the service while something breaks: they upload, search, look at pages, and note what they got."""

import io
import math
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Self

import httpx
from PIL import Image

from tests import pictures
from tests.faults.invariants import FINAL, photo_states
from tests.service import RunningService
from tests.waiting import PATIENCE_SECONDS, eventually
from tests.web_client import WebClient

#: Photos in one upload, and the pause after it: an import that goes on while the fault happens.
BATCH = 4
UPLOAD_PAUSE_SECONDS = 0.2
#: What a search may be told while something is broken. Never `internal`, and never nothing.
HONEST = frozenset(
    {"queue_unavailable", "busy", "store_unavailable", "store_timeout", "search_expired", "query_image_gone"}
    | {"database_unavailable", "no_answer", "model_stopped", "collection_not_loaded"}
)
#: The longest that a page may take while something is broken: a bound for a slow machine, not a promise.
PAGE_BOUND_SECONDS = 15.0


def portraits(count: int, *, of: str) -> dict[str, bytes]:
    """Return photos that all hold a face and all differ, from those `of` another name too."""
    portrait = Image.open(pictures.sample_file("astronaut")).convert("RGB").crop((100, 0, 400, 300))
    found = {}
    for number in range(count):
        out = io.BytesIO()
        portrait.rotate(number % 7 - 3).save(out, format="JPEG", quality=60 + number % 30)
        found[f"{of}-{number:03}.jpg"] = out.getvalue() + f"{of} {number}".encode()
    return found


def wait_until_searchable(service: RunningService, gallery: str) -> None:
    """Wait until a search is answered with matches: after a fault everything works again."""
    alice = WebClient(service.url)
    try:
        eventually(lambda: _finds(alice, gallery), "a search is answered")
    finally:
        alice.close()


def _finds(alice: WebClient, gallery: str) -> bool:
    answer = alice.search(gallery, pictures.edited_portrait(), wait_seconds=8)
    return answer.status_code == 200 and bool(answer.json()["faces"][0]["matches"])


@dataclass
class Traffic:
    """Goes on from `with` on, until it is left; then every search is waited for."""

    service: RunningService
    name: str
    photos: int = 40
    #: Connections to the web may break: it is what the fault is about.
    web_may_break: bool = False
    accepted: int = 0
    searches: Counter[str] = field(default_factory=Counter)
    page_seconds: list[float] = field(default_factory=list)
    surprises: list[str] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._stopping = threading.Event()
        self._before = self._final_photos()
        self._alice = WebClient(self.service.url)
        self.gallery = self._alice.create_gallery(self.name)
        jobs = (self._upload, self._search, self._look_at_pages, self._watch_states)
        self._threads = [threading.Thread(target=self._guarded, args=[job], daemon=True) for job in jobs]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(timeout=PATIENCE_SECONDS)
        self._alice.close()

    def wait_for_the_import(self) -> None:
        """Return when the first photos of many are final."""
        eventually(lambda: self._failed() or self._final_photos() > self._before, "the import has begun")
        assert not self.surprises, self.surprises
        assert self._final_photos() < self._before + self.photos, "the import was over too soon"

    def wait_for_every_photo(self) -> None:
        last = self._before + self.photos
        eventually(
            lambda: self._failed() or self._final_photos() >= last,
            "every photo is final",
            progress=lambda: (self.accepted, self._final_photos()),
            is_working=self.service.is_working,
        )
        assert not self.surprises, self.surprises

    def _failed(self) -> bool:
        return bool(self.surprises)

    def _final_photos(self) -> int:
        return sum(state in FINAL for state in photo_states(self.service).values())

    @property
    def page_p99_seconds(self) -> float:
        ordered = sorted(self.page_seconds)
        return ordered[math.ceil(len(ordered) * 0.99) - 1]

    def check(self, fault: str, recovery_seconds: float) -> None:
        """Assert what must hold of all that was asked and answered; print the figures."""
        print(
            f"{fault}: whole again after {recovery_seconds:.1f} s; pages p99 {self.page_p99_seconds:.2f} s "
            f"of {len(self.page_seconds)}; searches {dict(self.searches)}"
        )
        assert not self.surprises, self.surprises
        assert self.accepted == self.photos
        assert set(self.searches) <= HONEST | {"answered"} | ({"broken"} if self.web_may_break else set())
        assert self.page_p99_seconds < PAGE_BOUND_SECONDS

    def _guarded(self, job) -> None:
        try:
            job()
        except BaseException as error:
            self.surprises.append(f"{job.__name__}: {error!r}")
            raise

    def _upload(self) -> None:
        """Upload all photos; what a broken connection leaves in doubt is uploaded again: content is added once."""
        left = list(portraits(self.photos, of=self.name).items())
        while left and not self._stopping.is_set():
            batch = dict(left[:BATCH])
            try:
                results = self._alice.upload(self.gallery, batch)
            except httpx.TransportError:
                if not self.web_may_break:
                    raise
                time.sleep(0.5)
                continue
            assert {result["result"] for result in results} <= {"added", "already_there"}, results
            self.accepted += len(batch)
            del left[: len(batch)]
            time.sleep(UPLOAD_PAUSE_SECONDS)

    def _search(self) -> None:
        number = 0
        query = pictures.edited_portrait()
        while not self._stopping.is_set():
            number += 1
            # Another picture each time, so that no cached answer hides the fault.
            self.searches[self._outcome(query + str(number).encode())] += 1
            time.sleep(0.2)

    def _outcome(self, image: bytes) -> str:
        """Search, and poll until the search is answered or has expired. Return what it was told."""
        try:
            answer = self._alice.search(self.gallery, image, wait_seconds=8)
            deadline = time.monotonic() + PATIENCE_SECONDS
            while answer.status_code == 202:
                assert time.monotonic() < deadline, "a search was neither answered nor did it expire"
                answer = self._alice.http.get(f"/api/v1/searches/{answer.json()['ticket']}", params={"wait": 8})
        except httpx.TransportError:
            if not self.web_may_break:
                raise
            time.sleep(0.5)
            return "broken"
        if answer.status_code == 200:
            return "answered"
        code: str = answer.json()["code"]
        if code not in HONEST:
            self.surprises.append(f"{answer.status_code} {answer.text}")
        return code

    def _look_at_pages(self) -> None:
        """Look at a page that needs the database and no search."""
        with httpx.Client(base_url=self.service.url, cookies=dict(self._alice.http.cookies), timeout=60) as browser:
            while not self._stopping.is_set():
                started = time.monotonic()
                try:
                    page = browser.get("/")
                    assert page.status_code == 200, page.text
                    self.page_seconds.append(time.monotonic() - started)
                except httpx.TransportError:
                    if not self.web_may_break:
                        raise
                time.sleep(0.1)

    def _watch_states(self) -> None:
        """A photo becomes final once: it never leaves a final state again."""
        before: dict[str, str] = {}
        while not self._stopping.is_set():
            now = photo_states(self.service)
            for photo, state in before.items():
                if state in FINAL and now.get(photo) != state:
                    self.surprises.append(f"photo {photo} went from {state} to {now.get(photo)}")
            before = now
            time.sleep(0.1)
