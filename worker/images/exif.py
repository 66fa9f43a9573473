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
#: How whole numbers of each type are written: BYTE, SHORT, LONG, IFD, LONG8 and IFD8.
_NUMBERS: Final = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}


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
        count_layout, entry_layout = self._forms()
        place = start + struct.calcsize(count_layout)
        if place > len(data):
            return
        size = struct.calcsize(entry_layout)
        (count,) = struct.unpack_from(count_layout, data, start)
        for _ in range(min(count, _MOST_ENTRIES, (len(data) - place) // size)):
            yield Entry(*struct.unpack_from(entry_layout, data, place))
            place += size

    def following(self, data: bytes, start: int) -> int:
        """Return where the directory after the one that begins there begins; 0 if there is none."""
        count_layout, entry_layout = self._forms()
        place = start + struct.calcsize(count_layout)
        if place > len(data):
            return 0
        (count,) = struct.unpack_from(count_layout, data, start)
        place += count * struct.calcsize(entry_layout)
        return self._place(data[place : place + self._place_bytes])

    def numbers(self, data: bytes, entry: Entry, *, most: int) -> tuple[int, ...]:
        """Return the whole numbers of an entry, `most` at most; nothing if they are of another type or not there."""
        form = _NUMBERS.get(entry.kind)
        if form is None:
            return ()
        count = min(entry.numbers, most)
        source = self.content(data, entry, most_bytes=count * struct.calcsize(form))
        return struct.unpack(f"{self.byte_order}{count}{form}", source) if source else ()

    def content(self, data: bytes, entry: Entry, *, most_bytes: int) -> bytes:
        """Return the first bytes of an entry's value, which needs that many; nothing if they are not all there."""
        whole_bytes = entry.numbers * struct.calcsize(_NUMBERS.get(entry.kind, "B"))
        place = 0 if whole_bytes <= len(entry.value) else self._place(entry.value)
        source = entry.value if whole_bytes <= len(entry.value) else data
        content = source[place : place + most_bytes]
        return content if len(content) == most_bytes else b""

    def _place(self, data: bytes) -> int:
        """Return the offset that is written there; 0 if there is not all of it."""
        return 0 if len(data) < self._place_bytes else int(struct.unpack(self.byte_order + self._place_form, data)[0])

    @property
    def _place_form(self) -> str:
        return "Q" if self.is_big else "I"

    @property
    def _place_bytes(self) -> int:
        return 8 if self.is_big else 4

    def _forms(self) -> tuple[str, str]:
        """Return how the number of entries is written, and an entry."""
        count, entry = ("Q", "HHQ8s") if self.is_big else ("H", "HHI4s")
        return self.byte_order + count, self.byte_order + entry


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
