"""The orientation in EXIF, read as cameras mean it and browsers read it.

The standard (CIPA DC-008, 4.6.5.1) has one SHORT of 1 to 8 in the first directory. Anything else says nothing: another
type, more numbers than one, another value, a second directory. Of several, the first counts.
"""

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

ORIENTATION_TAG: Final = 0x0112
_SHORT: Final = 3
#: Entries of a directory that are looked at; photos have a few dozen.
_MOST_ENTRIES: Final = 1000
_BYTE_ORDERS: Final = {b"II": "<", b"MM": ">"}


class Entry(NamedTuple):
    """An entry of a directory. `numbers` is how many it has; `value` has them, or where they are if they are more."""

    tag: int
    kind: int
    numbers: int
    value: bytes


class Layout(NamedTuple):
    """How the numbers of a TIFF are written: classic, or BigTIFF with offsets of eight bytes."""

    byte_order: str
    first_directory: int
    is_big: bool

    def directory(self, data: bytes, start: int) -> Iterator[Entry]:
        """Yield the entries of the directory that begins there, as far as the data and our bound go."""
        count_layout, entry_layout = (
            (self.byte_order + "Q", self.byte_order + "HHQ8s")
            if self.is_big
            else (self.byte_order + "H", self.byte_order + "HHI4s")
        )
        place = start + struct.calcsize(count_layout)
        if place > len(data):
            return
        size = struct.calcsize(entry_layout)
        (count,) = struct.unpack_from(count_layout, data, start)
        for _ in range(min(count, _MOST_ENTRIES, (len(data) - place) // size)):
            yield Entry(*struct.unpack_from(entry_layout, data, place))
            place += size


def layout_of(data: bytes) -> Layout | None:
    """Return how the numbers of this TIFF structure are written; None if it is none."""
    order = _BYTE_ORDERS.get(data[:2])
    if order is None or len(data) < 8:
        return None
    version, offset = struct.unpack_from(order + "HI", data, 2)
    if version == 42:
        return Layout(order, offset, is_big=False)
    if version == 43 and len(data) >= 16:
        return Layout(order, struct.unpack_from(order + "Q", data, 8)[0], is_big=True)
    return None


def orientation_of(exif: bytes) -> int:
    """Return the orientation (1 to 8) in data of the structure of a TIFF; 1 if it says none. Never raises."""
    layout = layout_of(exif)
    return 1 if layout is None else (orientation_in(exif, layout, layout.first_directory) or 1)


def orientation_in(data: bytes, layout: Layout, directory: int) -> int | None:
    """Return the orientation in this directory; None if it says none."""
    for entry in layout.directory(data, directory):
        if (entry.tag, entry.kind, entry.numbers) == (ORIENTATION_TAG, _SHORT, 1):
            (orientation,) = struct.unpack(layout.byte_order + "H", entry.value[:2])
            if 1 <= orientation <= 8:
                return int(orientation)
    return None
