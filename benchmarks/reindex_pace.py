"""How a re-index affects searches, at the rate that it chooses.

`python -m benchmarks.reindex_pace [--photos N] [--seconds S] [--turns T] [--json]`. Starts the whole service on free
ports in a temporary folder, with a worker for the other pack, and stops it. Searches are sent at a constant rate, a
share of the service's capacity, however long the previous one takes. Meanwhile the re-index is paused and resumed in
turns, so that the machine's noise affects both alike. The time between turns, while the last photos are processed,
counts for neither. Exits with 1 if the 95th percentile of the searches rises by more than ALLOWED_RATIO, if that of the
quiet turns varies by as much, which makes the result inconclusive, or if a search fails.
"""

import argparse
import asyncio
import itertools
import json
import logging
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import quantiles
from typing import Any, NamedTuple, Self

import httpx

from benchmarks.environment import use_folder

OTHER_PACK = "dlib-plain"
#: How much longer searches may take (p95) during a re-index.
ALLOWED_RATIO = 1.5
#: The rate of searches, as a share of what the service can answer when it does nothing else.
LOAD = 0.35
CAPACITY_SECONDS = 15.0
#: Concurrent searches to measure the capacity: more than there are cores.
CALLERS = 4
UPLOADED_AT_ONCE = 100
#: Between the last photo of a turn and the next measurement.
SETTLE_SECONDS = 3.0
PATIENCE_SECONDS = 900.0
#: The kinds of turns, and whether the re-index runs in them.
KINDS = (("quiet", False), ("re-index", True))


class Search(NamedTuple):
    """One search: when it was due (time.monotonic()), how long it took from then, and whether the answer was right."""

    at: float
    ms: float
    is_answered: bool


class Turn(NamedTuple):
    """Start and end (time.monotonic()), and what a busy turn did.

    `photos` got an outcome in the other generation; `chosen_rate` is the rate at its end, in photos per second.
    """

    is_busy: bool
    begun: float
    ended: float
    photos: int = 0
    chosen_rate: float | None = None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=1200, help="maximum photos to re-index (default 1200)")
    parser.add_argument("--seconds", type=float, default=60.0, help="duration of a turn (default 60)")
    parser.add_argument("--turns", type=int, default=3, help="turns with the re-index, and as many without (default 3)")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="facequeue-bench-") as folder:
        searches, turns = _measure(Path(folder), options.photos, options.seconds, options.turns)
    summary = _summary(searches, turns)
    print(json.dumps(summary, indent=2) if options.json else _table(summary, searches, turns))
    sys.exit(not (summary["within_limit"] and summary["is_conclusive"]))


def _measure(folder: Path, photos: int, seconds: float, turns: int) -> tuple[list[Search], list[Turn]]:
    """Return every search that was sent, and the turns."""
    use_folder(folder)
    logging.getLogger("httpx").setLevel(logging.WARNING)

    from django.conf import settings

    from tests.service import EVERYTHING, RunningService
    from tests.web_client import WebClient

    environment = {"ENABLE_CACHING": "false", "LOG_LEVEL": "WARNING"}  # repeated searches must not come from the cache
    with RunningService(folder, processes=EVERYTHING, ports=settings.PORTS, environment=environment) as service:
        service.create_user()
        service.start(
            "worker-reindex",
            label="worker-reindex of the other pack",
            environment={"FACE_PACK": OTHER_PACK, "PACK_NAME": OTHER_PACK},
        )
        service.wait_until_healthy()
        alice = WebClient(service.url)
        try:
            gallery = _import(service, alice, photos)
            with _Searches(alice, gallery) as searches:
                taken = _take_turns(seconds, turns)
            return searches.seen, taken
        finally:
            alice.close()


def _import(service: Any, alice: Any, photos: int) -> str:
    from tests.faults.traffic import portraits

    gallery: str = alice.create_gallery("people")
    pictures = list(portraits(photos, of="people").items())
    for start in range(0, photos, UPLOADED_AT_ONCE):
        alice.upload(gallery, dict(pictures[start : start + UPLOADED_AT_ONCE]))
    service.wait_until(lambda: alice.progress(gallery)["indexed"] == photos, "every photo is indexed")
    return gallery


