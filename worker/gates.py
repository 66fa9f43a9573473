"""Who may be inside at a time: the pictures that a process decodes, or the tasks that have photos open.

The memory that pictures take at once in one process is bounded, whatever the files claim. `images/cost.py` says what
each takes.
"""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Final

#: The share of the bound that is kept for small pictures. No large picture takes it, so small ones pass beside them.
SMALL_SHARE: Final = 1 / 5
#: A picture of at most this share of the bound is small: eight of them fit into the places that are kept.
SMALL_PICTURE_SHARE: Final = SMALL_SHARE / 8


class Gate:
    """A number of places that threads share. They are taken in the order of arrival, so nobody waits for ever.

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
            try:
                self._changed.wait_for(lambda: self._queue[0] is me and taken <= self._free)
                self._free -= taken
            finally:  # also when the wait is interrupted: nobody behind would ever be first
                self._queue.remove(me)
                self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._free += taken
                self._changed.notify_all()


class PictureGate:
    """Every thread that decodes passes it. Large and small pictures queue separately, each first come, first served."""

    def __init__(self, most_bytes: int) -> None:
        """Pictures take at most `most_bytes` at once: four fifths for large ones, one fifth for small ones."""
        small = int(most_bytes * SMALL_SHARE)
        self._small, self._large = Gate(small), Gate(most_bytes - small)
        self._small_picture_bytes = int(most_bytes * SMALL_PICTURE_SHARE)

    @contextmanager
    def admit(self, picture_bytes: int) -> Iterator[None]:
        """Let a picture that takes so much memory be decoded and held in the block. Blocks until there is room.

        One that needs more than there is for large ones borrows the rest from the small ones, which pass as soon as
        it has gone. It waits for them only once it is among the large ones, and never the other way about.
        """
        if picture_bytes <= self._small_picture_bytes:
            with self._small.take(picture_bytes):
                yield
            return
        borrowed = picture_bytes - self._large.places
        with self._large.take(picture_bytes), self._small.take(borrowed) if borrowed > 0 else nullcontext():
            yield
