"""A room for so many at a time, first come, first served."""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager


class Room:
    """Who comes later never overtakes, so nobody waits for ever. Safe to share between threads.

    Unlike a semaphore, it lets somebody take more than one place at once: all of them, to be alone.
    """

    def __init__(self, places: int) -> None:
        self.places = places
        self._free = places
        self._queue: deque[object] = deque()
        self._changed = threading.Condition()

    @property
    def waiting(self) -> int:
        """How many threads wait."""
        return len(self._queue)

    @contextmanager
    def take(self, places: int) -> Iterator[None]:
        """Hold so many places while the block runs, or all if there are fewer. Blocks until they are free."""
        me, taken = object(), min(places, self.places)
        with self._changed:
            self._queue.append(me)
            self._changed.wait_for(lambda: self._queue[0] is me and taken <= self._free)
            self._queue.popleft()
            self._free -= taken
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._free += taken
                self._changed.notify_all()