def _take_turns(seconds: float, turns: int) -> list[Turn]:
    from webapp.generations import selectors, services

    def done() -> int:
        return selectors.progress_of(generation).done

    actor = "benchmark"
    taken = [_turn(seconds)]
    generation = services.generation_start(actor=actor, pack=OTHER_PACK)
    total, before = selectors.progress_of(generation).total, 0
    while True:
        busy = _turn(seconds, until=lambda: done() == total)
        services.generation_pause(generation=generation, actor=actor, is_paused=True)
        photos = done() - before
        _wait_until_at_rest(generation)
        generation.refresh_from_db()
        taken.append(busy._replace(is_busy=True, photos=photos, chosen_rate=generation.chosen_rate))
        before = done()
        if len(taken) == 2 * turns or before == total:
            return taken
        time.sleep(SETTLE_SECONDS)
        taken.append(_turn(seconds))
        services.generation_pause(generation=generation, actor=actor, is_paused=False)


def _turn(seconds: float, *, until: Callable[[], bool] = lambda: False) -> Turn:
    """Wait for the given time, or until a condition holds."""
    begun = time.monotonic()
    while time.monotonic() - begun < seconds and not until():
        time.sleep(1)
    return Turn(is_busy=False, begun=begun, ended=time.monotonic())


def _wait_until_at_rest(generation: Any) -> None:
    """Wait for the outcomes of the photos that were sent."""
    from webapp.generations.models import Entry

    deadline = time.monotonic() + PATIENCE_SECONDS
    while generation.entries.filter(state=Entry.State.PENDING, enqueued_at__isnull=False).exists():
        if time.monotonic() > deadline:
            raise RuntimeError("The photos that were sent have no outcome.")
        time.sleep(0.5)


class _Searches:
    """Searches at a constant rate inside the `with` block, in a background thread."""

    def __init__(self, alice: Any, gallery: str) -> None:
        from tests import pictures

        self._image = pictures.edited_portrait()
        self._path = f"/api/v1/galleries/{gallery}/searches"
        self._headers = alice.headers
        self._open = {"base_url": alice.http.base_url, "cookies": dict(alice.http.cookies), "timeout": 60}
        #: Complete once the `with` block has ended.
        self.seen: list[Search] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._send()), daemon=True)
        self._rate = LOAD * asyncio.run(self._capacity())

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    async def _capacity(self) -> float:
        """Return how many searches are answered per second while CALLERS search continuously."""
        async with httpx.AsyncClient(**self._open) as http:
            await self._search(http, time.monotonic())
            begun = time.monotonic()
            answers = await asyncio.gather(*(self._call(http, begun + CAPACITY_SECONDS) for _ in range(CALLERS)))
            return sum(answers) / (time.monotonic() - begun)

    async def _call(self, http: httpx.AsyncClient, end: float) -> int:
        answers = 0
        while time.monotonic() < end:
            await self._search(http, time.monotonic())
            answers += 1
        return answers

    async def _send(self) -> None:
        begun = time.monotonic()
        async with httpx.AsyncClient(**self._open) as http, asyncio.TaskGroup() as under_way:
            for number in itertools.count():
                at = begun + number / self._rate
                await asyncio.sleep(at - time.monotonic())
                if self._stopping.is_set():
                    return
                under_way.create_task(self._note(http, at))

    async def _note(self, http: httpx.AsyncClient, at: float) -> None:
        try:
            is_answered = await self._search(http, at)
        except httpx.HTTPError:
            is_answered = False
        self.seen.append(Search(at, (time.monotonic() - at) * 1000, is_answered))

    async def _search(self, http: httpx.AsyncClient, at: float) -> bool:
        """Search; return whether the person was found."""
        picture = self._image + str(at).encode()
        answer = await http.post(self._path, params={"wait": 30}, files={"image": picture}, headers=self._headers)
        return answer.status_code == 200 and any(face["matches"] for face in answer.json()["faces"])


