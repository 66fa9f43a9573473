"""What all the formats' cleaning has in common: its result, and its bounds."""

import zlib
from dataclasses import dataclass
from typing import Final

from worker.errors import UnsupportedImage

#: Parts (chunks, segments, blocks) besides pixels that are looked at. Photos have dozens.
MOST_PARTS: Final = 100_000
#: Real profiles have 500 bytes to 3 MB; those of printers are the largest.
MOST_PROFILE_BYTES: Final = 4 * 2**20
#: The most that a JPEG's EXIF can have; other formats' files get it copied from there.
MOST_EXIF_BYTES: Final = 2**16


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleaned:
    """A file without its metadata, and the metadata that we use. All of it is hostile until it is checked.

    `data` is the file with nothing in it but pixels and what they need. `exif` has the structure of a TIFF, from its
    byte order on; of a TIFF, it is the whole file. `orientation` is an EXIF number (1 to 8). `profile` is an ICC
    profile that says what the pixels' colours mean. Empty: the file has none, or one that is far too long.
    """

    data: bytes
    exif: bytes = b""
    orientation: int = 1
    profile: bytes = b""


class Parts:
    """Counts what is looked at; raises UnsupportedImage when it is too much."""

    def __init__(self) -> None:
        self._left = MOST_PARTS

    def count(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise too_many_parts()


def too_many_parts() -> UnsupportedImage:
    return UnsupportedImage("The picture consists of far more parts than a photo does.")


def bounded(data: bytes, most_bytes: int) -> bytes:
    """Return the data, or nothing if it is longer."""
    return data if len(data) <= most_bytes else b""


def without_zlib(data: bytes, most_bytes: int) -> bytes:
    """Return what zlib packed into the data, or nothing if it is damaged, cut short or longer than that."""
    unpacker = zlib.decompressobj()
    try:
        unpacked = unpacker.decompress(data, most_bytes + 1)
    except zlib.error:
        return b""
    return bounded(unpacked, most_bytes) if unpacker.eof else b""
