"""What the queue adds to a search: the same image searched in-process, through the queue, and over HTTP.

`python -m benchmarks.search_overhead [--searches N] [--json]`. Starts its own Redis, Milvus Lite, web and workers on
free ports and stops them. The ways take turns, so that the machine's noise affects all of them alike; an overhead is
the median of the differences within a turn, a ratio the median of the quotients.

Two more are measured for comparison. One is a task that does nothing, sent and awaited as in Celery's First Steps
tutorial (bare_celery.py) through the same Redis: the minimum cost of a queue. The other is an image that cannot contain
a face, searched in-process and through the queue: it involves next to no work, so its overhead is the cost of our
queue, including the image's trip through redis-cache.
"""

import argparse
import asyncio
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from PIL import Image

from benchmarks.environment import use_folder

Way = Callable[[], Awaitable[None]]

BARE = "bare no-op"
#: Each way, and the one that its overhead and ratio are relative to.
WAYS = {
    BARE: BARE,
    "no face, in-process": "no face, in-process",
    "no face, queue": "no face, in-process",
    "in-process": "in-process",
    "queue": "in-process",
    "http": "in-process",
}
#: What the queue may add: this many times a bare no-op, plus this many milliseconds for the image.
ALLOWED_RATIO, ALLOWED_MS = 1.5, 2.0
WARMUP = 10
STOP_SECONDS = 20.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--searches", type=int, default=200, help="number of turns to measure (default 200)")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="facequeue-bench-") as folder:
        times_ms = _measure(Path(folder), options.searches)
    rows = [_row(way, times_ms) for way in WAYS]
    print(json.dumps(rows, indent=2) if options.json else _table(rows, options.searches))


def _measure(folder: Path, searches: int) -> dict[str, list[float]]:
    """Start the service, index the samples, and return the times of each way in milliseconds."""
    # The in-process engine must have as many threads as the workers', and no search may come from the cache.
    use_folder(folder, OMP_NUM_THREADS="1", LOG_LEVEL="WARNING", ENABLE_CACHING="false")

    from django.conf import settings

    from tests import pictures
    from tests.service import SERVERS, WORKERS, RunningService
    from tests.web_client import WebClient

    with RunningService(folder, processes=[*SERVERS, "web", *WORKERS], ports=settings.PORTS) as service:
        service.create_user()
        alice = WebClient(service.url)
        gallery = alice.create_gallery("bench")
        alice.upload(gallery, pictures.sample_files())
        service.wait_until(lambda: alice.progress(gallery)["pending"] == 0, "the samples are indexed")
        image = pictures.edited_portrait()
        with _bare_worker(settings.REDIS_URL):
            return asyncio.run(_take_turns(alice, gallery, image, searches))


@contextmanager
def _bare_worker(redis_url: str) -> Iterator[None]:
    """Run a plain Celery worker with default settings, and as many threads as a search worker."""
    os.environ["BARE_CELERY_REDIS_URL"] = redis_url
    command = [sys.executable, "-m", "celery", "-A", "benchmarks.bare_celery", "worker", "--loglevel", "warning"]
    process = subprocess.Popen(
        [*command, "--pool", "threads", "--concurrency", "8", "--queues", "bare", "--hostname", "bare@%h"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=STOP_SECONDS)


async def _take_turns(alice: Any, gallery: str, image: bytes, searches: int) -> dict[str, list[float]]:
    import httpx

    from benchmarks.bare_celery import nothing
    from tasks.targets import default_target
    from tasks.web.search_client import SearchClient
    from tasks.worker.state import open_indexes
    from worker.vector_search.config import MonitoringConfig
    from worker.vector_search.monitoring import MetricsCollector

    indexes = open_indexes(MetricsCollector(MonitoringConfig()), role="search")
    index = indexes.index(default_target())
    async with (
        SearchClient() as service,
        httpx.AsyncClient(base_url=alice.http.base_url, cookies=dict(alice.http.cookies), timeout=60) as http,
    ):

        def bare() -> None:
            # SearchClient forbids waiting like this in its process; here it is the reference.
            nothing.delay().get(timeout=60, disable_sync_subtasks=False)

        async def bare_noop() -> None:
            await asyncio.to_thread(bare)

        def in_process(picture: bytes) -> Way:
            async def search() -> None:
                index.search(picture, gallery_ids=(gallery,), limit=10, min_similarity=None)

            return search

        def queue(picture: bytes) -> Way:
            async def search() -> None:
                result = await service.search_faces_in_image(picture, gallery_ids=(gallery,))
                assert result.error is None

            return search

        async def over_http() -> None:
            answer = await http.post(
                f"/api/v1/galleries/{gallery}/searches",
                params={"wait": 30},
                files={"image": ("query.jpg", image)},
                headers=alice.headers,
            )
            assert answer.json()["faces"][0]["matches"]

        assert index.search(image, gallery_ids=(gallery,), limit=10, min_similarity=None).faces[0].matches
        empty = _picture_without_face()
        searches_by_way = (in_process(empty), queue(empty), in_process(image), queue(image))
        ways = dict(zip(WAYS, (bare_noop, *searches_by_way, over_http), strict=True))
        times_ms: dict[str, list[float]] = {way: [] for way in WAYS}
        for turn in range(WARMUP + searches):
            for way, search in ways.items():
                started = time.perf_counter()
                await search()
                if turn >= WARMUP:
                    times_ms[way].append((time.perf_counter() - started) * 1000)
    indexes.close()
    return times_ms


def _picture_without_face() -> bytes:
    """Return a minimal image without a face: plain grey."""
    out = io.BytesIO()
    Image.new("RGB", (16, 16), "grey").save(out, "PNG")
    return out.getvalue()


def _row(way: str, times_ms: dict[str, list[float]]) -> dict[str, Any]:
    cuts = quantiles(times_ms[way], n=100)
    pairs = list(zip(times_ms[way], times_ms[WAYS[way]], strict=True))
    over = quantiles((here - there for here, there in pairs), n=100)
    return {
        "way": way,
        "p50_ms": cuts[49],
        "p95_ms": cuts[94],
        "p99_ms": cuts[98],
        "ratio_p50": median(here / there for here, there in pairs),
        "overhead_p50_ms": over[49],
        "overhead_p99_ms": over[98],
    }


def _table(rows: list[dict[str, Any]], searches: int) -> str:
    lines = [
        f"One search, {searches} turns; ratio and overhead relative to the same work in-process.",
        f"{'way':<20} {'p50 ms':>8} {'p95 ms':>8} {'p99 ms':>8} {'ratio':>7} {'over p50':>9} {'over p99':>9}",
    ]
    lines += [
        f"{row['way']:<20} {row['p50_ms']:>8.1f} {row['p95_ms']:>8.1f} {row['p99_ms']:>8.1f} "
        f"{row['ratio_p50']:>7.2f} {row['overhead_p50_ms']:>9.1f} {row['overhead_p99_ms']:>9.1f}"
        for row in rows
    ]
    by_way = {row["way"]: row for row in rows}
    allowed_ms = ALLOWED_RATIO * by_way[BARE]["p50_ms"] + ALLOWED_MS
    overhead_ms = by_way["no face, queue"]["overhead_p50_ms"]
    lines.append(
        f"The queue adds {overhead_ms:.1f} ms; the limit is {ALLOWED_RATIO:g} bare no-ops plus {ALLOWED_MS:g} ms: "
        f"{allowed_ms:.1f} ms. {'Within the limit.' if overhead_ms <= allowed_ms else 'LIMIT EXCEEDED.'}"
    )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
