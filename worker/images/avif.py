"""How large the pictures are that an AVIF really codes: its header may say less, and the decoder believes the code.

A decoder takes memory for what the AV1 sequence header inside the file says, and scales the result to the size in the
file's own header. Pillow tells only the latter. Read here, and nothing else: where the coded items and the first
samples of tracks are (ISO/IEC 14496-12, sections 8.7.3, 8.7.5 and 8.11.3), and the size in each sequence header there
(AV1 Bitstream and Decoding Process Specification, section 5.5).
"""

from collections.abc import Iterator
from typing import Final

from worker.images.boxes import HIDDEN, Parts, Reader, boxes, content_of, item_kinds, located

_SEQUENCE_HEADER: Final = 1
#: What a file is said to code whose parts are more than that, or overlap so that they are more than the file.
UNBOUNDED: Final = 2**62


def largest_coded_pixels(data: bytes) -> int:
    """Return the pixels of the largest picture coded in an AVIF; 0 if none can be read, UNBOUNDED for a file of
    far too many parts. Never raises, whatever the bytes are.
    """
    parts = Parts(len(data))
    try:
        return max((_sequence_pixels(item, parts) for item in _coded(memoryview(data), parts)), default=0)
    except OverflowError:
        return UNBOUNDED


def _coded(data: memoryview, parts: Parts) -> Iterator[memoryview]:
    """Yield the bytes of each item and of the first sample of each track."""
    places = list(boxes(data, 0, len(data), parts))
    seen, hidden = _numbers(data, places, parts)
    found = [(kind, data[start:end]) for kind, start, end in places]
    own = next((content for kind, content in found if kind == b"idat"), data[:0])
    first_samples, starts = [0], []
    for kind, content in found:
        reader = Reader(content)
        try:
            if kind == b"iloc":
                for item in located(content, parts):
                    if item.number not in hidden or item.number in seen:
                        yield content_of(item, data, own, parts)
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


def _numbers(data: memoryview, places: list[tuple[bytes, int, int]], parts: Parts) -> tuple[set[int], set[int]]:
    """Return the numbers of items that a decoder may read, and of those that are hidden from it."""
    seen: set[int] = set()
    hidden: set[int] = set()
    for kind, start, end in places:
        for number, item_kind, _ in item_kinds(data, start, end, parts) if kind == b"iinf" else ():
            (hidden if item_kind == HIDDEN else seen).add(number)
    return seen, hidden


def _sequence_pixels(item: memoryview, parts: Parts) -> int:
    """Return the largest size of the AV1 sequence headers among the item's units (OBUs)."""
    reader, largest = Reader(item), 0
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
