"""CacheManager: what searches have found out already, in redis-cache; and CachedVectorStore, which uses it.

Two things are kept, each for `ttl_seconds`, together at most `max_entries` of them for all processes that share the
redis-cache (the oldest go first):

* the faces of a query image, by the image's SHA-256 and the pack's fingerprint: boxes, landmarks, scores and quality
  as JSON, embeddings as raw little-endian float32;
* the matches of a query, by the query and the *epoch* of its gallery, as JSON.

Nothing is pickled: what comes out of Redis is read as numbers and texts and can run nothing.

**Why no search is answered with what a finished write has changed.** A gallery's epoch is a value in Redis that is
never used twice: the time at which it was set, on Redis' clock, and 64 random bits. Every write of a gallery (upsert
or delete, by any process) replaces it before the write begins and again after it has ended.

1. A search reads the epoch first, then looks for matches kept under it, then asks the store and keeps the answer under
   the epoch that it read. After a write has ended, nobody can read the epochs that were current before, so what was
   kept under them, even by a search that was slower than the write, is never read again.
2. A search that reads the newest epoch asks the store after the write. The store may still give old rows: Milvus reads
   with bounded staleness, some seconds. Therefore nothing is kept or used before the epoch is SETTLE_SECONDS old.
   Until then each search asks the store; the cache is never staler than the store itself.
3. An epoch that cannot be replaced beforehand refuses the write (StoreUnavailable: retry later), before anything is
   written. One that cannot be replaced afterwards refuses it as well: the write is done but is not reported as done,
   and must be made again, which changes nothing but the epoch. So no write *ends well* without a new epoch.
4. A writer that dies in between, or gives up on a server that does not answer, leaves a new epoch as well. Nothing is
   kept under it for SETTLE_SECONDS, and what is kept later was read after the write, unless that took longer, or the
   server carries it out later than that. Such a write was never reported as done; its message is delivered again,
   and until then, or until the TTL, matches may be as they were in the middle of it.
5. A Redis that was restarted, or has evicted or expired an epoch, has none. A search that finds none sets a new one,
   which is not settled, exactly as if a write had just ended. It equals no earlier one, so what may still be kept
   under those stays unread. (Entries expire sooner than epochs, and `volatile-ttl` evicts by the time left.)

This holds as long as a face stays in its gallery, as it does here: its id derives from its photo's, and a photo is in
one gallery. (An upsert that moves a face raises the epoch of the gallery that it enters only.) The rest is the
operator's. Every writer must raise epochs: caching is switched on or off for all workers at once, and who drops or
restores a collection past them waits for the TTL or empties redis-cache. A redis-cache must not come back with old
data, or an epoch would return with what was kept under it: it has no file and no replica. A clock of Redis that is set
forward shortens one settling by as much.

**Erasure.** After an erasure the matches of the gallery are not used any more, at once, but their bytes (face ids,
photo ids and similarities) stay until their TTL, as do the embeddings of query images, which belong to no gallery.
redis-cache writes nothing to a disk.

**When Redis does not answer** a search goes on without it: a miss, counted. Only writes wait for it (3.).
"""

import hashlib
import json
import logging
import secrets
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, fields
from typing import Any, Final, TypeVar

import numpy as np
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from worker.recognition.interfaces import Box, Face, RejectedFace
from worker.vector_search.checks import checked_id
from worker.vector_search.exceptions import StoreUnavailable
from worker.vector_search.interfaces import FaceHit, FaceRecord, SearchQuery, VectorStore
from worker.vector_search.monitoring import NullRecorder, Recorder
from worker.vector_search.wrapped import WrappedVectorStore

logger = logging.getLogger(__name__)

