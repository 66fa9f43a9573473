"""What approximate search misses, measured as a user would notice it.

*Match recall*: the share of the faces that exact search would show (its best MATCH_LIMIT that are similar enough to
count as a match) that the index returns. Plain recall@10 also counts strangers, whom no user is shown.

It is measured in two ways: over whole galleries, before a generation is activated (`gate_match_recall`), and for a
sample of users' searches (`live.py`). The setting RECALL_MIN is the threshold for both.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from heapq import nsmallest

import numpy as np
from numpy.typing import NDArray

from worker.vector_search.checks import SIMILARITY_DECIMALS
from worker.vector_search.interfaces import FaceRecord, Match, SearchQuery, VectorStore

#: One page of results.
MATCH_LIMIT = 10

#: The typical cosine between a stored face and another picture of the same person.
QUERY_COSINE = 0.77

#: Queries in one measurement of whole galleries.
SAMPLE_QUERIES = 100

#: All queries in one call would hold up users' searches: exact search for 100 of them among 100,000 faces takes over a
#: second.
QUERIES_PER_SEARCH = 10

#: The server and numpy may round the same cosine to neighbouring similarities.
SAME_SIMILARITY = 2 * 10.0**-SIMILARITY_DECIMALS


def gate_match_recall(
    store: VectorStore,
    *,
    min_similarity: float,
    queries: int = SAMPLE_QUERIES,
    ignored: Collection[str] = (),
) -> float | None:
    """Return the match recall (0..1) of the index over whole galleries; None when the store holds no faces.

    Searches near `queries` stored faces, taken from each gallery in turn except those in `ignored`, and compares the
    best MATCH_LIMIT with a similarity of at least `min_similarity` (cosine, -1..1) with exact search over the gallery.
    The queries are QUERY_COSINE away from the faces, or closer if a match requires it. The same rows give the same
    figure. Reads every row once, and the rows of the galleries searched once more: half a minute for a million faces.
    Raises what `iterate`, `search` and `exact_search` raise.
    """
    cosine = max(QUERY_COSINE, (1 + min_similarity) / 2)
    found = missed = 0
    for gallery_id, rows in _sample(store.iterate(), queries=queries, ignored=ignored).items():
        query = SearchQuery(
            gallery_ids=(gallery_id,),
            embeddings=nearby(
                np.stack([row.embedding for row in rows]), cosine=cosine, generator=np.random.default_rng(0)
            ),
            limit=MATCH_LIMIT,
            min_similarity=min_similarity,
        )
        counts = compare_with_exact(store, query)
        found, missed = found + counts[0], missed + counts[1]
    return found / (found + missed) if found + missed else None


def compare_with_exact(store: VectorStore, query: SearchQuery) -> tuple[int, int]:
    """Return how many of the matches found by exact search `search` returns, and how many it misses.

    A match that is deleted meanwhile counts as neither. Raises what `search` and `exact_search` raise.
    """
    # Exact search for all queries at once reads the gallery only once; searches are split to let users' in between.
    wanted = store.exact_search(query)
    searched: list[list[Match]] = []
    for start in range(0, len(query.embeddings), QUERIES_PER_SEARCH):
        searched += store.search(replace(query, embeddings=query.embeddings[start : start + QUERIES_PER_SEARCH]))
    missed = [
        match.face_id
        for matches, exact in zip(searched, wanted, strict=True)
        for match in _missing(matches, exact, query)
    ]
    found = sum(len(exact) for exact in wanted) - len(missed)
    still_there = store.fetch(set(missed))
    return found, sum(face_id in still_there for face_id in missed)


def nearby(
    embeddings: NDArray[np.float32], *, cosine: float = QUERY_COSINE, generator: np.random.Generator
) -> NDArray[np.float32]:
    """Return, for each unit vector (shape (n, dimension)), a unit vector at this cosine in a random direction."""
    noise = generator.standard_normal(embeddings.shape, dtype=np.float32)
    noise -= np.sum(noise * embeddings, axis=1, keepdims=True) * embeddings
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    moved = cosine * embeddings + np.sqrt(1 - cosine**2) * noise
    unit: NDArray[np.float32] = (moved / np.linalg.norm(moved, axis=1, keepdims=True)).astype(np.float32)
    return unit


def _missing(matches: Sequence[Match], exact: Sequence[Match], query: SearchQuery) -> list[Match]:
    """Return the matches of exact search that should be among `matches` and are not."""
    returned = {match.face_id for match in matches}
    # When the page is full, faces written since the exact search may rightly have displaced others.
    least = matches[-1].similarity if len(matches) == query.limit else query.min_similarity
    return [match for match in exact if match.face_id not in returned and match.similarity > least + SAME_SIMILARITY]


def _sample(rows: Iterable[FaceRecord], *, queries: int, ignored: Collection[str]) -> dict[str, list[FaceRecord]]:
    """Return at most `queries` rows by gallery: one from each gallery in the order of their ids, then another each."""
    kept: dict[str, list[FaceRecord]] = {}
    for row in rows:
        if row.gallery_id in ignored:
            continue
        of_gallery = kept.setdefault(row.gallery_id, [])
        if len(of_gallery) < queries:
            of_gallery.append(row)
        if len(kept) > queries:
            del kept[max(kept)]
    turns = ((place, gallery_id) for gallery_id in kept for place in range(len(kept[gallery_id])))
    asked = Counter(gallery_id for _, gallery_id in nsmallest(queries, turns))
    return {gallery_id: kept[gallery_id][:count] for gallery_id, count in sorted(asked.items())}
