"""TIFF files with any directories, also such as no library here writes: DNG, camera raws, pyramids, loops."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

from worker.recognition.interfaces import Image

SUBFILE, WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 254, 256, 257, 258, 259, 262
MAKE, PLACES, ORIENTATION, SAMPLES, ROWS, BYTES = 271, 273, 274, 277, 278, 279
SUBDIRECTORIES, JPEG_PLACE, JPEG_BYTES, DNG_VERSION = 330, 513, 514, 50706
RGB, YCBCR, SENSOR = 2, 6, 32803
_SHORT, _LONG, _ASCII = 3, 4, 2


@dataclass
class Directory:
    """A directory: its tags with their numbers or text, its pixels as one strip, and the directories below it."""

    tags: dict[int, int | Sequence[int] | bytes]
    strip: bytes = b""
    jpeg: bytes = b""
    below: list["Directory"] = field(default_factory=list)


def picture(image: Image, *, is_reduced: bool = False, **more: int) -> Directory:
    """Return a directory with a BGR picture as it is. `more`: tags by the names of this module."""
    height, width = image.shape[:2]
    tags: dict[int, int | Sequence[int] | bytes] = {
        SUBFILE: int(is_reduced),
        WIDTH: width,
        HEIGHT: height,
        BITS: (8, 8, 8),
        COMPRESSION: 1,
        PHOTOMETRIC: RGB,
        SAMPLES: 3,
        ROWS: height,
    }
    tags |= {globals()[name]: value for name, value in more.items()}
    return Directory(tags, strip=image[:, :, ::-1].tobytes())


def sensor(width: int, height: int, *, compression: int = 1) -> Directory:
    """Return a directory with what a sensor saw, each pixel of one colour."""
    tags = {SUBFILE: 0, WIDTH: width, HEIGHT: height, BITS: 16, COMPRESSION: compression, PHOTOMETRIC: SENSOR}
    return Directory({**tags, SAMPLES: 1, ROWS: height}, strip=bytes(width * height * 2))


def jpeg_strip(width: int, height: int, jpeg: bytes, *, is_reduced: bool = True) -> Directory:
    """Return a directory with a whole JPEG as its strip, as DNG has previews."""
    tags = {SUBFILE: int(is_reduced), WIDTH: width, HEIGHT: height, COMPRESSION: 7, PHOTOMETRIC: YCBCR}
    return Directory({**tags, BITS: (8, 8, 8), SAMPLES: 3, ROWS: height}, strip=jpeg)


def tiff(*directories: Directory, order: str = "<", is_big: bool = False) -> bytes:
    """Return a file with these directories, one after the other."""
    writer = _Writer(order, is_big=is_big)
    following = 0
    for directory in reversed(directories):
        following = writer.put(directory, following)
    return writer.file(following)


class _Writer:
    def __init__(self, order: str, *, is_big: bool) -> None:
        self._order, self._is_big = order, is_big
        self._body = bytearray(16)

    def put(self, directory: Directory, following: int = 0) -> int:
        """Write a directory and what belongs to it; return where it begins."""
        tags = dict(directory.tags)
        if directory.strip:
            tags |= {PLACES: self._append(directory.strip), BYTES: len(directory.strip)}
        if directory.jpeg:
            tags |= {JPEG_PLACE: self._append(directory.jpeg), JPEG_BYTES: len(directory.jpeg)}
        if directory.below:
            tags[SUBDIRECTORIES] = [self.put(each) for each in directory.below]
        entries = b"".join(self._entry(tag, tags[tag]) for tag in sorted(tags))
        count = struct.pack(self._order + ("Q" if self._is_big else "H"), len(tags))
        return self._append(count + entries + self._place(following))

    def file(self, first: int) -> bytes:
        mark = b"II" if self._order == "<" else b"MM"
        head = struct.pack(self._order + "HHH", 43, 8, 0) if self._is_big else struct.pack(self._order + "H", 42)
        head = mark + head + self._place(first)
        return head + bytes(self._body[len(head) :])

    def _append(self, data: bytes) -> int:
        self._body += bytes(-len(self._body) % 8)
        start = len(self._body)
        self._body += data
        return start

    def _place(self, number: int) -> bytes:
        return struct.pack(self._order + ("Q" if self._is_big else "I"), number)

    def _entry(self, tag: int, value: int | Sequence[int] | bytes) -> bytes:
        if isinstance(value, bytes):
            kind, count, data = _ASCII, len(value), value
        else:
            numbers = [value] if isinstance(value, int) else list(value)
            kind = _SHORT if tag in (BITS, COMPRESSION, PHOTOMETRIC, ORIENTATION, SAMPLES) else _LONG
            count = len(numbers)
            data = struct.pack(f"{self._order}{count}{'H' if kind == _SHORT else 'I'}", *numbers)
        room = 8 if self._is_big else 4
        held = data.ljust(room, b"\0") if len(data) <= room else self._place(self._append(data))
        return struct.pack(self._order + ("HHQ" if self._is_big else "HHI"), tag, kind, count) + held
