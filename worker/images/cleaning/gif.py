"""A GIF without comments and application blocks before its first frame (GIF89a specification)."""

from typing import Final

from worker.images.cleaning.result import Cleaned, Parts

_EXTENSION, _GRAPHIC_CONTROL = 0x21, 0xF9
_HEADER_BYTES: Final = 13


def cleaned_gif(data: bytes) -> Cleaned:
    """Return a GIF whose first frame follows its header, with the frame's own graphic control alone between them.

    What comes after that is left as it is: the decoder reads the first frame only.
    """
    if len(data) < _HEADER_BYTES:
        return Cleaned(data=data)
    flags = data[10]
    header_end = _HEADER_BYTES + (3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0)
    place, control, parts = header_end, b"", Parts()
    while data[place : place + 1] == b"!":
        end = _blocks_end(data, place + 2, parts)
        if end is None:
            return Cleaned(data=data)
        if data[place + 1] == _GRAPHIC_CONTROL:
            control = data[place:end]
        place = end
    return Cleaned(data=b"".join((data[:header_end], control, memoryview(data)[place:])))


def _blocks_end(data: bytes, place: int, parts: Parts) -> int | None:
    """Return where the blocks end that begin here: behind an empty one; None if the file ends before."""
    while place < len(data):
        parts.count()
        length = data[place]
        place += 1 + length
        if length == 0:
            return place
    return None
