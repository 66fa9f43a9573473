"""The database cost of one tick of the re-index and of the index queue, for different numbers of photos.

`python -m benchmarks.reindex_tick [--photos 20000,200000] [--json]`. Photos and their entries in two generations are
in SQLite in a temporary folder; Redis, for the queue, runs on a free port. A tick for a generation
(`generation_feed`) is timed in three cases: with nothing to do and a scan of all photos, which happens every few
minutes; with nothing to do and a scan of recently settled photos, which happens every two seconds; and while a
generation is being filled, with an empty queue each time. Feeding the index queue (`index_queue_feed`) is timed while
all photos wait in one import and one more in another, with a full queue and with an empty one. The last row is each
column's growth from the smallest number of photos to the largest.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import Any

import django

COLUMNS = {"full_scan_ms": "full scan, ms", "tick_ms": "idle tick, ms", "filling_ms": "filling tick, ms"}
COLUMNS |= {"full_queue_ms": "feed a full queue, ms", "empty_queue_ms": "feed an empty queue, ms"}
ROUNDS = 15
ROWS_AT_ONCE = 20_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", default="20000,200000", help="numbers of photos (default 20000,200000)")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    counts = sorted(int(count) for count in options.photos.split(","))
    with tempfile.TemporaryDirectory(prefix="facequeue-bench-") as folder:
        figures = _measure(Path(folder), counts)
    print(json.dumps(figures, indent=2) if options.json else _table(figures))


def _measure(folder: Path, counts: Sequence[int]) -> list[dict[str, float]]:
    from tests.redis_server import redis_server

    with redis_server(folder / "redis") as (url, _process):
        os.environ.update(FACEQUEUE_DATA_DIR=str(folder), REDIS_URL=url, REDIS_CACHE_URL=url)
        os.environ.pop("DATABASE_URL", None)
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.config.settings")
        django.setup()
        from django.core.management import call_command
        from django.db import connection

        call_command("migrate", verbosity=0)
        gallery, generation = _gallery_and_generation()
        figures, present = [], 0
        for count in counts:
            print(f"{count} photos", file=sys.stderr, flush=True)
            _add_photos(gallery, generation, first=present, last=count)
            present = count
            connection.cursor().execute("ANALYZE")
            figures.append({"photos": count, **_ticks(url, generation), **_feeds(url, gallery)})
        connection.close()
    return figures


def _gallery_and_generation() -> tuple[Any, Any]:
    from django.contrib.auth.models import User

    from webapp.gallery.models import Gallery
    from webapp.generations.models import Generation
    from webapp.generations.selectors import active_generation

    active = active_generation()
    Generation.objects.filter(pk=active.pk).update(fingerprint="a" * 64)
    gallery = Gallery.objects.create(owner=User.objects.create(username="ada"), name="everybody")
    return gallery, Generation.objects.create(
        pack="other", fingerprint="b" * 64, dimension=128, collection="faces_other"
    )


def _add_photos(gallery: Any, generation: Any, *, first: int, last: int) -> None:
    """Add photos that were settled long ago, each with an entry in both generations."""
    from django.utils import timezone

    from webapp.gallery.models import Photo
    from webapp.generations.models import Entry
    from webapp.generations.selectors import active_generation

    long_ago = timezone.now() - timedelta(days=1)
    for start in range(first, last, ROWS_AT_ONCE):
        photos = [
            Photo(
                gallery=gallery,
                filename=f"{number}.jpg",
                file=f"{number}.jpg",
                sha256=f"{number:064x}",
                byte_size=1,
                state=Photo.State.INDEXED,
                settled_at=long_ago,
            )
            for number in range(start, min(start + ROWS_AT_ONCE, last))
        ]
        Photo.objects.bulk_create(photos, batch_size=1000)
        for each in (active_generation(), generation):
            entries = [Entry(generation=each, photo=photo, state="indexed", settled_at=long_ago) for photo in photos]
            Entry.objects.bulk_create(entries, batch_size=1000)


def _ticks(url: str, generation: Any) -> dict[str, float]:
    """Return the time of each kind of tick, the median of ROUNDS."""
    from webapp.generations.models import Entry
    from webapp.indexing import filling

    def tick() -> int:
        return filling.generation_feed(generation, ())

    figures = {
        "full_scan_ms": _median_ms(url, tick, lambda: _set(generation, looked_through_at=None)),
        "tick_ms": _median_ms(url, tick, lambda: None),
    }
    half = Entry.objects.filter(generation=generation).order_by("pk").values_list("pk", flat=True)
    forgotten = list(half[: half.count() // 2])
    for start in range(0, len(forgotten), 10_000):
        Entry.objects.filter(pk__in=forgotten[start : start + 10_000]).delete()
    _set(generation, looked_through_at=None)
    figures["filling_ms"] = _median_ms(url, tick, lambda: None)
    _fill(generation)
    return figures


def _feeds(url: str, gallery: Any) -> dict[str, float]:
    """Return the time of feeding the index queue while all photos wait for it, with a full and with an empty queue."""
    from django.contrib.auth.models import User

    from webapp.gallery.models import Gallery, Photo
    from webapp.indexing.feeding import index_queue_feed
    from webapp.jobs.models import Job

    other, _ = User.objects.get_or_create(username="eve")
    small, _ = Gallery.objects.get_or_create(owner=other, name="few")
    jobs = [Job.objects.create(owner=each.owner, gallery=each, total=1, kind="import") for each in (gallery, small)]
    file = {"filename": "1.jpg", "file": "1.jpg", "byte_size": 1}
    Photo.objects.create(gallery=small, sha256="1" * 64, state=Photo.State.PENDING, job=jobs[1], **file)
    gallery.photos.update(state=Photo.State.PENDING, job=jobs[0])
    figures = {"empty_queue_ms": _median_ms(url, index_queue_feed, lambda: None, is_emptied=True)}
    figures["full_queue_ms"] = _median_ms(url, index_queue_feed, lambda: None, is_emptied=False)
    gallery.photos.update(state=Photo.State.INDEXED, job=None, enqueued_at=None)
    small.photos.all().delete()
    Job.objects.all().delete()
    return figures


def _fill(generation: Any) -> None:
    """Give every photo an outcome again."""
    from webapp.generations import selectors
    from webapp.generations.models import Entry

    missing = list(selectors.missing_photos(generation).values_list("pk", flat=True))
    entries = [Entry(generation=generation, photo_id=photo_id) for photo_id in missing]
    Entry.objects.bulk_create(entries, batch_size=1000)
    generation.entries.update(state=Entry.State.INDEXED)


def _median_ms(url: str, tick: Callable[[], object], prepare: Callable[[], None], *, is_emptied: bool = True) -> float:
    import redis

    taken = []
    with redis.Redis.from_url(url) as client:
        for _ in range(ROUNDS + 1):
            if is_emptied:
                client.flushdb()
            prepare()
            began = time.perf_counter()
            tick()
            taken.append((time.perf_counter() - began) * 1000)
    return median(taken[1:])  # the first one opens connections and plans queries


def _set(generation: Any, **values: Any) -> None:
    type(generation).objects.filter(pk=generation.pk).update(**values)


def _table(figures: Sequence[dict[str, float]]) -> str:
    lines = [f"| photos | {' | '.join(COLUMNS.values())} |", "|" + "---|" * (1 + len(COLUMNS))]
    for each in figures:
        lines.append(f"| {each['photos']:,} | " + " | ".join(f"{each[name]:.1f}" for name in COLUMNS) + " |")
    least, most = figures[0], figures[-1]
    growth = " | ".join(f"{most[name] / least[name]:.1f} x" for name in COLUMNS)
    lines.append(f"| {most['photos'] / least['photos']:.0f} x | {growth} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
