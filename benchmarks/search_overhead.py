"""What the queue adds to a search: the same image searched in-process, through the queue, and over HTTP.

`python -m benchmarks.search_overhead [--searches N] [--json]`. Starts its own Redis, Milvus Lite, web and workers on
free ports and stops them. The three ways take turns, so that the machine's noise falls on all of them alike; an
overhead is the median of the differences within a turn, a ratio the median of the quotients.
"""

import argparse
import asyncio
import json
import os
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import django

WAYS = ("in-process", "queue", "http")
WARMUP = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--searches", type=int, default=200, help="turns to measure (default 200)")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="facequeue-bench-") as folder:
        times_ms = _measure(Path(folder), options.searches)
    rows = [_row(way, times_ms) for way in WAYS]
    print(json.dumps(rows, indent=2) if options.json else _table(rows, options.searches))


def _measure(folder: Path, searches: int) -> dict[str, list[float]]:
    """Start the service, index the samples, and return the times of each way in milliseconds."""
    from tests.ports import free_port_block

    # This process and the workers must agree on where things are before Django reads its settings, and the
    # in-process engine must have as many threads as theirs.
    os.environ["FACEQUEUE_DATA_DIR"] = str(folder)
    os.environ["PORT"] = str(free_port_block())
    os.environ["OMP_NUM_THREADS"] = "1"
    os.environ["LOG_LEVEL"] = "WARNING"
    os.environ["ENABLE_CACHING"] = "false"  # the same search again and again would not be one
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.config.settings")
    django.setup()

    from django.conf import settings

    from tests.service import SERVERS, WORKERS, RunningService
    from tests.web_client import WebClient
    from webapp.operations import samples

    with RunningService(folder, processes=[*SERVERS, "web", *WORKERS], ports=settings.PORTS) as service:
        service.create_user()
        alice = WebClient(service.url)
        gallery = alice.create_gallery("bench")
        alice.upload(gallery, {path.name: path.read_bytes() for path in samples.sample_pictures()})
        service.wait_until(lambda: alice.progress(gallery)["pending"] == 0, "the samples are indexed")
        image = samples.portrait_query()
        return asyncio.run(_take_turns(alice, gallery, image, searches))


async def _take_turns(alice: Any, gallery: str, image: bytes, searches: int) -> dict[str, list[float]]:
    import httpx

    from tasks.client import FaceSearchService
    from tasks.lifecycle import open_face_index
    from worker.vector_search.config import MonitoringConfig
    from worker.vector_search.monitoring import MetricsCollector

    index = open_face_index(MetricsCollector(MonitoringConfig()), role="search")
    async with (
        FaceSearchService() as service,
        httpx.AsyncClient(base_url=alice.http.base_url, cookies=dict(alice.http.cookies), timeout=60) as http,
    ):

        async def in_process() -> None:
            answer = index.search(image, gallery_id=gallery, limit=10, min_similarity=None)
            assert answer.faces[0].matches

        async def queue() -> None:
            result = await service.search_faces_in_image(image, gallery_id=gallery)
            assert result.faces[0].matches

        async def over_http() -> None:
            answer = await http.post(
                f"/api/v1/galleries/{gallery}/searches",
                params={"wait": 30},
                files={"image": ("query.jpg", image)},
                headers=alice.headers,
            )
            assert answer.json()["faces"][0]["matches"]

        ways: dict[str, Callable[[], Awaitable[None]]] = dict(zip(WAYS, (in_process, queue, over_http), strict=True))
        times_ms: dict[str, list[float]] = {way: [] for way in WAYS}
        for turn in range(WARMUP + searches):
            for way, search in ways.items():
                started = time.perf_counter()
                await search()
                if turn >= WARMUP:
                    times_ms[way].append((time.perf_counter() - started) * 1000)
    index.close()
    return times_ms


def _row(way: str, times_ms: dict[str, list[float]]) -> dict[str, Any]:
    cuts = quantiles(times_ms[way], n=100)
    pairs = list(zip(times_ms[way], times_ms["in-process"], strict=True))
    return {
        "way": way,
        "p50_ms": cuts[49],
        "p95_ms": cuts[94],
        "p99_ms": cuts[98],
        "ratio_p50": median(here / there for here, there in pairs),
        "overhead_p50_ms": median(here - there for here, there in pairs),
    }


def _table(rows: list[dict[str, Any]], searches: int) -> str:
    lines = [
        f"One search, {searches} turns; ratio and overhead against the same work in-process.",
        f"{'way':<12} {'p50 ms':>8} {'p95 ms':>8} {'p99 ms':>8} {'ratio':>7} {'overhead p50 ms':>16}",
    ]
    lines += [
        f"{row['way']:<12} {row['p50_ms']:>8.1f} {row['p95_ms']:>8.1f} {row['p99_ms']:>8.1f} "
        f"{row['ratio_p50']:>7.2f} {row['overhead_p50_ms']:>16.1f}"
        for row in rows
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
