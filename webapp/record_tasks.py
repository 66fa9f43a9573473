"""What every task of the records worker shares."""

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from celery import Task, shared_task
from django.conf import settings
from django.db import OperationalError

from tasks.errors import QueueUnavailable
from tasks.retry import FIRST_DELAY_SECONDS, LONGEST_DELAY_SECONDS, MAX_RETRIES

RETRIED: Final[dict[str, Any]] = {
    "autoretry_for": (OperationalError, QueueUnavailable),
    "retry_backoff": FIRST_DELAY_SECONDS,
    "retry_backoff_max": LONGEST_DELAY_SECONDS,
    "max_retries": MAX_RETRIES,
    "ignore_result": True,
}

#: How soon a tick is tried again while another one runs, in seconds.
TICK_RETRY_SECONDS: Final = 0.5


def long_tick(name: str) -> Callable[[Callable[[], None]], "Task[Any, Any]"]:
    """Make a function a task for beat that may take seconds: on one machine, only one of them runs at a time.

    So one process of the records worker is always free for what people wait for: outcomes and removals. The other ticks
    are tried again until they run or expire; beat soon sends the next ones. They are not retried when they fail.
    """

    def decorate(function: Callable[[], None]) -> "Task[Any, Any]":
        def run(self: "Task[Any, Any]") -> None:
            with _alone() as is_alone:
                if is_alone:
                    function()
                    return
            raise self.retry(countdown=TICK_RETRY_SECONDS)

        run.__doc__, run.__module__, run.__name__ = function.__doc__, function.__module__, function.__name__
        task: Task[Any, Any] = shared_task(name=name, bind=True, ignore_result=True, max_retries=None)(run)
        return task

    return decorate


@contextmanager
def _alone() -> Iterator[bool]:
    """Yield whether no other process of this machine is in this block. A process that dies leaves it."""
    with (settings.DATA_DIR / "tick.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
