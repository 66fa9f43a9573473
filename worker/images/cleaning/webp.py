"""A WebP without its metadata (RFC 9649)."""

import struct
from collections.abc import Iterator
from typing import Final

from worker.images.cleaning.result import MOST_EXIF_BYTES, MOST_PROFILE_BYTES, Cleaned, Parts, bounded
from worker.images.exif import orientation_of

#: Chunks that pixels need. Of an animation, each frame is an ANMF.
_PIXELS: Final = (b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF")
_ANIMATION_AND_ALPHA: Final = 0b0001_0010
_PREFIX: Final = b"Exif\0\0"


def cleaned_webp(data: bytes) -> Cleaned:
    """Return a WebP of the chunks that pixels need. The standard's EXIF has no prefix; many files have JPEG's."""
    view = memoryview(data)  # the pixels are copied once
    kept: list[bytes | memoryview] = []
    exif, profile, size = b"", b"", 4
    for kind, start, end, declared in _chunks(data):
        content_start = start + 8
        if kind == b"VP8X" and end > content_start:
            flags = data[content_start] & _ANIMATION_AND_ALPHA
            kept += [view[start:content_start], bytes([flags]), view[content_start + 1 : end]]
        elif kind in _PIXELS:
            kept.append(view[start:end])
        elif kind == b"EXIF" and not exif:
            exif = bounded(data[content_start : content_start + declared].removeprefix(_PREFIX), MOST_EXIF_BYTES)
        elif kind == b"ICCP" and not profile:
            profile = bounded(data[content_start : content_start + declared], MOST_PROFILE_BYTES)
        size += 8 + declared + declared % 2 if kind in _PIXELS else 0
    head = struct.pack("<4sI4s", b"RIFF", min(size, 2**32 - 2), b"WEBP")
    return Cleaned(
        data=b"".join((head, *kept)),
        exif=exif,
        orientation=orientation_of(exif),
        profile=profile,
    )


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int, int]]:
    """Yield the kind, start, end and declared length of each chunk; the last one may be cut short."""
    parts, place = Parts(), 12
    while place + 8 <= len(data):
        parts.count()
        kind, length = struct.unpack_from("<4sI", data, place)
        end = min(place + 8 + length + length % 2, len(data))
        yield kind, place, end, length
        place = end
