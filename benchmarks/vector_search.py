"""How much of exact search an index returns, how fast, and what the service adds to bare pymilvus.

`python -m benchmarks.vector_search [--rows 10000,100000] [--million] [--servers lite,milvus] [--indexes NAME,...]
[--turns N] [--json]`. Starts its own servers on free ports and stops them; a running server that MILVUS_TEST_URI names
is included as `external`. The faces are those of `benchmarks.vectors`, all in one gallery.

Each index is measured twice: right after the last upsert, and once it is built (flushed, built, loaded). The service
and a bare `MilvusClient` search and write the same collection in turns, so that the machine's noise affects both alike.
Both read every hit, so that all of the answer's cost counts. The service's p50 may be 1.10 times the bare client's plus
0.3 ms. To allow measuring on a busy machine, the added time is the median of the differences within a turn, and the
ratio is the median of the quotients.
"""

import argparse
import itertools
import json
import os
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymilvus import MilvusClient

from benchmarks.vectors import DIMENSION, ExactAnswers, Faces, clustered_faces, exact_answers, share_found
from worker.vector_search.config import CollectionConfig, MilvusConfig, PerformanceConfig
from worker.vector_search.core import VectorSearchService
from worker.vector_search.interfaces import FaceRecord, SearchQuery
from worker.vector_search.milvus import filters
from worker.vector_search.recall.measured import MATCH_LIMIT

#: Limit for the service relative to bare pymilvus: this factor, plus this many milliseconds.
MOST_RATIO, MOST_EXTRA_MS = 1.10, 0.3

GALLERY = str(uuid.UUID(int=1))
ROWS_PER_CALL = 1000
QUERIES = 100
WARMUP_TURNS = 3
#: Searching all queries in one call takes long, so it gets only this share of the turns.
BATCHED_SHARE = 0.1
LEAST_TURNS = 5
#: No timeout may interrupt a measurement.
PATIENT = PerformanceConfig(search_timeout_seconds=300, insert_timeout_seconds=300)
INDEX_TIMEOUT_SECONDS = 3600.0

Answers = list[list[int]]
Ask = Callable[[NDArray[np.float32]], Answers]


@dataclass(frozen=True, slots=True)
class Index:
    """One row of the table: how the index is built and how it is searched."""

    name: str
    type: str = CollectionConfig(name="default").index_type
    build: Mapping[str, int] = field(default_factory=dict)
    search: Mapping[str, int] = field(default_factory=dict)

    def config(self, collection: str) -> CollectionConfig:
        return CollectionConfig(
            name=collection, index_type=self.type, index_params=self.build, search_params=self.search
        )


#: Neighbours with the same build parameters share a collection. `ivf-copied` has the settings that everyone copies.
INDEXES = (
    Index("default"),
    Index("flat", "FLAT"),
    Index("ivf-copied", "IVF_FLAT", {"nlist": 1024}, {"nprobe": 10}),
    Index("ivf-256", "IVF_FLAT", {"nlist": 1024}, {"nprobe": 256}),
    Index("ivf-512", "IVF_FLAT", {"nlist": 1024}, {"nprobe": 512}),
    Index("hnsw-64", "HNSW", {"M": 16, "efConstruction": 200}, {"ef": 64}),
    Index("hnsw-256", "HNSW", {"M": 16, "efConstruction": 200}, {"ef": 256}),
    Index("hnsw-1024", "HNSW", {"M": 16, "efConstruction": 200}, {"ef": 1024}),
)


def main() -> None:
    options = _options()
    # The servers' binaries are unpacked once per machine, to the same place as for the tests.
    os.environ.setdefault("FACEQUEUE_DATA_DIR", str(Path("var").absolute()))
    rows: list[dict[str, Any]] = []
    for count in options.rows:
        _say(f"{count} faces")
        faces = clustered_faces(count, queries=QUERIES)
        exact = exact_answers(faces)
        for server in options.servers:
            with _server(server) as uri, _closing(MilvusClient(uri)) as bare:
                for _, alike in itertools.groupby(options.indexes, lambda index: (index.type, index.build)):
                    bench = Bench(server=server, uri=uri, bare=bare, faces=faces, exact=exact, turns=options.turns)
                    rows += bench.measure(list(alike))
    print(json.dumps(rows, indent=2) if options.json else _table(rows))


