"""What approximate search loses, measured as a user would notice it.

*Match recall*: of the faces that exact search would show (its best MATCH_LIMIT with a similarity of at least
MATCH_SIMILARITY), the share that the index returns. Plain recall@10 counts strangers as well, whom nobody is shown.
"""

import logging
import threading
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from heapq import nsmallest
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from worker.vector_search.checks import SIMILARITY_DECIMALS
from worker.vector_search.interfaces import FaceHit, FaceRecord, SearchQuery, VectorStore
from worker.vector_search.recall.exact import exact_hits

logger = logging.getLogger(__name__)

#: A page of results, and how close a face must be to count as somebody's match: ArcFace packs are used with
#: thresholds of 0.3 to 0.4.
MATCH_LIMIT = 10
MATCH_SIMILARITY = 0.3

#: Less than this is worth an operator's attention: one true match in a hundred is lost.
ENOUGH_MATCH_RECALL = 0.99

#: How close another picture of a person typically comes to a stored one, as a cosine.
QUERY_COSINE = 0.77

#: What one measurement reads and asks. 5000 embeddings of 512 are 10 MB.
SAMPLE_ROWS = 5000
SAMPLE_QUERIES = 100

#: All at once would hold up the searches of users: exact search of 100 queries among 100,000 faces takes over a second.
QUERIES_PER_SEARCH = 10

#: Two sums of the same products, the server's and numpy's, may round to neighbouring similarities.
SAME_SIMILARITY = 2 * 10.0**-SIMILARITY_DECIMALS

#: How often a worker measures. It changes when an index is built or a server configured, not from minute to minute.
MEASURE_INTERVAL_SECONDS = 600.0