#: Raise the number when what is kept, or how faces are found and described, changes in a way that the pack's
#: fingerprint does not show: what an earlier release has kept is then not found.
KEY_PREFIX: Final = "facequeue:cache:2:"
#: Never changed: workers of two releases must hear of each other's writes.
EPOCH_PREFIX: Final = "facequeue:epoch:"
#: Twice the five seconds that a Milvus reader with bounded staleness may be behind.
SETTLE_SECONDS: Final = 10.0
#: An epoch that is not raised for this long is forgotten; far longer than any entry lives.
EPOCH_SECONDS: Final = 2 * 86_400
#: What is larger is not kept: some 30 faces, or 600 matches. It bounds the memory that `max_entries` may take.
MAX_VALUE_BYTES: Final = 64 * 1024
#: Redis answers in less than a millisecond. A search does not wait longer than this for it.
TIMEOUT_SECONDS: Final = 0.5
#: After Redis has not answered, searches do without it for so long: one pays for the timeout, not each.
PAUSE_SECONDS: Final = 1.0

#: "ms" is the time in milliseconds; Lua's numbers hold it exactly.
_NOW = "local now = redis.call('TIME') local ms = now[1] * 1000 + math.floor(now[2] / 1000) "

#: Epoch keys; random part, milliseconds to live. Replaces the epochs.
_RAISE = (
    _NOW
    + """
for _, key in ipairs(KEYS) do
    redis.call('SET', key, string.format('%.0f:', ms) .. ARGV[1], 'PX', ARGV[2])
end
"""
)

#: Epoch key; random part and milliseconds to live of an epoch to begin with, milliseconds until an epoch is settled,
#: the key of the query's matches but for the epoch. Returns the whole key and the matches kept there; no key when
#: nothing may be kept.
_LOOK_UP = (
    _NOW
    + """
local epoch = redis.call('GET', KEYS[1])
if not epoch then
    epoch = string.format('%.0f:', ms) .. ARGV[1]
    redis.call('SET', KEYS[1], epoch, 'PX', ARGV[2])
end
if ms - tonumber(string.match(epoch, '^%d+')) < tonumber(ARGV[3]) then
    return {false, false}
end
local key = ARGV[4] .. ':' .. epoch
return {key, redis.call('HGET', key, 'json')}
"""
)

#: Key of the entry, key of the list of entries; milliseconds to live, most entries, then fields and values.
#: The list has no TTL: an evicted list would forget entries that still count.
_KEEP = (
    _NOW
    + """
redis.call('HSET', KEYS[1], unpack(ARGV, 3))
redis.call('PEXPIRE', KEYS[1], ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', ms)
redis.call('ZADD', KEYS[2], ms + ARGV[1], KEYS[1])
local surplus = redis.call('ZCARD', KEYS[2]) - ARGV[2]
if surplus > 0 then
    local oldest = redis.call('ZPOPMIN', KEYS[2], surplus)
    for i = 1, #oldest, 2 do
        redis.call('UNLINK', oldest[i])
    end
end
"""
)

Answer = TypeVar("Answer")
Matches = list[list[FaceHit]]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryFaces:
    """The faces of a query image, best detection first, and those that the thresholds of FACE_CONFIG left out.

    `width` and `height` are those of the upright picture in pixels.
    """

    faces: tuple[Face, ...]
    rejected: tuple[RejectedFace, ...] = ()
    width: int
    height: int