class Bench:
    """One collection on one server: filled, searched right away, and searched again once its index is built."""

    def __init__(
        self, *, server: str, uri: str, bare: MilvusClient, faces: Faces, exact: ExactAnswers, turns: int
    ) -> None:
        self._server = server
        self._uri = uri
        self._bare = bare
        self._faces = faces
        self._exact = exact
        self._turns = turns
        self._collection = f"bench_{uuid.uuid4().hex}"

    def measure(self, indexes: Sequence[Index]) -> Iterator[dict[str, Any]]:
        """Yield a row for each index at each of the two moments; the indexes must have the same build parameters."""
        _say(f"{self._server}: filling a {indexes[0].type} collection")
        with self._opened(indexes[0]) as service:
            inserts = self._fill(service)
        yield from self._searched(indexes, inserts, when="after upsert")
        _say(f"{self._server}: waiting for the index")
        wait_for_index(self._bare, self._collection)
        yield from self._searched(indexes, inserts, when="index built")
        self._bare.drop_collection(self._collection)

    @contextmanager
    def _opened(self, index: Index) -> Iterator[VectorSearchService]:
        service = VectorSearchService(
            milvus=MilvusConfig(uri=self._uri, timeout_seconds=300),
            collection=index.config(self._collection),
            performance=PATIENT,
            dimension=DIMENSION,
            fingerprint="b" * 64,
        )
        service.open()
        with _closing(service):
            yield service

    def _fill(self, service: VectorSearchService) -> dict[str, float]:
        """Upsert all faces, every other thousand with the bare client; return rows per second of each."""
        seconds, written = {"service": 0.0, "bare": 0.0}, {"service": 0, "bare": 0}
        for start in range(0, len(self._faces.embeddings), ROWS_PER_CALL):
            # The last turn is the service's: it returns once its rows, and all before them, can be found.
            way = "bare" if (len(self._faces.embeddings) - 1 - start) // ROWS_PER_CALL % 2 else "service"
            records = [
                FaceRecord(face_id=_face_id(row), photo_id=_face_id(row), gallery_id=GALLERY, embedding=embedding)
                for row, embedding in enumerate(self._faces.embeddings[start : start + ROWS_PER_CALL], start=start)
            ]
            rows = [{name: getattr(each, name) for name in each.__slots__} for each in records]
            started = time.perf_counter()
            if way == "service":
                service.upsert(records)
            else:
                self._bare.upsert(self._collection, rows)
            seconds[way] += time.perf_counter() - started
            written[way] += len(records)
        return {way: written[way] / seconds[way] if written[way] else 0.0 for way in seconds}

    def _searched(self, indexes: Sequence[Index], inserts: dict[str, float], *, when: str) -> Iterator[dict[str, Any]]:
        batched_turns = max(LEAST_TURNS, round(self._turns * BATCHED_SHARE))
        for index in indexes:
            _say(f"{self._server}: searching, {index.name}, {when}")
            with self._opened(index) as service:
                ways = {"service": self._through(service), "bare": self._past(index.config(self._collection))}
                # First of all, so that it really is right after the upsert.
                found = ways["service"](self._faces.queries)
                single = _take_turns(ways, itertools.cycle(self._faces.queries[:, np.newaxis]), self._turns)
                batched = _take_turns(ways, itertools.repeat(self._faces.queries), batched_turns)
            yield {
                "server": self._server,
                "rows": len(self._faces.embeddings),
                "index": f"{index.name} ({index.type})" if index.name == "default" else index.name,
                "when": when,
                "recall@10": share_found(found, self._exact.top()),
                "match recall": share_found(found, self._exact.matches()),
                "single": _figures(single),
                f"{QUERIES} queries": _figures(batched),
                "inserts/s": inserts,
            }

    def _through(self, service: VectorSearchService) -> Ask:
        def ask(embeddings: NDArray[np.float32]) -> Answers:
            query = SearchQuery(gallery_ids=(GALLERY,), embeddings=embeddings, limit=MATCH_LIMIT)
            return [[_row(hit.face_id) for hit in hits] for hits in service.search(query)]

        return ask

    def _past(self, config: CollectionConfig) -> Ask:
        def ask(embeddings: NDArray[np.float32]) -> Answers:
            found = self._bare.search(
                self._collection,
                data=list(embeddings),
                anns_field="embedding",
                filter=filters.in_gallery(GALLERY),
                limit=MATCH_LIMIT,
                output_fields=["photo_id"],
                search_params={"params": dict(config.search_params)},
            )
            hits = [[(hit.id, hit["entity"]["photo_id"], hit["distance"]) for hit in hits] for hits in found]
            return [[_row(face_id) for face_id, _, _ in each] for each in hits]

        return ask


def wait_for_index(client: MilvusClient, collection: str) -> None:
    """Wait until every row is in an indexed segment, and the server answers from those segments."""
    client.flush(collection)
    deadline = time.monotonic() + INDEX_TIMEOUT_SECONDS
    while int(client.describe_index(collection, "embedding").get("pending_index_rows", 0)):
        if time.monotonic() > deadline:
            raise TimeoutError("The index was not built within an hour.")
        time.sleep(1)
    # A loaded collection switches to built segments only after a while; reloading it does so at once.
    client.release_collection(collection)
    client.load_collection(collection)


