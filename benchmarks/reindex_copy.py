"""How fast a generation is copied when only its index settings change, compared with raw inserts of the same rows.

`python -m benchmarks.reindex_copy [--rows 100000] [--servers lite,milvus] [--json]`. Starts its own servers on free
ports and stops them. The source is a collection with two faces per photo and a built index. In turns, a bare
`MilvusClient` inserts the rows of two chunks, a thousand per call, into one collection, and `copy_faces` copies the
same two chunks into another, both at once, as a re-index worker with two threads does. All three collections have the
same schema and index. Copying may take twice as long as inserting.
"""

import argparse
import json
import os
import sys
import tempfile
import time
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
from pymilvus import MilvusClient

from benchmarks.vector_search import wait_for_index
from benchmarks.vectors import DIMENSION, clustered_faces
from tests.servers import embedded_milvus, milvus_server
from worker.vector_search.config import CollectionConfig, MilvusConfig, PerformanceConfig
from worker.vector_search.copying import COPY_CHUNK_PHOTOS, copy_faces
from worker.vector_search.core import VectorSearchService

#: The share of the raw rate that copying must reach.
LEAST_RATIO = 0.5

GALLERY = str(uuid.UUID(int=1))
FACES_PER_PHOTO = 2
THREADS = 2
PERFORMANCE = PerformanceConfig(insert_timeout_seconds=300)

Row = dict[str, object]


@dataclass(frozen=True, slots=True)
class Turn:
    """The rows of one turn, and the seconds that each way took."""

    rows: int
    raw_seconds: float
    copy_seconds: float


def main() -> None:
    options = _options()
    # The servers' binaries are unpacked once per machine, to the same place as for the tests.
    os.environ.setdefault("FACEQUEUE_DATA_DIR", str(Path("var").absolute()))
    rows = _rows(options.rows)
    start = {"lite": embedded_milvus, "milvus": milvus_server}
    figures = []
    for server in options.servers:
        with (
            tempfile.TemporaryDirectory(prefix="facequeue-bench-") as folder,
            start[server](Path(folder)) as (uri, _process),
        ):
            figures.append(_figures(server, _measure(uri, rows)))
    print(json.dumps(figures, indent=2) if options.json else _table(figures))


def _measure(uri: str, rows: list[Row]) -> list[Turn]:
    """Return the turns; raise AssertionError if the copies differ in number from the inserted rows."""
    with (
        closing(MilvusClient(uri)) as bare,
        closing(_store(uri, "source")) as source,
        closing(_store(uri, "raw")) as raw,
        closing(_store(uri, "copy")) as target,
    ):
        _say(f"{len(rows)} rows into the source")
        _insert(bare, "source", rows)
        wait_for_index(bare, "source")
        chunk = COPY_CHUNK_PHOTOS * FACES_PER_PHOTO
        turns = []
        for start in range(0, len(rows), THREADS * chunk):
            of_turn = rows[start : start + THREADS * chunk]
            chunks = [of_turn[at : at + chunk] for at in range(0, len(of_turn), chunk)]
            began = time.perf_counter()
            _insert(bare, "raw", of_turn)
            inserted = time.perf_counter()
            with ThreadPoolExecutor(THREADS) as threads:
                copied = sum(threads.map(lambda each: _copy(source, target, each), chunks))
            turns.append(Turn(rows=copied, raw_seconds=inserted - began, copy_seconds=time.perf_counter() - inserted))
            _say(f"{turns[-1]}")
        assert target.count() == raw.count() == len(rows)
        return turns


def _insert(bare: MilvusClient, collection: str, rows: Sequence[Row]) -> None:
    for start in range(0, len(rows), PERFORMANCE.batch_size):
        bare.insert(collection, rows[start : start + PERFORMANCE.batch_size])


def _copy(source: VectorSearchService, target: VectorSearchService, chunk: Sequence[Row]) -> int:
    first, last = str(chunk[0]["photo_id"]), str(chunk[-1]["photo_id"])
    return copy_faces(source, target, gallery_id=GALLERY, first=first, last=last)


def _store(uri: str, name: str) -> VectorSearchService:
    store = VectorSearchService(
        milvus=MilvusConfig(uri=uri, timeout_seconds=300),
        collection=CollectionConfig(name=name),
        performance=PERFORMANCE,
        dimension=DIMENSION,
        fingerprint="b" * 64,
    )
    store.open()
    return store


def _rows(count: int) -> list[Row]:
    """Return rows ordered by photo id, with random ids as in the real service."""
    generator = np.random.default_rng(0)
    photo_ids = sorted(_ids(count // FACES_PER_PHOTO, generator))
    return [
        {"face_id": face_id, "photo_id": photo_ids[number // FACES_PER_PHOTO], "gallery_id": GALLERY, "embedding": row}
        for number, (face_id, row) in enumerate(
            zip(_ids(count, generator), clustered_faces(count, queries=1).embeddings, strict=True)
        )
    ]


def _ids(count: int, generator: np.random.Generator) -> list[str]:
    return [str(uuid.UUID(bytes=generator.bytes(16), version=4)) for _ in range(count)]


def _figures(server: str, turns: Sequence[Turn]) -> dict[str, object]:
    rows = sum(turn.rows for turn in turns)
    raw_rate = rows / sum(turn.raw_seconds for turn in turns)
    copy_rate = rows / sum(turn.copy_seconds for turn in turns)
    return {
        "server": server,
        "rows": rows,
        "raw_rows_per_second": raw_rate,
        "copied_rows_per_second": copy_rate,
        "ratio": copy_rate / raw_rate,
        "median_ratio": median(turn.raw_seconds / turn.copy_seconds for turn in turns),
        "verdict": "ok" if copy_rate >= LEAST_RATIO * raw_rate else "TOO SLOW",
    }


def _table(figures: Sequence[dict[str, object]]) -> str:
    lines = [
        f"Copying must reach {LEAST_RATIO} times the rate of raw inserts; the median ratio is over the turns.",
        "",
        "| server | rows | raw inserts/s | copied rows/s | ratio | median ratio | |",
        "|" + "---|" * 7,
    ]
    for each in figures:
        lines.append(
            "| {server} | {rows:,} | {raw_rows_per_second:.0f} | {copied_rows_per_second:.0f} | {ratio:.2f} "
            "| {median_ratio:.2f} | {verdict} |".format(**each)
        )
    return "\n".join(lines)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000, help="faces, a multiple of ten (default 100000)")
    parser.add_argument("--servers", default="lite,milvus", help="from lite, milvus (default: both)")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    options.servers = options.servers.split(",")
    if unknown := {*options.servers} - {"lite", "milvus"}:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    return options


if __name__ == "__main__":
    main()