class CacheManager:
    """Keeps what searches found, for every process that uses the same redis-cache, collection and pack.

    Safe to share between threads and across a fork. Connects when it is first used.
    """

    def __init__(
        self,
        redis_url: str,
        *,
        collection: str,
        fingerprint: str,
        ttl_seconds: float,
        max_entries: int,
        settle_seconds: float = SETTLE_SECONDS,
        recorder: Recorder | None = None,
    ) -> None:
        self._client = redis.Redis.from_url(
            redis_url,
            socket_timeout=TIMEOUT_SECONDS,
            socket_connect_timeout=TIMEOUT_SECONDS,
            # A search goes on without it, and a write is made again as a whole: nobody shall wait for this client's
            # own three retries. (A connection from before a restart is noticed and replaced without them.)
            retry=Retry(NoBackoff(), 0),
        )
        self._collection = collection
        self._fingerprint = fingerprint
        self._ttl_ms = round(ttl_seconds * 1000)
        self._max_entries = max_entries
        self._settle_ms = round(settle_seconds * 1000)
        self._recorder = recorder or NullRecorder()
        self._paused_until = 0.0
        self._raise = self._client.register_script(_RAISE)
        self._look_up = self._client.register_script(_LOOK_UP)
        self._keep = self._client.register_script(_KEEP)

    def close(self) -> None:
        """Close the connections. Safe to call twice."""
        self._client.close()

    def faces(self, image: bytes, *, variant: str, find: Callable[[], QueryFaces]) -> QueryFaces:
        """Return the faces of the image as they are kept, or `find()` and keep them.

        `variant` names whatever beside the image and the pack decides which faces are found. Raises what `find`
        raises, and nothing of its own.
        """
        key = f"{KEY_PREFIX}faces:{self._fingerprint}:{variant}:{hashlib.sha256(image).hexdigest()}"
        about, embeddings = self._ask(lambda: self._client.hmget(key, "json", "float32")) or (None, None)
        kept = None if about is None or embeddings is None else _read(lambda: _faces_from(about, embeddings))
        self._recorder.record("cache_faces_misses" if kept is None else "cache_faces_hits")
        if kept is not None:
            return kept
        found = find()
        self._store(key, _faces_to(found))
        return found

    def matches(self, query: SearchQuery, *, search: Callable[[SearchQuery], Matches]) -> Matches:
        """Return the matches of the query as they are kept, or `search(query)` and keep them.

        Raises what `search` raises, and nothing of its own.
        """
        name = _name(query)
        if name is None:
            return search(query)  # which refuses it
        key, kept = self._matches_kept(query, name)
        self._recorder.record("cache_matches_misses" if kept is None else "cache_matches_hits")
        if kept is not None:
            return kept
        found = search(query)
        if key is not None:
            self._store(key, {"json": _matches_to(found)})
        return found

    @contextmanager
    def writing(self, gallery_ids: Collection[str]) -> Iterator[None]:
        """Around a write of these galleries: no search that begins after it is answered from before it.

        Raises StoreUnavailable when Redis does not take the new epochs: before the write, which is then not made, or
        after it, which must then be made again.
        """
        self._raise_epochs(gallery_ids)
        try:
            yield
        except BaseException:
            # A part of it may have been written.
            with suppress(StoreUnavailable):
                self._raise_epochs(gallery_ids)
            raise
        self._raise_epochs(gallery_ids)

    def _epoch_key(self, gallery_id: str) -> str:
        return f"{EPOCH_PREFIX}{self._collection}:{gallery_id}"

    def _raise_epochs(self, gallery_ids: Collection[str]) -> None:
        if not gallery_ids:
            return
        keys = [self._epoch_key(gallery_id) for gallery_id in gallery_ids]
        try:
            self._raise(keys=keys, args=[secrets.token_hex(8), EPOCH_SECONDS * 1000])
        except redis.RedisError as error:
            self._recorder.record("cache_failures")
            raise StoreUnavailable(
                "redis-cache does not answer, so searches cannot be told of this write; write it again."
            ) from error

    def _matches_kept(self, query: SearchQuery, name: str) -> tuple[str | None, Matches | None]:
        """Return the key for this query's matches, None when they must not be kept now, and the matches kept there."""
        epoch_key = self._epoch_key(query.gallery_id)
        prefix = f"{KEY_PREFIX}matches:{self._collection}:{query.gallery_id}:{name}"
        arguments: list[str | int] = [secrets.token_hex(8), EPOCH_SECONDS * 1000, self._settle_ms, prefix]
        key, matches = self._ask(lambda: self._look_up(keys=[epoch_key], args=arguments)) or (None, None)
        kept = None if matches is None else _read(lambda: _matches_from(matches, len(query.embeddings)))
        return key, kept

    def _store(self, key: str, values: Mapping[str, bytes]) -> None:
        if sum(map(len, values.values())) > MAX_VALUE_BYTES:
            return
        arguments: list[str | bytes | int] = [self._ttl_ms, self._max_entries]
        for field, value in values.items():
            arguments += [field, value]
        self._ask(lambda: self._keep(keys=[key, f"{KEY_PREFIX}entries"], args=arguments))

    def _ask(self, command: Callable[[], Any]) -> Any:
        """Return Redis' answer, or None when it gives none."""
        if time.monotonic() < self._paused_until:
            return None
        try:
            return command()
        except redis.RedisError as error:
            self._paused_until = time.monotonic() + PAUSE_SECONDS
            self._recorder.record("cache_failures")
            logger.warning("Searching without the cache: %s", error)
            return None


