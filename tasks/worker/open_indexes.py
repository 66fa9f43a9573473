"""The FaceIndexes of one GPU worker process: one engine, and a store for each collection that it was asked about."""

import threading
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from django.conf import settings

from tasks.dictionaries import face_config, milvus_config, performance_config
from tasks.messages.base import Target
from tasks.targets import collection_config
from worker.errors import ModelMismatch
from worker.face_index import FaceIndex
from worker.metrics import Stages
from worker.query_faces import QueryFaceCache
from worker.recognition.engine import FaceEngine
from worker.recognition.interfaces import Pack
from worker.vector_search.cache import CachedVectorStore, CacheManager
from worker.vector_search.core import VectorSearchService
from worker.vector_search.exceptions import CollectionMissing
from worker.vector_search.interfaces import VectorStore
from worker.vector_search.monitoring import MetricsCollector, MonitoredVectorStore
from worker.vector_search.recall.live import SAMPLED_SHARE, LiveQueries

#: A collection that is no longer live and was not used for so long is let go, in seconds.
UNUSED_SECONDS = 60.0


@dataclass(slots=True)
class _Opened:
    store: VectorStore
    live: LiveQueries
    index: FaceIndex
    used_at: float = field(default_factory=time.monotonic)

    def close(self) -> None:
        self.store.close()  # not the index: the engine is everybody's


class OpenIndexes:
    """Opens a collection when it is first needed. Safe to share between threads after `open()`."""

    def __init__(self, collector: MetricsCollector, *, stages: Stages) -> None:
        self._collector = collector
        self._stages = stages
        self._config = face_config()
        self._milvus = milvus_config()
        self._performance = performance_config()
        self._engine = FaceEngine(self._config)
        self._lock = threading.Lock()
        self._opened: dict[str, _Opened] = {}

    def open(self) -> None:
        """Load the models; blocks for seconds. Raises PackError, ConfigError."""
        self._engine.open()

    def close(self) -> None:
        """Give everything back. Safe to call twice, and before open()."""
        with self._lock:
            opened, self._opened = list(self._opened.values()), {}
        for each in opened:
            each.close()
        self._engine.close()

    @property
    def pack(self) -> Pack:
        """The pack of this process. Raises NotOpen."""
        return self._engine.pack

    @property
    def models_are_healthy(self) -> bool:
        return self._engine.is_healthy

    def index(self, target: Target) -> FaceIndex:
        """Return the FaceIndex of the target's collection, opened; the first call blocks for up to seconds.

        Raises ModelMismatch when the target is for another pack, or another one has filled the collection; and what
        `VectorStore.open` raises.
        """
        pack = self._engine.pack
        if target.pack != pack.name or target.fingerprint not in ("", pack.fingerprint):
            raise ModelMismatch(
                f"The message is for pack {target.pack!r} {target.fingerprint[:12]}, this worker has {pack.name!r} "
                f"{pack.fingerprint[:12]}."
            )
        return self._open(target, dimension=pack.dimension, fingerprint=pack.fingerprint).index

    def store(self, target: Target) -> VectorStore:
        """Return the store of the target's collection, opened. Raises as `index`."""
        self.index(target)
        with self._lock:
            return self._opened[target.collection].store

    def measure_live(self, target: Target) -> dict[str, float]:
        """Return the match recall by gallery of searches that this process has answered lately, and forget them.

        Nothing when it has not searched the target's collection. Raises what the store raises.
        """
        with self._lock:
            opened = self._opened.get(target.collection)
        return {} if opened is None else opened.live.measure()

    def remove(self, target: Target, *, gallery_id: str, photo_ids: Sequence[str]) -> None:
        """Delete the photos' faces from the target's collection, also when another pack fills it.

        A collection that is not there, or that no worker has opened yet, holds none. Raises what the store raises.
        """
        if target.pack == self._engine.pack.name:
            self.index(target).remove(gallery_id=gallery_id, photo_ids=photo_ids)
        elif target.fingerprint and target.dimension:
            with suppress(CollectionMissing):
                opened = self._open(target, dimension=target.dimension, fingerprint=target.fingerprint, is_foreign=True)
                opened.store.delete_photos(gallery_id=gallery_id, photo_ids=photo_ids)

    def drop(self, target: Target) -> None:
        """Delete the target's collection, whichever pack fills it. Raises what the store raises."""
        with self._lock:
            opened = self._opened.pop(target.collection, None)
        if opened is not None:
            opened.close()
        dimension = target.dimension or self._engine.pack.dimension
        self._service(target, dimension=dimension, fingerprint=target.fingerprint).drop()

    def close_unused(self, live: Collection[str]) -> None:
        """Let go of collections that are not live any more and that nobody has used for UNUSED_SECONDS."""
        since = time.monotonic() - UNUSED_SECONDS
        with self._lock:
            names = [name for name, each in self._opened.items() if name not in live and each.used_at < since]
            unused = [self._opened.pop(name) for name in names]
        for each in unused:
            each.close()

    def _open(self, target: Target, *, dimension: int, fingerprint: str, is_foreign: bool = False) -> _Opened:
        with self._lock:
            found = self._opened.get(target.collection)
            if found is None:
                service = self._service(target, dimension=dimension, fingerprint=fingerprint, is_foreign=is_foreign)
                found = self._opened[target.collection] = self._built(target, service, fingerprint)
            found.used_at = time.monotonic()
            return found

    def _service(
        self, target: Target, *, dimension: int, fingerprint: str, is_foreign: bool = False
    ) -> VectorSearchService:
        return VectorSearchService(
            milvus=self._milvus,
            collection=collection_config(target, may_create=not is_foreign),
            performance=self._performance,
            dimension=dimension,
            fingerprint=fingerprint,
        )

    def _built(self, target: Target, service: VectorSearchService, fingerprint: str) -> _Opened:
        """Lay the cache and the measuring around the service, and open it all."""
        store: VectorStore = service
        query_faces = None
        if self._performance.enable_caching:
            cache = CacheManager(
                settings.REDIS_CACHE_URL,
                collection=target.collection,
                ttl_seconds=self._performance.cache_ttl_seconds,
                max_values=self._performance.cache_max_size,
                recorder=self._collector,
            )
            query_faces = QueryFaceCache(cache.values, fingerprint=fingerprint)
            store = CachedVectorStore(store, cache)
        store = MonitoredVectorStore(store, self._collector)  # it measures what a caller sees, the cache included
        # Where nobody measures them, no query is kept.
        share = SAMPLED_SHARE if settings.RECALL_INTERVAL_SECONDS else 0.0
        live = LiveQueries(service, min_similarity=self._engine.pack.match_similarity, sampled_share=share)
        store.open()
        limits = self._config.image_limits
        index = FaceIndex(self._engine, store, limits=limits, query_faces=query_faces, live=live, stages=self._stages)
        return _Opened(store=store, live=live, index=index)
