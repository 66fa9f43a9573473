"""The match recall of users' searches, by gallery: a sample of their queries, compared with exact search.

The sampled queries stay in this process's memory until the next measurement, and are never logged.
"""

import random
import threading
from collections import deque
from typing import Final

import numpy as np

from worker.vector_search.interfaces import Embedding, SearchQuery, VectorStore
from worker.vector_search.recall.measured import MATCH_LIMIT, compare_with_exact

#: The share of searches that are sampled, and the most queries kept: 1 MB at 512 values each.
SAMPLED_SHARE: Final = 0.1
MOST_GALLERIES: Final = 50
QUERIES_PER_GALLERY: Final = 8


class LiveQueries:
    """Samples the queries of live searches and measures their match recall. Safe to share between threads.

    Pass the bare store, not one behind a cache, which would answer from what it has kept.
    """

    def __init__(self, store: VectorStore, *, min_similarity: float, sampled_share: float = SAMPLED_SHARE) -> None:
        """`min_similarity` (cosine, -1..1) is the least that counts as a match; `sampled_share` (0..1) is the share of
        offered queries that is kept."""
        self._store = store
        self._min_similarity = min_similarity
        self._sampled_share = sampled_share
        self._kept: dict[str, deque[Embedding]] = {}
        self._lock = threading.Lock()

    def offer(self, query: SearchQuery) -> None:
        """Keep one embedding of an answered query, for one of its galleries, if it is sampled. Takes microseconds.

        Only one gallery, drawn at random, so that each figure describes a single gallery and a search of many galleries
        takes no more room than any other. The latest embeddings of a gallery replace its older ones. Once there are
        MOST_GALLERIES, further galleries wait for the next measurement.
        """
        if random.random() >= self._sampled_share or not len(query.embeddings):  # noqa: S311  a sample, no secret
            return
        embedding = np.array(random.choice(query.embeddings), dtype=np.float32)  # noqa: S311
        gallery_id = random.choice(query.gallery_ids)  # noqa: S311
        with self._lock:
            if gallery_id in self._kept or len(self._kept) < MOST_GALLERIES:
                self._kept.setdefault(gallery_id, deque(maxlen=QUERIES_PER_GALLERY)).append(embedding)

    def measure(self) -> dict[str, float]:
        """Return the match recall (0..1) of the kept queries by gallery, and forget the queries.

        Galleries in which exact search finds no match are left out. Takes as long as reading these galleries. Raises
        what the store raises; the queries are forgotten even then.
        """
        with self._lock:
            kept, self._kept = self._kept, {}
        recalls: dict[str, float] = {}
        for gallery_id, embeddings in kept.items():
            query = SearchQuery(
                gallery_ids=(gallery_id,),
                embeddings=np.stack(embeddings),
                limit=MATCH_LIMIT,
                min_similarity=self._min_similarity,
            )
            found, missed = compare_with_exact(self._store, query)
            if found + missed:
                recalls[gallery_id] = found / (found + missed)
        return recalls
