"""Index tasks that started and never finished: a photo killed its worker, or was in it when it died.

Redis delivers an unacknowledged message again and again. A photo that kills every worker that opens it would do so once
in each visibility timeout, for ever, even after its row has failed for good. So a message that never finished does not
run a second time: the sweep sends its photos again.

Nor may such a photo take its neighbours with it. Which of the photos in a dead worker killed it is not known, so each
of them is a suspect: it comes back in a message of its own, which runs while no other photo is open in the process
(`photos/`). A suspect is guilty when workers died while they had opened it alone, often enough that chance is
unlikely. It is not opened again.
"""

import logging
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from enum import Enum, auto
from typing import Final

import redis

logger = logging.getLogger(__name__)

MESSAGE_PREFIX: Final = "facequeue:begun-message:"
#: How many workers died while they had opened this photo alone; one more while a worker has.
ALONE_PREFIX: Final = "facequeue:alone:"
#: Longer than any message waits for redelivery, in seconds.
REMEMBERED_SECONDS: Final = 24 * 3600
#: How many workers a photo may kill, unless fewer attempts are allowed. It has been alone in all but the first: that
#: somebody stops a worker three times in the moment in which it has the same innocent photo open does not happen.
MOST_DEATHS: Final = 4


class Verdict(Enum):
    """What to do with a message."""

    #: Index its photos.
    NEW = auto()
    #: Nothing: an earlier run of it never finished.
    BEGUN_BEFORE = auto()
    #: Fail its photo without opening it: it kills workers.
    GUILTY = auto()


class Starts:
    """Marks in redis-cache. Without redis-cache everything counts as new: work goes on."""

    def __init__(self, cache: redis.Redis, *, most_deaths: int) -> None:
        """`most_deaths` is how many workers a photo may kill: the first in company, all others alone."""
        self._cache = cache
        self._most_alone = max(1, most_deaths - 1)

    @contextmanager
    def running(self, task_id: str, suspects: Collection[str] = ()) -> Iterator[Verdict]:
        """Mark the message and its suspects as begun until the block ends, however it ends; yield what to do with it.

        `suspects` are the photos of a message that runs alone.
        """
        message, photos = MESSAGE_PREFIX + task_id, [ALONE_PREFIX + photo for photo in suspects]
        verdict = self._begin(message, photos)
        try:
            yield verdict
        finally:
            if verdict is not Verdict.BEGUN_BEFORE:
                self._end(message, photos)

    def _begin(self, message: str, photos: list[str]) -> Verdict:
        try:
            if not self._cache.set(message, 1, nx=True, ex=REMEMBERED_SECONDS):
                return Verdict.BEGUN_BEFORE
            counts = [self._cache.incr(photo) for photo in photos]
            for photo in photos:
                self._cache.expire(photo, REMEMBERED_SECONDS)
        except redis.RedisError as error:
            logger.warning("An index message could not be marked as begun: %s", error)
            return Verdict.NEW
        return Verdict.GUILTY if max(counts, default=0) > self._most_alone else Verdict.NEW

    def _end(self, message: str, photos: list[str]) -> None:
        try:
            self._cache.delete(message, *photos)
        except redis.RedisError as error:
            logger.warning("An index message stays marked as begun: %s", error)