def _summary(searches: Sequence[Search], turns: Sequence[Turn]) -> dict[str, Any]:
    quiet = [_kind([turn], searches) for turn in turns if not turn.is_busy]
    kinds = {name: _kind([turn for turn in turns if turn.is_busy == is_busy], searches) for name, is_busy in KINDS}
    ratios = {f"{p}_ratio": kinds["re-index"][f"{p}_ms"] / kinds["quiet"][f"{p}_ms"] for p in ("p50", "p95", "p99")}
    failed = sum(not search.is_answered for search in searches)
    # The variation that the machine's other work alone causes.
    spread = max(each["p95_ms"] for each in quiet) / min(each["p95_ms"] for each in quiet)
    return {
        **kinds,
        **ratios,
        "failed": failed,
        "quiet_spread": spread,
        "is_conclusive": spread <= ALLOWED_RATIO,
        "within_limit": ratios["p95_ratio"] <= ALLOWED_RATIO and not failed,
        "chosen_rates": [turn.chosen_rate for turn in turns if turn.is_busy],
        "load_average": os.getloadavg()[0],
    }


def _kind(turns: Sequence[Turn], searches: Sequence[Search]) -> dict[str, Any]:
    """Return the times of the searches that were sent in these turns."""
    took = [each.ms for turn in turns for each in searches if turn.begun <= each.at < turn.ended]
    cuts = quantiles(took, n=100, method="inclusive")
    return {
        "searches": len(took),
        "seconds": sum(turn.ended - turn.begun for turn in turns),
        "photos": sum(turn.photos for turn in turns),
        "p50_ms": cuts[49],
        "p95_ms": cuts[94],
        "p99_ms": cuts[98],
    }


def _table(summary: dict[str, Any], searches: Sequence[Search], turns: Sequence[Turn]) -> str:
    sent = summary["quiet"]["searches"] / summary["quiet"]["seconds"]
    lines = [
        f"{sent:.1f} searches per second, {LOAD:.0%} of the service's capacity; "
        f"load average {summary['load_average']:.1f}.",
        f"{'turn':<12} {'seconds':>8} {'searches':>9} {'p50 ms':>8} {'p95 ms':>8} {'p99 ms':>8} "
        f"{'photos/s':>9} {'chosen/s':>9}",
    ]
    for turn in turns:
        lines.append(_line("re-index" if turn.is_busy else "quiet", _kind([turn], searches), turn.chosen_rate))
    lines += [_line(f"all {name}", summary[name], None) for name, _ in KINDS]
    lines.append(
        f"Without the re-index, p95 varied by a factor of {summary['quiet_spread']:.2f} between turns"
        f"{'.' if summary['is_conclusive'] else ': the machine is too busy for a conclusive result.'}"
    )
    lines.append(
        f"During the re-index, searches take {summary['p50_ratio']:.2f} (p50), {summary['p95_ratio']:.2f} (p95) and "
        f"{summary['p99_ratio']:.2f} (p99) times as long; the limit is {ALLOWED_RATIO:g} (p95). "
        f"{summary['failed']} searches failed. {_verdict(summary)}"
    )
    return "\n".join(lines)


def _verdict(summary: dict[str, Any]) -> str:
    if not summary["is_conclusive"]:
        return "INCONCLUSIVE."
    return "Within the limit." if summary["within_limit"] else "LIMIT EXCEEDED."


def _line(name: str, kind: dict[str, Any], chosen_rate: float | None) -> str:
    figures = f"{kind['p50_ms']:>8.0f} {kind['p95_ms']:>8.0f} {kind['p99_ms']:>8.0f}"
    chosen = f"{chosen_rate:>9.2f}" if chosen_rate is not None else f"{'':>9}"
    photos = f"{kind['photos'] / kind['seconds']:>9.2f}" if kind["photos"] else f"{'':>9}"
    return f"{name:<12} {kind['seconds']:>8.0f} {kind['searches']:>9} {figures} {photos} {chosen}".rstrip()


if __name__ == "__main__":
    main()
