"""Shows that the recall gate stops a bad index and lets the default pass.

`python -m benchmarks.recall_gate [--rows 100000] [--json]`: the same clustered faces on a Milvus server, in
one collection with IVF_FLAT, nlist 1024, searched with nprobe 1, and in one with the default index. Both are measured
as before an activation, once their index is built.
"""

import argparse
import json
import os
import sys
import tempfile
import time
import uuid
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from django.conf import settings
from numpy.typing import NDArray
from pymilvus import MilvusClient

from benchmarks.vector_search import wait_for_index
from benchmarks.vectors import DIMENSION, MATCH_SIMILARITY, clustered_faces
from tests.servers import milvus_server
from worker.vector_search.config import CollectionConfig, MilvusConfig, PerformanceConfig
from worker.vector_search.core import VectorSearchService
from worker.vector_search.interfaces import FaceRecord
from worker.vector_search.recall.measured import gate_match_recall

GALLERY = str(uuid.UUID(int=1))
ROWS_PER_CALL = 5000

#: By the expected result: a deliberately bad index, and the default.
INDEXES: Mapping[str, CollectionConfig] = {
    "fails": CollectionConfig(
        name="bad", index_type="IVF_FLAT", index_params={"nlist": 1024}, search_params={"nprobe": 1}
    ),
    "passes": CollectionConfig(name="good"),
}


def main() -> None:
    options = _options()
    os.environ.setdefault("FACEQUEUE_DATA_DIR", str(Path("var").absolute()))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.config.settings")
    with (
        tempfile.TemporaryDirectory(prefix="facequeue-bench-") as folder,
        milvus_server(Path(folder)) as (uri, _process),
    ):
        figures = measure(uri, options.rows)
    if options.json:
        print(json.dumps(figures, indent=2))
        return
    print(f"The gate requires a match recall of at least {settings.RECALL_MIN}.\n")
    print("| index | rows | match recall | seconds to measure | gate | as expected |\n|---|---|---|---|---|---|")
    for each in figures:
        print("| {index} | {rows:,} | {match_recall:.3f} | {seconds:.1f} | {gate} | {as_expected} |".format(**each))


def measure(uri: str, rows: int) -> list[dict[str, Any]]:
    """Fill each of INDEXES with the same faces on that server; return a row for each."""
    embeddings = clustered_faces(rows, queries=1).embeddings
    figures: list[dict[str, Any]] = []
    for expected, collection in INDEXES.items():
        store = VectorSearchService(
            milvus=MilvusConfig(uri=uri, timeout_seconds=300),
            collection=collection,
            performance=PerformanceConfig(search_timeout_seconds=300, insert_timeout_seconds=300),
            dimension=DIMENSION,
            fingerprint="b" * 64,
        )
        store.open()
        with closing(store), closing(MilvusClient(uri)) as client:
            print(f"{rows} faces, {collection.index_type}", file=sys.stderr, flush=True)
            for start in range(0, rows, ROWS_PER_CALL):
                store.upsert([_record(row, embeddings) for row in range(start, min(start + ROWS_PER_CALL, rows))])
            wait_for_index(client, collection.name)
            started = time.perf_counter()
            recall = gate_match_recall(store, min_similarity=MATCH_SIMILARITY) or 0.0
            gate = "passes" if recall >= settings.RECALL_MIN else "fails"
            figures.append(
                {
                    "index": " ".join(
                        [collection.index_type, *(f"{k} {v}" for k, v in collection.search_params.items())]
                    ),
                    "rows": rows,
                    "match_recall": recall,
                    "seconds": time.perf_counter() - started,
                    "gate": gate,
                    "as_expected": gate == expected,
                }
            )
            store.drop()
    return figures


def _record(row: int, embeddings: NDArray[np.float32]) -> FaceRecord:
    face_id = str(uuid.UUID(int=row))
    return FaceRecord(face_id=face_id, photo_id=face_id, gallery_id=GALLERY, embedding=embeddings[row])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000, help="faces, a multiple of five (default 100000)")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    return parser.parse_args()


if __name__ == "__main__":
    main()
