"""Threads for what would hold up pages: hashing passwords, and waiting for other people's servers.

A hash takes a processor for a third of a second, on purpose. In the threads that pages share, forty log-ins at once
would hold up every page; on the event loop, one would. Here they take turns on a few threads of their own, with a lower
priority than the web's, and are refused when too many wait.
"""

import asyncio
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import Any, Final, TypeVar

from django.db import connections

from tasks.roles import SEARCH
from worker.errors import Busy

Result = TypeVar("Result")

#: Half of the processors at most, so that pages have the others: Python lets go of its lock while it hashes.
THREADS: Final = max(1, min(4, (os.cpu_count() or 1) // 2))
#: Hashes that may wait for each thread: the last one waits for some five seconds.
WAITING_PER_THREAD: Final = 16
#: The threads' niceness: that of search workers, so that pages go first, and log-ins before indexing.
NICENESS: Final = SEARCH.niceness


class Pool:
    """A few threads, and a bounded number of calls that wait for one."""

    def __init__(self, name: str, *, threads: int, waiting: int, niceness: int = 0) -> None:
        """`name` is that of its threads; `niceness` is added to the process' own."""
        self._executor = ThreadPoolExecutor(
            threads, thread_name_prefix=name, initializer=_lower_priority, initargs=(niceness,)
        )
        self._room = threading.BoundedSemaphore(threads + waiting)

    def check_room(self) -> None:
        """Raise Busy if a call would be refused at this moment."""
        if not self._room.acquire(blocking=False):
            raise _busy()
        self._room.release()

    async def run(self, function: Callable[..., Result], *args: Any, **options: Any) -> Result:
        """Call the function on one of the threads, in the caller's context. Raises Busy when too many calls wait."""
        return await asyncio.wrap_future(self._submit(function, *args, **options))

    def start(self, function: Callable[..., object], *args: Any, **options: Any) -> None:
        """Call a function that uses the database and never raises, without waiting for it. Raises Busy."""
        self._submit(_on_a_connection_of_its_own, function, *args, **options)

    async def run_view(self, view: Callable[..., Result], *args: Any, **options: Any) -> Result:
        """Call a function that uses the database, on a connection of its own. Raises Busy as `run` does."""
        return await self.run(_on_a_connection_of_its_own, view, *args, **options)

    def _submit(self, function: Callable[..., Result], *args: Any, **options: Any) -> "Future[Result]":
        if not self._room.acquire(blocking=False):
            raise _busy()
        # The place is free once the call has ended, not once somebody has stopped waiting for it.
        future = self._executor.submit(partial(copy_context().run, function, *args, **options))
        future.add_done_callback(lambda _: self._room.release())
        return future


def _on_a_connection_of_its_own(view: Callable[..., Result], *args: Any, **options: Any) -> Result:
    try:
        return view(*args, **options)
    finally:
        connections.close_all()  # this thread's


def _busy() -> Busy:
    return Busy("Too many people are logging in at this moment. Please try again in a moment.")


def _lower_priority(niceness: int) -> None:
    """Lower the priority of this thread alone, which only Linux can."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), os.nice(0) + niceness)


#: The process' own. Its threads start when they are needed.
hashing_pool = Pool("hashing", threads=THREADS, waiting=WAITING_PER_THREAD * THREADS, niceness=NICENESS)
#: For what waits for a server of others: the mail server, the OpenID Connect provider.
network_pool = Pool("network", threads=2, waiting=32)
