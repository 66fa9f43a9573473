"""Cached stores for tests: each is what one worker process holds, all on one redis-cache and one memory."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import redis

from worker.queries.faces import QueryFaceCache, QueryFaces
from worker.recognition.interfaces import Box, Face
from worker.vector_search.cache import CachedVectorStore, CacheManager
from worker.vector_search.interfaces import Embedding, FaceRecord, Match, SearchQuery
from worker.vector_search.memory import InMemoryVectorStore, MemoryCollection
from worker.vector_search.monitoring import MetricName

DIMENSION = 4
FINGERPRINT = "f" * 64


class CountingRecorder:
    def __init__(self) -> None:
        self.counts: dict[str, float] = {}

    def record(self, name: MetricName, value: float = 1) -> None:
        self.counts[name] = self.counts.get(name, 0) + value


class WatchedStore(InMemoryVectorStore):
    """Counts the searches that reach it, and lets a test do something just before and after the rows are touched."""

    searches = 0

    def search(self, query: SearchQuery) -> list[list[Match]]:
        self.searches += 1
        self.before()
        found = super().search(query)
        self.after()
        return found

    def upsert(self, records: Sequence[FaceRecord], **options: bool) -> None:
        self.before()
        super().upsert(records, **options)
        self.after()

    def delete_photos(self, *, gallery_id: str, photo_ids: Collection[str]) -> None:
        self.before()
        super().delete_photos(gallery_id=gallery_id, photo_ids=photo_ids)
        self.after()

    def before(self) -> None:
        pass

    def after(self) -> None:
        pass


@dataclass
class Service:
    """Workers that share a redis-cache and the rows of one collection."""

    redis_url: str
    rows: dict[str, MemoryCollection] = field(default_factory=dict)
    caches: list[CacheManager] = field(default_factory=list)

    def cache(self, **options: object) -> CacheManager:
        values: dict[str, object] = {
            "collection": "faces",
            "ttl_seconds": 60.0,
            "max_values": 100,
            "settle_seconds": 0.0,
            **options,
        }
        cache = CacheManager(str(values.pop("redis_url", self.redis_url)), **values)  # type: ignore[arg-type]
        self.caches.append(cache)
        return cache

    def query_faces(self, cache: CacheManager | None = None, *, fingerprint: str = FINGERPRINT) -> QueryFaceCache:
        """Return what keeps the faces of query images in this cache, or in a new one."""
        return QueryFaceCache((cache or self.cache()).values, fingerprint=fingerprint)

    def worker(self, **options: object) -> tuple[CachedVectorStore, WatchedStore]:
        """Return an open cached store, and the store behind it."""
        inner = WatchedStore(name="faces", dimension=DIMENSION, fingerprint=FINGERPRINT, server=self.rows)
        store = CachedVectorStore(inner, self.cache(**options))
        store.open()
        return store, inner

    def close(self) -> None:
        for cache in self.caches:
            cache.close()


def running_service(url: str) -> Iterator[Service]:
    redis.Redis.from_url(url).flushall()
    service = Service(url)
    yield service
    service.close()


def unit(*values: float) -> Embedding:
    vector = np.zeros(DIMENSION, dtype=np.float32)
    vector[: len(values)] = values
    return vector / np.linalg.norm(vector)


def face(number: int, gallery_id: str) -> FaceRecord:
    """Return face `number`, alone on its photo of the same id."""
    id_ = f"00000000-0000-0000-0000-{number:012d}"
    return FaceRecord(face_id=id_, photo_id=id_, gallery_id=gallery_id, embedding=unit(1, number / 10))


def numbers(found: list[list[Match]]) -> list[int]:
    """Return which faces were found for the first embedding."""
    return sorted(int(hit.face_id[-12:]) for hit in found[0])


def seen(count: int = 2, *, width: int = 640) -> QueryFaces:
    """Return what an engine would find: `count` faces, each with values that are no round numbers."""
    random = np.random.default_rng(count)
    return QueryFaces(
        faces=tuple(
            Face(
                box=Box(left=1 / 3, top=2.5, right=100.1, bottom=200.7),
                landmarks=random.random((5, 2), dtype=np.float32),
                score=0.987654321,
                quality=1 / 7,
                embedding=unit(*random.random(DIMENSION)),
            )
            for _ in range(count)
        ),
        width=width,
        height=480,
    )


def never() -> QueryFaces:
    raise AssertionError("The faces were looked for again.")
