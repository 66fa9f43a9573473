"""A JPEG without its metadata (ITU-T T.81, annex B).

Segments are found as libjpeg finds them, which browsers use: bytes before a marker are skipped, and a segment's length
of 0 or 1 means 2. So a segment is metadata here exactly where it is for them.
"""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from worker.images.cleaning.result import MOST_PROFILE_BYTES, Cleaned, Parts, bounded
from worker.images.exif import orientation_of

#: Frame headers (B.2.2): C4, C8 and CC between them are other segments.
_FRAMES: Final = (*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0))
_WITH_LOSS: Final = (0xC0, 0xC1, 0xC2, 0xC9, 0xCA)
#: Not an escaped 255 among the pixels, and not a restart.
MARKER: Final = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
#: Before a marker, there may be any number of bytes of 255.
_NO_FILLING: Final = re.compile(rb"[^\xff]")
_SOI, _SOS, _EOI, _COMMENT = 0xD8, 0xDA, 0xD9, 0xFE
_APP0, _APP1, _APP2, _APP14 = 0xE0, 0xE1, 0xE2, 0xEE
#: Markers without a segment: TEM and the restart markers.
_ALONE: Final = (0x01, *range(0xD0, 0xD8))
#: Segments that no pixel needs. Two of them say which colours the components are, and are kept in their plainest form.
_METADATA: Final = (*range(_APP0, 0xF0), _COMMENT)
#: As libjpeg requires it (jdmarker.c): shorter ones do not count.
_JFIF, _JFIF_BYTES = b"JFIF\0", 14
_ADOBE, _ADOBE_BYTES = b"Adobe", 12
_PLAIN_JFIF: Final = b"\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0"
_ICC: Final = b"ICC_PROFILE\0"


def cleaned_jpeg(data: bytes) -> Cleaned:
    """Return a JPEG without comments and application segments, but for those that its colours need.

    Its EXIF is that of the first segment with one, as in browsers. From the first scan on, nothing is changed: the
    decoder skips segments there without reading them.
    """
    is_jfif, adobe, exif, icc_parts, kept = False, b"", b"", [], []
    end = 2
    for marker, start, end in _segments(data):
        if marker not in _METADATA:
            kept.append(data[start:end])
            continue
        content = data[start + 4 : end]
        if marker == _APP0 and content.startswith(_JFIF) and len(content) >= _JFIF_BYTES:
            is_jfif = True
        elif marker == _APP14 and content.startswith(_ADOBE) and len(content) >= _ADOBE_BYTES:
            adobe = b"\xff\xee\0\x0e" + content[:_ADOBE_BYTES]
        elif marker == _APP1 and content.startswith(b"Exif\0") and not exif:
            exif = content[6:]
        elif marker == _APP2 and content.startswith(_ICC) and len(content) > len(_ICC) + 2:
            icc_parts.append(content[len(_ICC) :])
    head = (data[:2], _PLAIN_JFIF if is_jfif else b"", adobe)
    return Cleaned(
        data=b"".join((*head, *kept, memoryview(data)[end:])),
        exif=exif,
        orientation=orientation_of(exif),
        profile=_profile(icc_parts),
    )


class Frame(NamedTuple):
    """What a JPEG's frame header says. `is_lossless`: coded in a way that only raw converters read."""

    width: int
    height: int
    components: int
    is_lossless: bool


def frame_of(jpeg: bytes) -> Frame | None:
    """Return what a JPEG's frame header says; None if there is none."""
    if not jpeg.startswith(b"\xff\xd8"):
        return None
    for marker, start, end in _segments(jpeg):
        if marker in _FRAMES and end - start >= 10:
            height, width = (int.from_bytes(jpeg[start + at : start + at + 2], "big") for at in (5, 7))
            return Frame(width, height, jpeg[start + 9], is_lossless=marker not in _WITH_LOSS)
    return None


def has_more_scans(data: bytes, most: int) -> bool:
    """Return whether a cleaned JPEG has more scans than that up to its end; what follows the end does not count.

    It costs a search for one word, unless that is there so often that each marker must be looked at.
    """
    if data.count(b"\xff\xda") <= most:
        return False
    scans, found = 0, MARKER.search(data, 2)
    while found is not None and scans <= most:
        marker, place = data[found.start() + 1], found.end()
        if marker == _EOI:
            break
        scans += marker == _SOS
        if marker not in _ALONE:
            place += max(2, int.from_bytes(data[place : place + 2], "big"))
        found = MARKER.search(data, place)
    return scans > most


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield the marker, start and end of each segment before the first scan or whatever else ends the header."""
    parts, place = Parts(), 2
    while True:
        parts.count()
        filling = data.find(b"\xff", place)
        found = _NO_FILLING.search(data, filling) if filling >= 0 else None
        if found is None:
            return
        start = found.start() - 1
        marker = data[start + 1]
        if marker in (_SOI, _SOS, _EOI):
            return
        if marker == 0 or marker in _ALONE:
            place = start + 2
            continue
        end = start + 2 + max(2, int.from_bytes(data[start + 2 : start + 4], "big"))
        if end > len(data):
            return
        yield marker, start, end
        place = end


def _profile(icc_parts: list[bytes]) -> bytes:
    """Return the ICC profile from its parts, in any order; nothing if one is missing (ICC.1:2022, B.4)."""
    numbered: dict[int, bytes] = {}
    for part in icc_parts:
        numbered.setdefault(part[0], part)
    if len({part[1] for part in numbered.values()}) != 1 or sorted(numbered) != [*range(1, icc_parts[0][1] + 1)]:
        return b""
    return bounded(b"".join(numbered[number][2:] for number in sorted(numbered)), MOST_PROFILE_BYTES)
