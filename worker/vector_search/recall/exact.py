"""Exact search: every row is compared. The in-memory store searches this way, and recall is measured against it."""

from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from worker.vector_search.checks import SIMILARITY_DECIMALS, ranked, rounded_similarity, unit
from worker.vector_search.interfaces import FaceRecord, Match, SearchQuery

#: Rows compared at a time: a table of some 4 kB for each embedding of the query.
ROWS_PER_STEP = 1000


def exact_matches(rows: Iterable[FaceRecord], embeddings: NDArray[np.float32], query: SearchQuery) -> list[list[Match]]:
    """Return, for each of the query's embeddings (float32, shape (n, dimension)), its matches among the rows.

    At most ROWS_PER_STEP rows and the matches are in memory, however many rows there are.
    """
    queries = unit(embeddings)
    best: list[list[Match]] = [[] for _ in queries]
    for step in _steps(rows):
        table = queries @ unit(np.stack([row.embedding for row in step])).T
        best = [
            ranked([*matches, *_candidates(step, cosines, query)], query)
            for matches, cosines in zip(best, table, strict=True)
        ]
    return best


def _candidates(rows: list[FaceRecord], cosines: NDArray[np.float32], query: SearchQuery) -> Iterator[Match]:
    """Yield the matches that may be among the best, including all that tie with the last: face ids break the ties."""
    last = min(query.limit, len(rows))
    least = np.partition(cosines, -last)[-last] - 2 * 10.0**-SIMILARITY_DECIMALS
    for index in np.flatnonzero(cosines >= least):
        row = rows[index]
        yield Match(face_id=row.face_id, photo_id=row.photo_id, similarity=rounded_similarity(cosines[index]))


def _steps(rows: Iterable[FaceRecord]) -> Iterator[list[FaceRecord]]:
    remaining = iter(rows)
    while step := list(islice(remaining, ROWS_PER_STEP)):
        yield step
