"""The pool that hashes passwords. A hash takes a processor for a third of a second, on purpose.

In the threads that pages share, forty log-ins at once would hold up every page; on the event loop, one would. Here they
take turns on a few threads of their own, with a lower priority than the web's, and are refused when too many wait.
"""

import asyncio
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, Final, TypeVar

from tasks.roles import SEARCH
from worker.errors import Busy

Result = TypeVar("Result")

#: Half of the processors at most, so that pages have the others: Python lets go of its lock while it hashes.
THREADS: Final = max(1, min(4, (os.cpu_count() or 1) // 2))
#: Hashes that may wait for each thread: the last one waits for some five seconds.
WAITING_PER_THREAD: Final = 16
#: The threads' niceness: that of search workers, so that pages go first, and log-ins before indexing.
NICENESS: Final = SEARCH.niceness


class HashingPool:
    """A few threads, and a bounded number of calls that wait for one."""

    def __init__(self, threads: int = THREADS, waiting: int = WAITING_PER_THREAD * THREADS) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="hashing", initializer=_lower_priority)
        self._room = threading.BoundedSemaphore(threads + waiting)

    def check_room(self) -> None:
        """Raise Busy if a call would be refused at this moment."""
        if not self._room.acquire(blocking=False):
            raise _busy()
        self._room.release()

    async def run(self, function: Callable[..., Result], *args: Any, **options: Any) -> Result:
        """Call the function on one of the threads. Raises Busy at once when too many calls wait already."""
        if not self._room.acquire(blocking=False):
            raise _busy()
        # The place is free once the call has ended, not once somebody has stopped waiting for it.
        future: Future[Result] = self._executor.submit(partial(function, *args, **options))
        future.add_done_callback(lambda _: self._room.release())
        return await asyncio.wrap_future(future)


def _busy() -> Busy:
    return Busy("Too many people are logging in at this moment. Please try again in a moment.")


def _lower_priority() -> None:
    """Lower the priority of this thread alone, which only Linux can."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), os.nice(0) + NICENESS)


#: The process' own. Its threads start when they are needed.
hashing_pool = HashingPool()
