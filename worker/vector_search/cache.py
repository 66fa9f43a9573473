"""CacheManager: the matches of earlier searches, in redis-cache; and CachedVectorStore, which uses it.

Matches are kept by the query and the *epochs* of the galleries that it covers.

**Why no search returns what a finished write has changed.** The epoch of a gallery is a value in Redis that is never
used twice: the time at which it was set, on Redis' clock, and 64 random bits. Every write to a gallery (an upsert or a
delete, by any process) replaces its epoch before the write begins and again after it has ended.

1. A search first reads the epochs of all its galleries in one step, then looks for matches kept under exactly these
   epochs, then asks the store and keeps the answer under the epochs that it read. Once a write to any of the galleries
   has ended, nobody can read that combination of epochs again. So whatever was kept under it, even by a search that
   took longer than the write, is never read again.
2. A search that reads the newest epochs asks the store after the last write. The store may still return old rows:
   Milvus reads may be some seconds stale. Therefore nothing is kept or used until each of the epochs is SETTLE_SECONDS
   old. Until then every search asks the store, so the cache is never staler than the store itself.
3. If the epoch cannot be replaced before a write, the write is refused (StoreUnavailable: retry later) and nothing is
   written. If it cannot be replaced afterwards, the write is refused as well: it has happened but is not reported as
   done, and must be repeated, which changes nothing but the epoch. So no write *succeeds* without a new epoch.
4. A writer that dies in between, or gives up on a server that does not answer, also leaves a new epoch behind. Nothing
   is kept under it for SETTLE_SECONDS, and what is kept later was read after the write, unless the write takes longer
   than that, or the server executes it later. Such a write was never reported as done; its message is delivered again.
   Until then, or until the TTL, matches may reflect the half-finished write.
5. A Redis that was restarted, or has evicted or expired an epoch, has none. A search that finds none sets a new one,
   which has not settled, just as if a write had ended at that moment. It differs from all earlier ones, so whatever may
   still be kept under those stays unread. (Values expire sooner than epochs, and `volatile-ttl` evicts by the time
   left.)

This relies on each face staying in its gallery. It does: its id derives from its photo's id, and a photo belongs to one
gallery. (An upsert that moves a face replaces only the epoch of the gallery it enters.) The rest is up to the operator.
Every writer must replace epochs: switch caching on or off for all workers together, and after dropping or restoring a
collection by other means, wait for the TTL or empty redis-cache. redis-cache must not come back with old data, or an
epoch would return together with what was kept under it; so it has no file and no replica. Setting Redis' clock forward
shortens one settling period by as much.

**Erasure.** After an erasure the matches of the gallery are never used again, but their bytes (face ids, photo ids and
similarities) stay in memory until their TTL, as do the embeddings of query images (`worker/queries/faces.py`), which
belong to no gallery. redis-cache writes nothing to disk.

**When Redis does not answer** a search goes on without it, counted as a miss. Only writes wait for it (see 3).
"""

import hashlib
import json
import secrets
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import fields, replace
from typing import Final

import numpy as np
import redis

from worker.vector_search.cached_values import KEY_PREFIX, NOW, CachedValues, decoded
from worker.vector_search.checks import checked_galleries, checked_id
from worker.vector_search.exceptions import StoreUnavailable
from worker.vector_search.interfaces import FaceRecord, Match, SearchQuery, VectorStore
from worker.vector_search.monitoring import Recorder
from worker.vector_search.wrapped import WrappedVectorStore

#: Never changes: workers of different releases must see each other's writes.
EPOCH_PREFIX: Final = "facequeue:epoch:"
#: Twice the five seconds that a Milvus reader with bounded staleness may lag behind.
SETTLE_SECONDS: Final = 10.0
#: An epoch that is not replaced for this long is forgotten; far longer than any value lives.
EPOCH_SECONDS: Final = 2 * 86_400