class CachedVectorStore(WrappedVectorStore):
    """A VectorStore that answers from the cache where it may, and tells it of every write."""

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
        checked_id(query.gallery_id)
        return self._cache.matches(query, search=self._inner.search)

    def drop(self) -> None:
        """Nobody searches a dropped collection, so its epochs stay as they are; what is kept goes with its TTL."""
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


# -- what stands in Redis ---------------------------------------------------------------------------------------


def _read(decode: Callable[[], Answer]) -> Answer | None:
    """Return what was kept, or None when it is not what this release would have kept."""
    try:
        return decode()
    except (ValueError, TypeError, KeyError):
        logger.warning("An entry of the cache cannot be read; it is taken as missing.")
        return None


def _name(query: SearchQuery) -> str | None:
    """Return the SHA-256 over everything that the query asks; None when its embeddings are no numbers."""
    try:
        embeddings = np.ascontiguousarray(query.embeddings, dtype="<f4")
    except (TypeError, ValueError):
        return None
    # All fields, whatever they are: one that SearchQuery gains must not be forgotten here.
    asked = {each.name: repr(getattr(query, each.name)) for each in fields(query) if each.name != "embeddings"}
    digest = hashlib.sha256(json.dumps([asked, embeddings.shape]).encode())
    digest.update(embeddings.tobytes())
    return digest.hexdigest()


def _matches_to(matches: Matches) -> bytes:
    return json.dumps([[[hit.face_id, hit.photo_id, hit.similarity] for hit in hits] for hits in matches]).encode()


def _matches_from(value: bytes, embedding_count: int) -> Matches:
    rows = json.loads(value)
    if len(rows) != embedding_count:
        raise ValueError("as many lists as embeddings are wanted")
    return [
        [FaceHit(face_id=str(face), photo_id=str(photo), similarity=float(cosine)) for face, photo, cosine in hits]
        for hits in rows
    ]


def _faces_to(found: QueryFaces) -> dict[str, bytes]:
    about = {
        "width": found.width,
        "height": found.height,
        "faces": [
            {
                "box": _sides(face.box),
                "landmarks": np.asarray(face.landmarks, dtype=np.float32).tolist(),
                "score": float(face.score),
                "quality": float(face.quality),
            }
            for face in found.faces
        ],
        "rejected": [[_sides(face.box), float(face.score), face.reason] for face in found.rejected],
    }
    embeddings = [np.asarray(face.embedding, dtype="<f4").tobytes() for face in found.faces]
    return {"json": json.dumps(about).encode(), "float32": b"".join(embeddings)}


def _faces_from(about: bytes, embeddings: bytes) -> QueryFaces:
    known = json.loads(about)
    # A copy in this machine's byte order: what Redis gave cannot be written to.
    rows = np.frombuffer(embeddings, dtype="<f4").astype(np.float32)
    rows = rows.reshape(len(known["faces"]), -1) if known["faces"] else rows.reshape(0, 0)
    return QueryFaces(
        faces=tuple(
            Face(
                box=_box(each["box"]),
                landmarks=np.array(each["landmarks"], dtype=np.float32),
                score=each["score"],
                quality=each["quality"],
                embedding=row,
            )
            for each, row in zip(known["faces"], rows, strict=True)
        ),
        rejected=tuple(
            RejectedFace(box=_box(sides), score=score, reason=reason) for sides, score, reason in known["rejected"]
        ),
        width=known["width"],
        height=known["height"],
    )


def _sides(box: Box) -> list[float]:
    return [float(side) for side in (box.left, box.top, box.right, box.bottom)]


def _box(sides: Sequence[float]) -> Box:
    left, top, right, bottom = sides
    return Box(left=left, top=top, right=right, bottom=bottom)
