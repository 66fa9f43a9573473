"""The model is changed while people search, upload and delete, and while processes are killed: nobody notices."""

import json
import sqlite3
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import cv2
import pytest
from pymilvus import MilvusClient

from tests import packs, pictures
from tests.service import EVERYTHING, RunningService
from tests.waiting import HANG_SECONDS, PATIENCE_SECONDS, eventually
from tests.web_client import WebClient
from worker.canary import CANARY_GALLERY_ID

pytestmark = [pytest.mark.services, pytest.mark.acceptance]

#: The other pack has the same detector and embeddings of another dimension.
OLD, NEW = "dlib", "wide"
#: Where their faces are, with some air around: picture, left, top, right, bottom.
PEOPLE = {
    "Ellen": ("astronaut", 140, 30, 310, 200),
    "Tom": ("tom_hanks", 0, 0, 112, 112),
    "Ann": ("six_people", 22, 233, 215, 426),
    "Bob": ("six_people", 1087, 246, 1261, 427),
}
SIDE_PIXELS = 150
#: A search is sent each so long after the one before, or as soon as that one is answered.
SEARCH_INTERVAL_SECONDS = 0.5
ENVIRONMENT = {
    "INDEX_LEASE_SECONDS": "15",
    "VISIBILITY_TIMEOUT_SECONDS": "20",
    "INDEX_CHUNK_SIZE": "4",
    "CANARY_INTERVAL": "5",
    "ENABLE_CACHING": "false",  # the same search again and again would not be one
}


def photo_of(name: str, number: int) -> bytes:
    """Return a photo of the person: each a little different, and different bytes."""
    picture, left, top, right, bottom = PEOPLE[name]
    face = pictures.sample(picture)[top:bottom, left:right]
    face = cv2.resize(face, (SIDE_PIXELS, SIDE_PIXELS), interpolation=cv2.INTER_AREA)
    varied = pictures.varied(face, degrees=number % 5 - 2, light=1 - number % 4 * 0.05)
    return pictures.saved(varied, "JPEG", quality=75 + number % 20) + f"{name} {number}".encode()


def photos(count: int, *, first: int = 0) -> dict[str, bytes]:
    names = [*PEOPLE]
    return {
        f"{names[number % len(names)]}-{number:04}.jpg": photo_of(names[number % len(names)], number)
        for number in range(first, first + count)
    }


@dataclass
class Searches:
    """Somebody who searches at a constant rate from `with` on, and looks at each answer."""

    url: str
    gallery: str
    answered: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join(timeout=PATIENCE_SECONDS)

    def _run(self) -> None:
        alice = WebClient(self.url)
        number = 0
        due = time.monotonic()
        while not self._stopping.wait(max(0.0, due - time.monotonic())):
            due = max(due + SEARCH_INTERVAL_SECONDS, time.monotonic())
            name = [*PEOPLE][number % len(PEOPLE)]
            number += 1
            try:
                self._search(alice, name, number)
            except Exception as error:  # whatever it is, the search has failed
                self.wrong.append(f"{name}: {error!r}")
        alice.close()

    def _search(self, alice: WebClient, name: str, number: int) -> None:
        answer = alice.search(self.gallery, photo_of(name, number), limit=20)
        if answer.status_code != 200:
            self.wrong.append(f"{name}: {answer.status_code} {answer.text}")
            return
        matches = [match for face in answer.json()["faces"] for match in face["matches"]]
        others = {match["photo"] for match in matches if not match["photo"].startswith(name)}
        if others or not matches:
            self.wrong.append(f"{name}: {len(matches)} matches, others: {sorted(others)}")
        self.answered[name] += 1


