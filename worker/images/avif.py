"""How large the pictures are that an AVIF really codes: its header may say less, and the decoder believes the code.

A decoder takes memory for what the AV1 sequence header inside the file says, and scales the result to the size in the
file's own header. Pillow tells only the latter. Read here, and nothing else: where the coded items and the first
samples of tracks are (ISO/IEC 14496-12, sections 8.7.3, 8.7.5 and 8.11.3), and the size in each sequence header there
(AV1 Bitstream and Decoding Process Specification, section 5.5).
"""

from collections.abc import Iterator
from typing import Final

#: Boxes that hold boxes, on the way to those that say where something begins; meta has four bytes before them.
_CONTAINERS: Final = {b"moov": 0, b"trak": 0, b"mdia": 0, b"minf": 0, b"stbl": 0, b"meta": 4}
_DEEPEST: Final = 8
_SEQUENCE_HEADER: Final = 1
#: Boxes, items, extents and units that are looked at. Photos have dozens, a picture of many tiles thousands.
_MOST_PARTS: Final = 20_000
#: What a file is said to code whose parts are more than that, or overlap so that they are more than the file.
UNBOUNDED: Final = 2**62


def largest_coded_pixels(data: bytes) -> int:
    """Return the pixels of the largest picture coded in an AVIF; 0 if none can be read, UNBOUNDED for a file of
    far too many parts. Never raises, whatever the bytes are.
    """
    parts = _Parts(len(data))
    try:
        return max((_sequence_pixels(item, parts) for item in _coded(memoryview(data), parts)), default=0)
    except OverflowError:
        return UNBOUNDED


class _Parts:
    """Counts what is looked at; raises OverflowError when it is too much."""

    def __init__(self, file_bytes: int) -> None:
        self._parts_left, self._bytes_left = _MOST_PARTS, file_bytes

    def count(self, byte_count: int = 0) -> None:
        self._parts_left -= 1
        self._bytes_left -= byte_count
        if min(self._parts_left, self._bytes_left) < 0:
            raise OverflowError


def _coded(data: memoryview, parts: _Parts) -> Iterator[memoryview]:
    """Yield the bytes of each item and of the first sample of each track."""
    boxes = [(kind, data[start:end]) for kind, start, end in _boxes(data, 0, len(data), parts)]
    own = next((content for kind, content in boxes if kind == b"idat"), data[:0])
    first_samples, starts = [0], []
    for kind, content in boxes:
        reader = _Reader(content)
        try:
            if kind == b"iloc":
                yield from _items(reader, data, own, parts)
            elif kind == b"stsz":
                reader.take(4)
                same, count = reader.number(4), reader.number(4)
                first_samples.append(same or (reader.number(4) if count else 0))
            elif kind in (b"stco", b"co64"):
                reader.take(8)
                starts.append(reader.number(4 if kind == b"stco" else 8))
        except EOFError:
            continue
    for start in starts:
        yield data[start : start + max(first_samples)]


def _boxes(data: memoryview, start: int, end: int, parts: _Parts, depth: int = 0) -> Iterator[tuple[bytes, int, int]]:
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
            yield from _boxes(data, start + head + _CONTAINERS[kind], stop, parts, depth + 1)
        start = stop


def _items(reader: "_Reader", data: memoryview, own: memoryview, parts: _Parts) -> Iterator[memoryview]:
    """Yield the bytes of each item of an "iloc" box; `own` is what the file keeps beside its boxes, in "idat"."""
    version = reader.number(1)
    reader.take(3)
    sizes = reader.number(2)
    offset_bytes, length_bytes, base_bytes, index_bytes = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
    for _ in range(reader.number(2 if version < 2 else 4)):
        parts.count()
        reader.take(2 if version < 2 else 4)
        source = own if version and reader.number(2) & 15 == 1 else data
        reader.take(2)
        base = reader.number(base_bytes)
        extents = []
        for _ in range(reader.number(2)):
            reader.take(index_bytes if version else 0)
            offset, length = base + reader.number(offset_bytes), reader.number(length_bytes)
            extents.append(source[offset : offset + length] if length else source[offset:])
            parts.count(len(extents[-1]))
        yield extents[0] if len(extents) == 1 else memoryview(b"".join(extents))


def _sequence_pixels(item: memoryview, parts: _Parts) -> int:
    """Return the largest size of the AV1 sequence headers among the item's units (OBUs)."""
    reader, largest = _Reader(item), 0
    try:
        while True:
            parts.count()
            header = reader.number(1)
            reader.take(header >> 2 & 1)
            if not header & 2:
                return largest
            unit = reader.take(reader.leb128())
            if header >> 3 & 15 == _SEQUENCE_HEADER:
                largest = max(largest, _sequence_size(_Bits(unit)))
    except EOFError:
        return largest


def _sequence_size(bits: "_Bits") -> int:
    """Return width times height as a sequence header has them."""
    bits.read(4)  # seq_profile, still_picture
    if bits.read(1):  # reduced_still_picture_header
        bits.read(5)
    else:
        _skip_operating_points(bits)
    width_bits, height_bits = bits.read(4) + 1, bits.read(4) + 1
    return (bits.read(width_bits) + 1) * (bits.read(height_bits) + 1)


def _skip_operating_points(bits: "_Bits") -> None:
    delay_bits = 0
    if bits.read(1):  # timing_info_present_flag
        bits.read(64)
        if bits.read(1):  # equal_picture_interval
            bits.skip_uvlc()
        if bits.read(1):  # decoder_model_info_present_flag
            delay_bits = bits.read(5) + 1
            bits.read(42)
    has_display_delay = bits.read(1)
    for _ in range(bits.read(5) + 1):
        bits.read(12)
        if bits.read(5) > 7:  # seq_level_idx
            bits.read(1)
        if delay_bits and bits.read(1):
            bits.read(2 * delay_bits + 1)
        if has_display_delay and bits.read(1):
            bits.read(4)


class _Reader:
    """Reads bytes one after the other; raises EOFError behind the last."""

    def __init__(self, data: memoryview) -> None:
        self._data, self._position = data, 0

    def take(self, count: int) -> memoryview:
        taken = self._data[self._position : self._position + count]
        if len(taken) < count:
            raise EOFError
        self._position += count
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


class _Bits:
    """Reads bits, the most significant first; raises EOFError behind the last."""

    def __init__(self, data: memoryview) -> None:
        self._value, self._left = int.from_bytes(data[:256], "big"), 8 * len(data[:256])

    def read(self, count: int) -> int:
        if count > self._left:
            raise EOFError
        self._left -= count
        return self._value >> self._left & (1 << count) - 1

    def skip_uvlc(self) -> None:
        zeros = 0
        while not self.read(1):
            zeros += 1
        self.read(zeros if zeros < 32 else 0)
