"""Match recall of live searches by gallery: measured by search workers, read by the web.

Measurements go into a short list in redis-cache, one list per collection. What is shown is the mean of the last hour,
because one measurement rests on few searches. The search worker that takes the message measures the searches it has
answered itself.
"""

from collections import defaultdict
from collections.abc import Awaitable, Iterable, Sequence
from statistics import fmean
from typing import Final, cast

import redis
import redis.asyncio
from pydantic import BaseModel, ConfigDict

from tasks import clock

KEY_PREFIX: Final = "facequeue:live-recall:"
#: Measurements older than this many seconds are ignored.
KEPT_SECONDS: Final = 3600
#: Most measurements kept, each with the figures of up to 50 galleries.
MOST_KEPT: Final = 50


class _Measurement(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    at: float  # by the shared clock
    recalls: dict[str, float]


class GalleryRecall(BaseModel):
    """The share of their matches that recent searches in a gallery found, 0..1, and when (by the shared clock)."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    gallery_id: str
    recall: float
    at: float


def recall_key(collection: str) -> str:
    return KEY_PREFIX + collection


def publish(cache: redis.Redis, collection: str, recalls: dict[str, float]) -> None:
    """Add a measurement, match recall by gallery. Raises what redis raises."""
    key = recall_key(collection)
    with cache.pipeline() as pipeline:
        pipeline.lpush(key, _Measurement(at=clock.now(), recalls=recalls).model_dump_json())
        pipeline.ltrim(key, 0, MOST_KEPT - 1)
        pipeline.expire(key, KEPT_SECONDS)
        pipeline.execute()


async def published(cache: redis.asyncio.Redis, collection: str) -> tuple[GalleryRecall, ...]:
    """Return each gallery's mean of the last hour, lowest first. Raises what redis raises."""
    return _means(await cast("Awaitable[list[bytes]]", cache.lrange(recall_key(collection), 0, -1)))


def recall_problem(recalls: Sequence[GalleryRecall], *, least: float) -> str:
    """Return a sentence when searches in a gallery find less than `least` (0..1) of their matches, else ""."""
    lossy = [each for each in recalls if each.recall < least]
    if not lossy:
        return ""
    worst = min(lossy, key=lambda each: each.recall)
    which = "one gallery" if len(lossy) == 1 else f"{len(lossy)} galleries"
    return (
        f"Searches in {which} find less than {least:.2%} of the matches that exact search finds; in {worst.gallery_id} "
        f"it was {worst.recall:.2%} in the last hour."
    )


def _means(values: Iterable[bytes]) -> tuple[GalleryRecall, ...]:
    since = clock.now() - KEPT_SECONDS
    measured: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
    for measurement in map(_Measurement.model_validate_json, values):
        if measurement.at >= since:
            for gallery_id, recall in measurement.recalls.items():
                measured[gallery_id].append((recall, measurement.at))
    means = (
        GalleryRecall(gallery_id=gallery_id, recall=fmean(recall for recall, _ in found), at=max(at for _, at in found))
        for gallery_id, found in measured.items()
    )
    return tuple(sorted(means, key=lambda each: (each.recall, each.gallery_id)))