class Site:
    """The service with workers of both packs, and what stands in its database and in Milvus."""

    def __init__(self, service: RunningService) -> None:
        self.service = service
        self.alice = WebClient(service.url)

    def reindex(self, *arguments: str) -> Any:
        return json.loads(self.service.manage("reindex", *arguments, "--json").stdout)

    def generations(self) -> dict[str, dict[str, Any]]:
        """Generations by pack, from the database."""
        with self._database() as database:
            columns = "id, pack, state, collection"
            rows = database.execute(f"SELECT {columns} FROM generations_generation").fetchall()
        return {pack: {"id": id_, "state": state, "collection": name} for id_, pack, state, name in rows}

    def faces(self, pack: str) -> tuple[set[str], list[str]]:
        """Return the ids of the generation's faces: those of the database, and those of Milvus."""
        generation = self.generations()[pack]
        query = "SELECT face_id FROM gallery_face_generations WHERE generation_id = ?"
        with self._database() as database:
            rows = {str(uuid.UUID(row)) for (row,) in database.execute(query, [generation["id"]])}
        client = MilvusClient(self.service.milvus_uri)
        try:
            client.load_collection(generation["collection"])
            of_users = f'gallery_id != "{CANARY_GALLERY_ID}"'
            found = client.query(generation["collection"], filter=of_users, output_fields=["face_id"], limit=16384)
        finally:
            client.close()
        return rows, [row["face_id"] for row in found]

    def wait_until_same(self, pack: str) -> set[str]:
        """Wait until the database and Milvus agree on the generation's faces; return them."""

        def same() -> bool:
            rows, found = self.faces(pack)
            return len(found) == len(rows) and set(found) == rows

        self.wait(same, f"the faces of {pack} are the same in the database and in Milvus")
        return self.faces(pack)[0]

    def faces_of(self, photo_id: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.alice.get(f"/photos/{photo_id}")["faces"]
        return found

    def name(self, face_id: str, name: str) -> None:
        answer = self.alice.http.put(f"/api/v1/faces/{face_id}/person", json={"name": name}, headers=self.alice.headers)
        assert answer.status_code == 200, answer.text

    def names(self) -> dict[str, str]:
        """Return who each named face is, from the database."""
        query = "SELECT f.id, p.name FROM gallery_face f JOIN people_person p ON p.id = f.person_id"
        with self._database() as database:
            return {str(uuid.UUID(face_id)): name for face_id, name in database.execute(query)}

    def is_active(self, pack: str) -> bool:
        return self.generations()[pack]["state"] == "active"

    def is_ready(self, pack: str) -> bool:
        return self.generations()[pack]["state"] == "ready"

    def wait(self, condition: Any, what: str) -> None:
        eventually(
            condition, what, progress=self.service.progress, is_working=self.service.is_working, details=self._state
        )

    def _state(self) -> str:
        status = self.service.manage("reindex", "status", check=False).stdout
        return status + "\n".join(_trouble(path) for path in sorted(self.service.folder.glob("*.log")))

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self.service.folder / "db.sqlite3", timeout=20)) as connection:
            yield connection


def _trouble(log: Path) -> str:
    """Return the log's warnings and errors, and its last lines."""
    lines = log.read_text(errors="replace").splitlines()
    trouble = [line for line in lines if " WARNING " in line or " ERROR " in line]
    return "\n".join([f"--- {log.name}", *trouble[-20:], "...", *lines[-5:]])


def packs_with_the_new_one(folder: Path) -> Path:
    """Return the folder, in which both packs now are."""
    folder.mkdir()
    (folder / OLD).symlink_to(packs.PACKS_DIR / OLD)
    packs.make_wide_pack(folder / NEW)
    return folder