#: KEYS: epochs. ARGV: random part, milliseconds to live. Replaces the epochs.
_REPLACE_EPOCHS = (
    NOW
    + """
for _, key in ipairs(KEYS) do
    redis.call('SET', key, string.format('%.0f:', ms) .. ARGV[1], 'PX', ARGV[2])
end
"""
)

#: KEYS: epochs. ARGV: random part and milliseconds to live for an epoch that is missing, milliseconds until an epoch
#: has settled, the first part of the matches' key. Returns the whole key and the matches kept there; no key when
#: nothing may be kept. The key contains a digest of the epochs, as there may be thousands.
_LOOK_UP = (
    NOW
    + """
local epochs, settled = {}, true
for i, key in ipairs(KEYS) do
    local epoch = redis.call('GET', key)
    if not epoch then
        epoch = string.format('%.0f:', ms) .. ARGV[1]
        redis.call('SET', key, epoch, 'PX', ARGV[2])
    end
    settled = settled and ms - tonumber(string.match(epoch, '^%d+')) >= tonumber(ARGV[3])
    epochs[i] = epoch
end
if not settled then
    return {false, false}
end
local key = ARGV[4] .. ':' .. redis.sha1hex(table.concat(epochs, ','))
return {key, redis.call('HGET', key, 'json')}
"""
)

Matches = list[list[Match]]


class CacheManager:
    """Keeps the matches of searches for every process that shares the redis-cache and the collection.

    Safe to share between threads and across a fork. Connects on first use.
    """

    def __init__(
        self,
        redis_url: str,
        *,
        collection: str,
        ttl_seconds: float,
        max_values: int,
        settle_seconds: float = SETTLE_SECONDS,
        recorder: Recorder | None = None,
    ) -> None:
        #: Where the matches are kept. Other caches may keep values here too; all share its limits.
        self.values: Final = CachedValues(redis_url, ttl_seconds=ttl_seconds, max_values=max_values, recorder=recorder)
        self._collection = collection
        self._settle_ms = round(settle_seconds * 1000)
        self._replace = self.values.client.register_script(_REPLACE_EPOCHS)
        self._look_up = self.values.client.register_script(_LOOK_UP)

    def close(self) -> None:
        """Close the connections. Safe to call twice."""
        self.values.close()

    def matches(self, query: SearchQuery, *, search: Callable[[SearchQuery], Matches]) -> Matches:
        """Return the kept matches of the query, or `search(query)` after keeping its answer.

        Raises what `search` raises, InvalidId, and StoreRejected (there is no gallery).
        """
        query = replace(query, gallery_ids=tuple(checked_galleries(query)))
        name = _name(query)
        if name is None:
            return search(query)  # which refuses it
        key, kept = self._kept(query, name)
        self.values.recorder.record("cache_matches_misses" if kept is None else "cache_matches_hits")
        if kept is not None:
            return kept
        found = search(query)
        if key is not None:
            self.values.keep(key, {"json": _to_json(found)})
        return found

    @contextmanager
    def writing(self, gallery_ids: Collection[str]) -> Iterator[None]:
        """Wrap a write to these galleries: no search that begins after it returns matches from before it.

        Raises StoreUnavailable when Redis does not accept the new epochs: either before the write, which is then not
        made, or after it, in which case it must be repeated.
        """
        self._replace_epochs(gallery_ids)
        try:
            yield
        except BaseException:
            # Part of it may have been written.
            with suppress(StoreUnavailable):
                self._replace_epochs(gallery_ids)
            raise
        self._replace_epochs(gallery_ids)

    def _epoch_keys(self, gallery_ids: Collection[str]) -> list[str]:
        return [f"{EPOCH_PREFIX}{self._collection}:{gallery_id}" for gallery_id in gallery_ids]

    def _replace_epochs(self, gallery_ids: Collection[str]) -> None:
        if not gallery_ids:
            return
        try:
            self._replace(keys=self._epoch_keys(gallery_ids), args=[secrets.token_hex(8), EPOCH_SECONDS * 1000])
        except redis.RedisError as error:
            self.values.recorder.record("cache_failures")
            raise StoreUnavailable(
                "redis-cache does not answer, so cached searches cannot be invalidated; repeat the write."
            ) from error

    def _kept(self, query: SearchQuery, name: str) -> tuple[str | None, Matches | None]:
        """Return the key for the query's matches, None if they must not be kept now, and the matches kept there."""
        prefix = f"{KEY_PREFIX}matches:{self._collection}:{name}"
        arguments: list[str | int] = [secrets.token_hex(8), EPOCH_SECONDS * 1000, self._settle_ms, prefix]
        keys = self._epoch_keys(query.gallery_ids)
        key, matches = self.values.ask(lambda: self._look_up(keys=keys, args=arguments)) or (None, None)
        kept = None if matches is None else decoded(lambda: _from_json(matches, len(query.embeddings)))
        return key, kept