def measure_match_recall(
    store: VectorStore, *, sample_rows: int = SAMPLE_ROWS, sample_queries: int = SAMPLE_QUERIES
) -> float | None:
    """Return the match recall (0..1) of the index for faces that the store holds; None when it holds none.

    Reads at most `sample_rows` faces, asks the index for `sample_queries` pictures that are QUERY_COSINE away from
    some of them, and compares with exact search among the faces read. Of a collection that is larger it tells how
    many of *these* are found. The cost does not grow with the collection, but for that of the searches.
    Raises what `iterate` and `search` raise.
    """
    rows = list(islice(store.iterate(), sample_rows))
    galleries: dict[str, list[FaceRecord]] = defaultdict(list)
    asked: dict[str, list[int]] = defaultdict(list)
    step = max(1, len(rows) // sample_queries)
    for number, row in enumerate(rows):
        if number % step == 0 and number // step < sample_queries:
            asked[row.gallery_id].append(len(galleries[row.gallery_id]))
        galleries[row.gallery_id].append(row)
    counts = [
        _found_and_missed(store, galleries[gallery], numbers[start : start + QUERIES_PER_SEARCH])
        for gallery, numbers in asked.items()
        for start in range(0, len(numbers), QUERIES_PER_SEARCH)
    ]
    found, missed = (sum(numbers) for numbers in zip(*counts, strict=True)) if counts else (0, 0)
    return found / (found + missed) if found + missed else None


def gate_match_recall(
    store: VectorStore,
    *,
    min_similarity: float,
    queries: int = SAMPLE_QUERIES,
    ignored: Collection[str] = (),
) -> float | None:
    """Return the match recall (0..1) of the index for whole galleries; None when the store holds no face of any.

    Asks for pictures near `queries` stored faces, taken from all galleries in turn, but for those `ignored`, and
    compares the best MATCH_LIMIT with a similarity of at least `min_similarity` with exact search over the gallery.
    The pictures are QUERY_COSINE away from the faces, or nearer where only nearer ones count as a match. The same store
    gives the same figure. It reads every row once, and those of the galleries asked once more: half a minute for a
    million faces. Raises what `iterate`, `search` and `exact_search` raise.
    """
    cosine = max(QUERY_COSINE, (1 + min_similarity) / 2)
    found = missed = 0
    for gallery_id, rows in _sample(store.iterate(), queries=queries, ignored=ignored).items():
        query = SearchQuery(
            gallery_id=gallery_id,
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
    """Return how many of the matches that exact search finds `search` returns, and how many it does not.

    A match that has been deleted in between counts as neither. Raises what `search` and `exact_search` raise.
    """
    # All queries at once read the gallery once; searching for all of them at once would hold up those of users.
    wanted = store.exact_search(query)
    searched: list[list[FaceHit]] = []
    for start in range(0, len(query.embeddings), QUERIES_PER_SEARCH):
        searched += store.search(replace(query, embeddings=query.embeddings[start : start + QUERIES_PER_SEARCH]))
    missed = [
        hit.face_id
        for hits, exact in zip(searched, wanted, strict=True)
        for hit in _missing(hits, exact, query, tolerance=SAME_SIMILARITY)
    ]
    found = sum(len(exact) for exact in wanted) - len(missed)
    still_there = store.fetch(set(missed))
    return found, sum(face_id in still_there for face_id in missed)


def share_found(found: Sequence[Collection[object]], wanted: Sequence[Collection[object]]) -> float:
    """Return the share of all that was wanted that was found, query by query; 1.0 when nothing was wanted."""
    total = sum(len(each) for each in wanted)
    hits = sum(len(set(got) & set(want)) for got, want in zip(found, wanted, strict=True))
    return hits / total if total else 1.0


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


class RecallWatch:
    """Measures the match recall of an open store on a thread of its own: at once, and then every `interval_seconds`.

    Give it the store itself, not one behind a cache, which would answer with what it has kept.
    """

    def __init__(self, store: VectorStore, *, interval_seconds: float = MEASURE_INTERVAL_SECONDS) -> None:
        self._store = store
        self._interval_seconds = interval_seconds
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="recall-watch", daemon=True)
        self._latest: float | None = None

    @property
    def latest(self) -> float | None:
        """The latest match recall (0..1); None before the first, for an empty store, and when measuring failed."""
        return self._latest

    def open(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Stop measuring; a measurement under way ends with the store's timeouts. Safe to call twice."""
        self._stopping.set()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._latest = measure_match_recall(self._store)
            except Exception as error:  # noqa: BLE001  a watch that died would leave its last figure standing
                self._latest = None
                logger.info("The match recall could not be measured: %s", error)
            self._stopping.wait(self._interval_seconds)


def recall_problem(match_recall: float | None) -> str:
    """Return a sentence for a person when the index loses too much, else an empty text."""
    if match_recall is None or match_recall >= ENOUGH_MATCH_RECALL:
        return ""
    return (
        f"Searches find only {match_recall:.1%} of the matches that exact search finds: check INDEX_TYPE and "
        "SEARCH_PARAMS, and that queryNode.segcore.interimIndex.enableIndex is false on the Milvus server."
    )


def _found_and_missed(store: VectorStore, rows: Sequence[FaceRecord], asked: Sequence[int]) -> tuple[int, int]:
    """Return how many matches of one gallery's rows, asked for by number, the index returned, and how many not."""
    # The same pictures each time: a figure that changes has a changed index behind it.
    queries = nearby(np.stack([rows[number].embedding for number in asked]), generator=np.random.default_rng(0))
    query = SearchQuery(
        gallery_id=rows[0].gallery_id, embeddings=queries, limit=MATCH_LIMIT, min_similarity=MATCH_SIMILARITY
    )
    found = missed = 0
    for hits, exact in zip(store.search(query), exact_hits(rows, queries, query), strict=True):
        returned = {hit.face_id for hit in hits}
        found += sum(hit.face_id in returned for hit in exact)
        missed += len(_missing(hits, exact, query))
    return found, missed


def _missing(
    hits: Sequence[FaceHit], exact: Sequence[FaceHit], query: SearchQuery, *, tolerance: float = 0.0
) -> list[FaceHit]:
    """Return the exact hits that should be among the hits and are not."""
    returned = {hit.face_id for hit in hits}
    # On a full page, faces that exact search was not shown, or has not seen yet, may rightly stand before others.
    least = hits[-1].similarity if len(hits) == query.limit else query.min_similarity
    return [hit for hit in exact if hit.face_id not in returned and hit.similarity > least + tolerance]


def _sample(rows: Iterable[FaceRecord], *, queries: int, ignored: Collection[str]) -> dict[str, list[FaceRecord]]:
    """Return rows to ask for, `queries` at most: one of each gallery, then another of each, galleries by their ids."""
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
