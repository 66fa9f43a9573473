"""The FaceIndexes of one GPU worker process: one engine, and a store for each collection that it was asked about."""

import threading
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from django.conf import settings

from tasks.dictionaries import face_config, milvus_config, performance_config
from tasks.messages.base import Target
from tasks.targets import collection_config
from worker.errors import ModelMismatch
from worker.face_index import FaceIndex
from worker.metrics import Stages
from worker.queries.faces import QueryFaceCache
from worker.recognition.engine import FaceEngine
from worker.recognition.interfaces import Pack
from worker.rendering import PhotoRendering, PhotoToRender, renderings
from worker.vector_search.cache import CachedVectorStore, CacheManager
from worker.vector_search.config import CollectionConfig
from worker.vector_search.core import VectorSearchService
from worker.vector_search.exceptions import CollectionMissing
from worker.vector_search.interfaces import VectorStore
from worker.vector_search.monitoring import MetricsCollector, MonitoredVectorStore
from worker.vector_search.recall.live import SAMPLED_SHARE, LiveQueries
from worker.vector_search.tuned import TunedVectorStore

#: A collection that is no longer live is closed when it has not been used for this many seconds.
UNUSED_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class _Tuned:
    """An opened collection as it is searched with one set of search parameters."""

    store: VectorStore
    #: Without the cache and the metrics: what measurements search.
    bare_store: VectorStore
    live: LiveQueries
    index: FaceIndex


@dataclass(slots=True)
class _Opened:
    """A collection with its connections, cache and metrics.

    Its search parameters may change while it is in use, and messages with older ones still arrive. So there is one
    _Tuned for each set that a message has asked for; all of them share the store.
    """

    #: Without the cache and the metrics.
    service: VectorSearchService
    store: VectorStore
    query_faces: QueryFaceCache | None
    tuned: dict[tuple[tuple[str, int], ...], _Tuned] = field(default_factory=dict)
    used_at: float = field(default_factory=time.monotonic)

    def close(self) -> None:
        self.store.close()  # not the index: the engine is shared


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
        """Release everything. Safe to call twice, and before open()."""
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
        return self._tuned(target).index

    def store(self, target: Target) -> VectorStore:
        """Return the store of the target's collection, opened. Raises what `index` raises."""
        return self._tuned(target).store

    def bare_store(self, target: Target) -> VectorStore:
        """Return the store of the target's collection without the cache and the metrics. Raises as `index`.

        For measurements: they search for the same again and again, and are no searches of users.
        """
        return self._tuned(target).bare_store

    def measure_live(self, target: Target) -> dict[str, float]:
        """Return the match recall by gallery of searches that this process has answered lately, and forget them.

        Empty when it has not searched the target's collection. Raises what the store raises.
        """
        with self._lock:
            opened = self._opened.get(target.collection)
            tuned = opened.tuned.get(_key(collection_config(target))) if opened else None
        return {} if tuned is None else tuned.live.measure()

    def remove(self, target: Target, *, gallery_id: str, photo_ids: Sequence[str]) -> None:
        """Delete the photos' faces from the target's collection, even when another pack fills it.

        A collection that does not exist, or that no worker has opened yet, holds none. Raises what the store raises.
        """
        if target.pack == self._engine.pack.name:
            self.index(target).remove(gallery_id=gallery_id, photo_ids=photo_ids)
        elif target.fingerprint and target.dimension:
            with suppress(CollectionMissing):
                opened = self._open(target, dimension=target.dimension, fingerprint=target.fingerprint, is_foreign=True)
                opened.store.delete_photos(gallery_id=gallery_id, photo_ids=photo_ids)

    def render(self, photos: Sequence[PhotoToRender]) -> list[PhotoRendering]:
        """Make renditions of photos. No model runs, and no collection is needed. Raises what `renderings` raises."""
        return renderings(self._engine, photos, limits=self._config.image_limits, stages=self._stages)

    def drop(self, target: Target) -> None:
        """Delete the target's collection, whichever pack fills it. Raises what the store raises."""
        with self._lock:
            opened = self._opened.pop(target.collection, None)
        if opened is not None:
            opened.close()
        dimension = target.dimension or self._engine.pack.dimension
        self._service(target, dimension=dimension, fingerprint=target.fingerprint).drop()

    def close_unused(self, live: Collection[str]) -> None:
        """Close the collections that are no longer live and have not been used for UNUSED_SECONDS."""
        since = time.monotonic() - UNUSED_SECONDS
        with self._lock:
            names = [name for name, each in self._opened.items() if name not in live and each.used_at < since]
            unused = [self._opened.pop(name) for name in names]
        for each in unused:
            each.close()

    def _tuned(self, target: Target) -> _Tuned:
        pack = self._engine.pack
        if target.pack != pack.name or target.fingerprint not in ("", pack.fingerprint):
            raise ModelMismatch(
                f"The message is for pack {target.pack!r} {target.fingerprint[:12]}, this worker has {pack.name!r} "
                f"{pack.fingerprint[:12]}."
            )
        opened = self._open(target, dimension=pack.dimension, fingerprint=pack.fingerprint)
        config = collection_config(target)
        with self._lock:
            if _key(config) not in opened.tuned:
                opened.tuned[_key(config)] = self._tune(opened, config.search_params)
            return opened.tuned[_key(config)]

    def _tune(self, opened: _Opened, search_params: Mapping[str, int]) -> _Tuned:
        store = TunedVectorStore(opened.store, search_params)
        # No query is kept when live recall is not measured.
        share = SAMPLED_SHARE if settings.RECALL_INTERVAL_SECONDS else 0.0
        bare_store = TunedVectorStore(opened.service, search_params)
        live = LiveQueries(
            bare_store,
            min_similarity=self._engine.pack.match_cosine,
            sampled_share=share,
        )
        index = FaceIndex(
            self._engine,
            store,
            limits=self._config.image_limits,
            query_limits=self._config.query_limits,
            query_faces=opened.query_faces,
            live=live,
            stages=self._stages,
        )
        return _Tuned(store=store, bare_store=bare_store, live=live, index=index)

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
        """Wrap the service in the cache and the metrics, and open it all."""
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
        store.open()
        return _Opened(service=service, store=store, query_faces=query_faces)


def _key(config: CollectionConfig) -> tuple[tuple[str, int], ...]:
    """Return the search parameters as a dictionary key."""
    return tuple(sorted(config.search_params.items()))