class CachedVectorStore(WrappedVectorStore):
    """A VectorStore that answers from the cache where possible, and replaces epochs around every write."""

    def __init__(self, inner: VectorStore, cache: CacheManager) -> None:
        super().__init__(inner)
        self._cache = cache
        self._is_open = False

    def open(self) -> None:
        self._inner.open()
        self._is_open = True

    def close(self) -> None:
        self._is_open = False
        self._inner.close()
        self._cache.close()

    def search(self, query: SearchQuery) -> Matches:
        if not self._is_open:
            return self._inner.search(query)  # which refuses it
        return self._cache.matches(query, search=self._inner.search)

    def drop(self) -> None:
        """Leave the epochs as they are: nobody searches a dropped collection, and what is kept expires."""
        self._inner.drop()
        self.close()

    def upsert(self, records: Sequence[FaceRecord], *, wait_until_found: bool = True) -> None:
        with self._writing({record.gallery_id for record in records}):
            self._inner.upsert(records, wait_until_found=wait_until_found)

    def delete_faces(self, *, gallery_id: str, face_ids: Collection[str]) -> None:
        with self._writing({gallery_id}):
            self._inner.delete_faces(gallery_id=gallery_id, face_ids=face_ids)

    def delete_photos(self, *, gallery_id: str, photo_ids: Collection[str]) -> None:
        with self._writing({gallery_id}):
            self._inner.delete_photos(gallery_id=gallery_id, photo_ids=photo_ids)

    def delete_stale_faces(self, *, gallery_id: str, kept: Mapping[str, Collection[str]]) -> None:
        with self._writing({gallery_id}):
            self._inner.delete_stale_faces(gallery_id=gallery_id, kept=kept)

    def _writing(self, gallery_ids: Collection[str]) -> AbstractContextManager[None]:
        if not self._is_open:
            return nullcontext()  # the inner store refuses the write
        return self._cache.writing([checked_id(gallery_id) for gallery_id in gallery_ids])


def _name(query: SearchQuery) -> str | None:
    """Return the SHA-256 of everything that the query asks; None if its embeddings are not numbers."""
    try:
        embeddings = np.ascontiguousarray(query.embeddings, dtype="<f4")
    except (TypeError, ValueError):
        return None
    # All fields, whatever they are, so that one that SearchQuery gains is not forgotten here.
    asked = {each.name: repr(getattr(query, each.name)) for each in fields(query) if each.name != "embeddings"}
    digest = hashlib.sha256(json.dumps([asked, embeddings.shape]).encode())
    digest.update(embeddings.tobytes())
    return digest.hexdigest()


def _to_json(matches: Matches) -> bytes:
    return json.dumps([[[hit.face_id, hit.photo_id, hit.similarity] for hit in hits] for hits in matches]).encode()


def _from_json(value: bytes, embedding_count: int) -> Matches:
    rows = json.loads(value)
    if len(rows) != embedding_count:
        raise ValueError("Expected one list per embedding.")
    return [
        [Match(face_id=str(face), photo_id=str(photo), similarity=float(cosine)) for face, photo, cosine in hits]
        for hits in rows
    ]
