"""The boxes of ISO media files, HEIC and AVIF among them (ISO/IEC 14496-12), within bounds."""

from collections.abc import Iterator
from typing import Final, NamedTuple

#: The kind of items that no decoder knows, so none reads them: what metadata is called once a file is cleaned.
HIDDEN: Final = b"skip"

#: Boxes that hold boxes, on the way to those that we read; meta has four bytes before them.
_CONTAINERS: Final = {
    **dict.fromkeys((b"moov", b"trak", b"mdia", b"minf", b"stbl", b"iprp", b"ipco"), 0),
    b"meta": 4,
}
_DEEPEST: Final = 8
#: Boxes, items, extents and units that are looked at. Photos have dozens, a picture of many tiles thousands.
_MOST_PARTS: Final = 20_000


class Parts:
    """Counts what is looked at; raises OverflowError when it is too much, or more than the file."""

    def __init__(self, file_bytes: int) -> None:
        self._parts_left, self._bytes_left = _MOST_PARTS, file_bytes

    def count(self, byte_count: int = 0) -> None:
        self._parts_left -= 1
        self._bytes_left -= byte_count
        if min(self._parts_left, self._bytes_left) < 0:
            raise OverflowError


class Reader:
    """Reads bytes one after the other; raises EOFError behind the last. `position` is where the next one is."""

    def __init__(self, data: memoryview) -> None:
        self._data, self.position = data, 0

    def take(self, count: int) -> memoryview:
        taken = self._data[self.position : self.position + count]
        if len(taken) < count:
            raise EOFError
        self.position += count
        return taken

    def number(self, byte_count: int) -> int:
        return int.from_bytes(self.take(byte_count), "big")

    def leb128(self) -> int:
        value = 0
        for place in range(8):
            byte = self.number(1)
            value |= (byte & 127) << 7 * place
            if not byte & 128:
                return value
        raise EOFError


def boxes(data: memoryview, start: int, end: int, parts: Parts, depth: int = 0) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, start and end of each box's content, those inside containers too."""
    while start + 8 <= end:
        parts.count()
        size, kind, head = int.from_bytes(data[start : start + 4], "big"), bytes(data[start + 4 : start + 8]), 8
        if size == 1:
            size, head = int.from_bytes(data[start + 8 : start + 16], "big"), 16
        stop = end if size == 0 else min(start + size, end)
        if stop < start + head:
            return
        yield kind, start + head, stop
        if kind in _CONTAINERS and depth < _DEEPEST:
            yield from boxes(data, start + head + _CONTAINERS[kind], stop, parts, depth + 1)
        start = stop


class Extent(NamedTuple):
    """A piece of an item: its first byte and its length, 0 for all that follows. `fields` is where both are written:
    the place in the box of the one and the other, and how many bytes each takes.
    """

    offset: int
    length: int
    fields: tuple[tuple[int, int], tuple[int, int]]


class Item(NamedTuple):
    """Where an item is. `is_own`: not in the file at large, but in "idat". `base` is how its base is written."""

    number: int
    is_own: bool
    base: tuple[int, int]
    extents: list[Extent]


def located(content: memoryview, parts: Parts) -> Iterator[Item]:
    """Yield the items of an "iloc" box (ISO/IEC 14496-12, 8.11.3); raises EOFError if it ends before its last."""
    reader = Reader(content)
    version = reader.number(1)
    reader.take(3)
    sizes = reader.number(2)
    offset_bytes, length_bytes, base_bytes, index_bytes = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
    for _ in range(reader.number(2 if version < 2 else 4)):
        parts.count()
        number = reader.number(2 if version < 2 else 4)
        is_own = version > 0 and reader.number(2) & 15 == 1
        reader.take(2)
        base_field = (reader.position, base_bytes)
        base = reader.number(base_bytes)
        extents = []
        for _ in range(reader.number(2)):
            parts.count()
            reader.take(index_bytes if version else 0)
            fields = (reader.position, offset_bytes), (reader.position + offset_bytes, length_bytes)
            extents.append(Extent(base + reader.number(offset_bytes), reader.number(length_bytes), fields))
        yield Item(number, is_own, base_field, extents)


def content_of(item: Item, data: memoryview, own: memoryview, parts: Parts) -> memoryview:
    """Return the bytes of an item; `own` is what is in "idat"."""
    source, pieces = own if item.is_own else data, []
    for offset, length, _ in item.extents:
        pieces.append(source[offset : offset + length] if length else source[offset:])
        parts.count(len(pieces[-1]))
    return pieces[0] if len(pieces) == 1 else memoryview(b"".join(pieces))


def item_kinds(data: memoryview, start: int, end: int, parts: Parts) -> Iterator[tuple[int, bytes, int]]:
    """Yield the number, kind, and place of the kind, of each item in the "iinf" box between these (8.11.6)."""
    if end - start < 6:
        return
    for name, content, stop in boxes(data, start + (6 if data[start] == 0 else 8), end, parts):
        if name != b"infe" or stop == content or data[content] < 2:
            continue
        number_bytes = 2 if data[content] == 2 else 4
        place = content + 4 + number_bytes + 2
        if place + 4 > stop:
            continue
        number = int.from_bytes(data[content + 4 : content + 4 + number_bytes], "big")
        if place + 4 <= stop:
            yield number, bytes(data[place : place + 4]), place
