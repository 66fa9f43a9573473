"""One retry policy for every task: it reads `retryable` and nothing else."""

import random
from typing import Any, Final, NoReturn

from celery import Task

from worker.errors import FaceQueueError

MAX_RETRIES: Final = 5
FIRST_DELAY_SECONDS: Final = 1.0
LONGEST_DELAY_SECONDS: Final = 30.0


def delay_seconds(retries: int) -> float:
    """Return how long to wait before retry number `retries` + 1: exponential, with full jitter on its upper half."""
    ceiling = float(min(FIRST_DELAY_SECONDS * 2**retries, LONGEST_DELAY_SECONDS))
    return ceiling * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, hides nothing


def will_retry(task: "Task[Any, Any]", error: FaceQueueError) -> bool:
    """Return whether `retry_or_raise` would send the task again."""
    return error.retryable and bool(task.request.retries < MAX_RETRIES)


def retry_or_raise(task: "Task[Any, Any]", error: FaceQueueError) -> NoReturn:
    """Send the task again later when `error` says that this can help, otherwise raise it."""
    if will_retry(task, error):
        raise task.retry(exc=error, countdown=delay_seconds(task.request.retries), max_retries=MAX_RETRIES)
    raise error