@pytest.mark.parametrize(
    "count",
    [
        pytest.param(48, id="48 photos", marks=pytest.mark.timeout(HANG_SECONDS)),
        pytest.param(1000, id="1000 photos", marks=[pytest.mark.long, pytest.mark.timeout(3600)]),
    ],
)
def test_another_pack_takes_over(tmp_path: Path, count: int) -> None:
    both = packs_with_the_new_one(tmp_path / "packs")
    environment = ENVIRONMENT | {"FACE_PACKS_DIR": str(both)}
    with RunningService(tmp_path, processes=EVERYTHING, environment=environment) as service:
        service.create_user()
        service.wait_until_healthy()
        site = Site(service)
        alice = site.alice
        gallery = alice.create_gallery("everybody")
        uploaded = photos(count)
        for start in range(0, count, 100):
            alice.upload(gallery, dict(list(uploaded.items())[start : start + 100]))
        site.wait(lambda: alice.progress(gallery)["indexed"] == count, "every photo is indexed")
        rows = alice.photos(gallery)
        named = {}
        for filename in list(rows)[:20]:
            [face] = site.faces_of(rows[filename]["id"])
            named[face["id"]] = filename.partition("-")[0]
            site.name(face["id"], named[face["id"]])

        with Searches(service.url, gallery) as searches:
            started = site.reindex("start", "--pack", NEW)
            assert started["state"] == "building", started
            for name in ("worker-search", "worker-index", "worker-reindex"):
                service.start(name, label=f"{name} of the new pack", environment={"FACE_PACK": NEW, "PACK_NAME": NEW})
            site.wait(lambda: len(site.faces(NEW)[0]) > count // 10 if _exists(site) else False, "it is being filled")

            # In the middle: new photos, deletions, and two processes that die.
            service.kill("worker-reindex of the new pack")
            service.kill("beat")
            more = photos(8, first=count)
            alice.upload(gallery, more)
            erased = [rows[filename]["id"] for filename in list(rows)[20:28]]
            for photo_id in erased:
                alice.delete_photo(photo_id)
            service.start("beat")
            service.start(
                "worker-reindex",
                label="worker-reindex of the new pack",
                environment={"FACE_PACK": NEW, "PACK_NAME": NEW},
            )
            site.wait(lambda: site.is_ready(NEW), "every gate is open")
            expected = count + len(more) - len(erased)
            # What was uploaded a moment ago follows by itself: no gate waits for it.
            site.wait(
                lambda: all(len(site.faces(pack)[0]) == expected for pack in (OLD, NEW)),
                "what was uploaded has followed",
            )
            before = {pack: site.wait_until_same(pack) for pack in (OLD, NEW)}

            site.reindex("activate")
            assert site.is_active(NEW)
            time.sleep(5)
            site.reindex("rollback")
            assert site.is_active(OLD)
            time.sleep(5)
            site.reindex("rollback")
            assert site.is_active(NEW)
            later = photos(4, first=count + 100)
            alice.upload(gallery, later)
            site.wait(lambda: set(later) <= _indexed(alice, gallery), "what was uploaded afterwards is indexed")
            old = site.generations()[OLD]
            site.reindex("drop", str(old["id"]))
            site.wait(lambda: OLD not in site.generations(), "the old generation is gone")
            time.sleep(3)

        assert not searches.wrong, searches.wrong
        assert all(searches.answered[name] >= 3 for name in PEOPLE), searches.answered
        assert site.names() == named, "no name is lost"
        everything = {photo["id"] for photo in alice.photos(gallery).values()}
        assert len(everything) == count + len(more) + len(later) - len(erased)
        for pack, faces in before.items():
            assert len(faces) == expected, f"{pack} had every photo, and none that was erased"
        assert before[OLD] == before[NEW], "faces keep their ids"
        assert len(site.wait_until_same(NEW)) == len(everything)
        with closing_client(service.milvus_uri) as client:
            assert not client.has_collection(old["collection"])
        print(f"{count} photos: searches {dict(searches.answered)}, none wrong")


def _exists(site: Site) -> bool:
    client = MilvusClient(site.service.milvus_uri)
    try:
        return NEW in site.generations() and client.has_collection(site.generations()[NEW]["collection"])
    finally:
        client.close()


def _indexed(alice: WebClient, gallery: str) -> set[str]:
    return {name for name, photo in alice.photos(gallery).items() if photo["state"] == "indexed"}


@contextmanager
def closing_client(uri: str) -> Iterator[MilvusClient]:
    client = MilvusClient(uri)
    try:
        yield client
    finally:
        client.close()
