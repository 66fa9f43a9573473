"""The pixels decoded at once in one process are bounded, and with them its memory, whatever the files claim."""

from contextlib import AbstractContextManager
from typing import Final

from worker.room import Room

#: The most bytes that a decoded pixel takes at a time, from the first decoded row until its faces are cut out. Measured
#: on pictures of 40 million pixels: 7 (JPEG, PNG, TIFF, BMP), 12 (progressive JPEG in CMYK), 13 (AVIF with
#: transparency; up to 17 with ten bits a channel, computed), 16 (WebP). Later it is 3, of the BGR picture.
MOST_BYTES_PER_PIXEL: Final = 17
#: The share of the bound that is kept for small pictures. No large picture takes it, so small ones pass beside them.
SMALL_SHARE: Final = 1 / 5
#: A picture of at most this share of the bound is small: eight of them fit into the places that are kept.
SMALL_PICTURE_SHARE: Final = SMALL_SHARE / 8


class PixelGate:
    """Every thread that decodes passes it. Large and small pictures queue separately, each first come, first served."""

    def __init__(self, most_pixels: int) -> None:
        """At most `most_pixels` are decoded at once: four fifths in large pictures, one fifth in small ones."""
        small = int(most_pixels * SMALL_SHARE)
        self._small, self._large = Room(small), Room(most_pixels - small)
        self._small_picture_pixels = int(most_pixels * SMALL_PICTURE_SHARE)

    def admit(self, pixels: int) -> AbstractContextManager[None]:
        """Return a block in which a picture of so many pixels may be decoded and held. Blocks until there is room."""
        room = self._small if pixels <= self._small_picture_pixels else self._large
        return room.take(pixels)
