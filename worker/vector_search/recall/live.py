"""What the searches of users lose, by gallery: some of their queries, asked again and compared with exact search.

The queries are kept in this process' memory only, few of them, until the next measurement; they are written to no log.
"""

import random
import threading
from collections import deque
from typing import Final

import numpy as np

from worker.vector_search.interfaces import Embedding, SearchQuery, VectorStore
from worker.vector_search.recall.measured import MATCH_LIMIT, compare_with_exact

#: Which share of the searches is offered a place, and how many places there are: 1 MB of 512 values each.
SAMPLED_SHARE: Final = 0.1
MOST_GALLERIES: Final = 50
QUERIES_PER_GALLERY: Final = 8


class LiveQueries:
    """Keeps some of the queries of live searches, and measures their match recall. Safe to share between threads.

    Give it the store itself, not one behind a cache, which would answer with what it has kept.
    """

    def __init__(self, store: VectorStore, *, min_similarity: float, sampled_share: float = SAMPLED_SHARE) -> None:
        """`min_similarity` (cosine, -1..1) is what counts as a match; `sampled_share` (0..1) of all offers is taken."""
        self._store = store
        self._min_similarity = min_similarity
        self._sampled_share = sampled_share
        self._kept: dict[str, deque[Embedding]] = {}
        self._lock = threading.Lock()

    def offer(self, query: SearchQuery) -> None:
        """Keep one embedding of a query that the store has answered, if it is its turn. Takes microseconds.

        Of a gallery the latest stay; when there are galleries enough, others have to wait for the next measurement.
        """
        if random.random() >= self._sampled_share or not len(query.embeddings):  # noqa: S311  a sample, no secret
            return
        embedding = np.array(random.choice(query.embeddings), dtype=np.float32)  # noqa: S311
        with self._lock:
            if query.gallery_id in self._kept or len(self._kept) < MOST_GALLERIES:
                self._kept.setdefault(query.gallery_id, deque(maxlen=QUERIES_PER_GALLERY)).append(embedding)

    def measure(self) -> dict[str, float]:
        """Return the match recall (0..1) by gallery of the queries kept, and forget them.

        A gallery in which exact search finds no match is left out. One gallery after the other: as slow as reading
        these galleries. Raises what the store raises; what was kept is forgotten all the same.
        """
        with self._lock:
            kept, self._kept = self._kept, {}
        recalls: dict[str, float] = {}
        for gallery_id, embeddings in kept.items():
            query = SearchQuery(
                gallery_id=gallery_id,
                embeddings=np.stack(embeddings),
                limit=MATCH_LIMIT,
                min_similarity=self._min_similarity,
            )
            found, missed = compare_with_exact(self._store, query)
            if found + missed:
                recalls[gallery_id] = found / (found + missed)
        return recalls
