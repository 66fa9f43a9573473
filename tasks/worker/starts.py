"""Index tasks that started and never finished: a photo killed its worker, or was in it when it died.

Redis delivers an unacknowledged message again and again. A photo that kills every worker that opens it would do so once
in each visibility timeout, for ever, even after its row has failed for good. So a message that never finished does not
run a second time: the sweep sends its photos again, counts, and gives up.

Nor may such a photo take its neighbours with it each time. It is not known which photo in the worker killed it, so each
of them waits before it is opened again: for a random time, longer after each death. Sooner or later a neighbour is done
before the worker dies.
"""

import logging
import random
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Final

import redis

logger = logging.getLogger(__name__)

MESSAGE_PREFIX: Final = "facequeue:begun-message:"
PHOTO_PREFIX: Final = "facequeue:begun-photo:"
#: Longer than any message waits for redelivery, in seconds.
REMEMBERED_SECONDS: Final = 24 * 3600
#: Most seconds of waiting per death of a worker, and the number of deaths after which it stops growing.
WAIT_PER_DEATH_SECONDS: Final = 2.0
MOST_DEATHS: Final = 5


class Starts:
    """Marks in redis-cache. Without redis-cache everything counts as new: work goes on."""

    def __init__(self, cache: redis.Redis) -> None:
        self._cache = cache

    @contextmanager
    def running(self, task_id: str, photo_ids: Collection[str]) -> Iterator[bool]:
        """Mark the message and its photos as started until the block ends, however it ends.

        Yields False when an earlier run of the message never finished: it must not run. First waits, for seconds, when
        one of the photos was in a worker that died.
        """
        message, photos = MESSAGE_PREFIX + task_id, [PHOTO_PREFIX + photo_id for photo_id in photo_ids]
        if not self._begin(message, photos):
            yield False
            return
        try:
            yield True
        finally:
            try:
                self._cache.delete(message, *photos)
            except redis.RedisError as error:
                logger.warning("Index message %s stays marked as started: %s", task_id, error)

    def _begin(self, message: str, photos: list[str]) -> bool:
        try:
            if not self._cache.set(message, 1, nx=True, ex=REMEMBERED_SECONDS):
                return False
            deaths = max((int(count) for count in self._cache.mget(photos) if count), default=0)
            if deaths:
                time.sleep(_wait_seconds(deaths))
            with self._cache.pipeline(transaction=False) as pipe:
                for photo in photos:
                    pipe.incr(photo)
                    pipe.expire(photo, REMEMBERED_SECONDS)
                pipe.execute()
        except redis.RedisError as error:
            logger.warning("An index message could not be marked as started: %s", error)
        return True


def _wait_seconds(deaths: int) -> float:
    return WAIT_PER_DEATH_SECONDS * min(deaths, MOST_DEATHS) * random.random()  # noqa: S311 - no secret
