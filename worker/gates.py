"""Who may be inside at a time: the pixels that a process holds decoded, or the tasks that have photos open.

The pixels decoded at once in one process are bounded, and with them its memory, whatever the files claim.
"""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Final

#: The most bytes that a decoded pixel takes at a time, from the first decoded row until its faces are cut out. Measured
#: on pictures of 40 million pixels: 7 (JPEG, PNG, TIFF, BMP), 12 (progressive JPEG in CMYK), 13 (AVIF with
#: transparency; up to 17 with ten bits a channel, computed), 16 (WebP). Later it is 3, of the BGR picture.
MOST_BYTES_PER_PIXEL: Final = 17
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


class PixelGate:
    """Every thread that decodes passes it. Large and small pictures queue separately, each first come, first served."""

    def __init__(self, most_pixels: int) -> None:
        """At most `most_pixels` are decoded at once: four fifths in large pictures, one fifth in small ones."""
        small = int(most_pixels * SMALL_SHARE)
        self._small, self._large = Gate(small), Gate(most_pixels - small)
        self._small_picture_pixels = int(most_pixels * SMALL_PICTURE_SHARE)

    def admit(self, pixels: int) -> AbstractContextManager[None]:
        """Return a block in which a picture of so many pixels may be decoded and held. Blocks until there is room."""
        gate = self._small if pixels <= self._small_picture_pixels else self._large
        return gate.take(pixels)