def _take_turns(ways: Mapping[str, Ask], queries: Iterator[NDArray[np.float32]], turns: int) -> dict[str, list[float]]:
    """Return the milliseconds of each way; the order alternates from turn to turn."""
    times_ms: dict[str, list[float]] = {way: [] for way in ways}
    for turn, query in enumerate(itertools.islice(queries, WARMUP_TURNS + turns)):
        for way in sorted(ways, reverse=turn % 2 == 0):
            started = time.perf_counter()
            ways[way](query)
            if turn >= WARMUP_TURNS:
                times_ms[way].append((time.perf_counter() - started) * 1000)
    return times_ms


def _figures(times_ms: Mapping[str, list[float]]) -> dict[str, Any]:
    cuts = {way: quantiles(times, n=100, method="inclusive") for way, times in times_ms.items()}
    service, bare = cuts["service"], cuts["bare"]
    pairs = list(zip(times_ms["service"], times_ms["bare"], strict=True))
    added_ms = median(here - there for here, there in pairs)
    return {
        "p50_ms": service[49],
        "p95_ms": service[94],
        "p99_ms": service[98],
        "bare_p50_ms": bare[49],
        "added_ms": added_ms,
        "ratio": median(here / there for here, there in pairs),
        "verdict": "ok" if bare[49] + added_ms <= MOST_RATIO * bare[49] + MOST_EXTRA_MS else "SLOW",
    }


def _table(rows: Sequence[dict[str, Any]]) -> str:
    lines = [
        f"Milliseconds for one query and for {QUERIES} in one call; ratio: service to bare pymilvus.",
        "",
        "| server | rows | index | when | recall@10 | match recall | p50 / p95 / p99 | bare p50 | ratio "
        f"| {QUERIES}: p50 / p95 / p99 | bare p50 | ratio | inserts/s (bare) |",
        "|" + "---|" * 13,
    ]
    for row in rows:
        inserts = row["inserts/s"]
        cells = [row["server"], f"{row['rows']:,}", row["index"], row["when"]]
        cells += [f"{row['recall@10']:.3f}", f"{row['match recall']:.3f}"]
        for figures in (row["single"], row[f"{QUERIES} queries"]):
            cells.append(" / ".join(f"{figures[name]:.1f}" for name in ("p50_ms", "p95_ms", "p99_ms")))
            cells += [f"{figures['bare_p50_ms']:.1f}", f"{figures['ratio']:.2f} {figures['verdict']}"]
        cells.append(f"{inserts['service']:.0f} ({inserts['bare']:.0f})")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


@contextmanager
def _server(name: str) -> Iterator[str]:
    """Run the server of that name in a temporary folder; yield its URI."""
    from tests.servers import embedded_milvus, milvus_server

    if name == "external":
        yield os.environ["MILVUS_TEST_URI"]
        return
    start = {"lite": embedded_milvus, "milvus": milvus_server}[name]
    with tempfile.TemporaryDirectory(prefix="facequeue-bench-") as folder, start(Path(folder)) as (uri, _):
        yield uri


@contextmanager
def _closing(thing: Any) -> Iterator[Any]:
    try:
        yield thing
    finally:
        thing.close()


def _face_id(row: int) -> str:
    return str(uuid.UUID(int=row))


def _row(face_id: str) -> int:
    return uuid.UUID(face_id).int


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _options() -> argparse.Namespace:
    servers = ["lite", "milvus", *(["external"] if "MILVUS_TEST_URI" in os.environ else [])]
    names = {index.name: index for index in INDEXES}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default="10000,100000", help="faces, multiples of five (default 10000,100000)")
    parser.add_argument("--million", action="store_true", help="also measure a million faces (hours, 8 GB of memory)")
    parser.add_argument("--servers", default=",".join(servers), help=f"from {', '.join(servers)} (default: all)")
    parser.add_argument("--indexes", default="default", help=f"from {', '.join(names)}, or all (default: default)")
    parser.add_argument("--turns", type=int, default=100, help="single searches to measure (default 100)")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    options.rows = [int(each) for each in options.rows.split(",")] + [1_000_000] * options.million
    options.servers = options.servers.split(",")
    chosen = list(names)[1:] if options.indexes == "all" else options.indexes.split(",")
    unknown = sorted({*options.servers} - {*servers}) + sorted({*chosen} - {*names})
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}")
    options.indexes = [names[each] for each in chosen]
    return options


if __name__ == "__main__":
    main()
