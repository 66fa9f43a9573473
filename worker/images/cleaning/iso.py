"""A HEIC or AVIF whose decoder sees no metadata (ISO/IEC 23008-12, annex A)."""

import struct
from collections.abc import Iterator
from typing import Final

from worker.images.boxes import HIDDEN, Item, Parts, boxes, content_of, item_kinds, located
from worker.images.cleaning.result import MOST_EXIF_BYTES, Cleaned, bounded
from worker.images.profiles import SRGB_TRANSFER, VIDEO_TRANSFERS, coded_profile

#: Items that are no pictures: EXIF, XMP and other documents, and what only applications know.
_METADATA: Final = (b"Exif", b"mime", b"uri ")
_Places = list[tuple[bytes, int, int]]


def cleaned_iso(data: bytes) -> Cleaned:
    """Return a HEIC or AVIF in which items with metadata are of no known kind; everything stays where it is.

    The orientation of these formats is a property of the picture ("irot", "imir"), which decoders apply. That in EXIF
    is a copy by the standard, and does not count. An ICC profile is a property, too, and stays in the file. Where
    there is none, codes may say what the colours are: those of the first picture that has some, which is the primary.
    """
    view, parts = memoryview(data), Parts(len(data))
    try:
        places = list(boxes(view, 0, len(data), parts))
        kinds = [each for kind, start, end in places if kind == b"iinf" for each in item_kinds(view, start, end, parts)]
    except OverflowError:  # of far too many parts: whoever looks at the pixels decides
        return Cleaned(data=data)
    profile = _profile(view, places)
    metadata = [(number, kind, place) for number, kind, place in kinds if kind in _METADATA]
    if not metadata:
        return Cleaned(data=data, profile=profile)
    without = bytearray(data)
    for _, _, place in metadata:
        without[place : place + 4] = HIDDEN
    exif = b""
    exif_numbers = {number for number, kind, _ in metadata if kind == b"Exif"}
    hidden = {number for number, *_ in metadata} - {number for number, kind, _ in kinds if kind not in _METADATA}
    for start, item in _located(view, places):
        if item.number in exif_numbers and not exif:
            exif = _exif(item, view, places)
        if item.number in hidden:
            _relocate(item, without, start)
    return Cleaned(data=bytes(without), exif=exif, profile=profile)


def _profile(data: memoryview, places: _Places) -> bytes:
    """Return the profile for the first "nclx" codes (12.1.5); nothing if they mean sRGB."""
    contents = (bytes(data[start : min(start + 11, end)]) for kind, start, end in places if kind == b"colr")
    first = next((content for content in contents if content.startswith(b"nclx")), b"")
    if len(first) < 8:
        return b""
    primaries, transfer = struct.unpack_from(">HH", first, 4)
    if transfer in VIDEO_TRANSFERS:  # of a still picture, browsers take them for sRGB's
        transfer = SRGB_TRANSFER
    return b"" if (primaries, transfer) == (1, SRGB_TRANSFER) else coded_profile(primaries, transfer)


def _located(data: memoryview, places: _Places) -> Iterator[tuple[int, Item]]:
    """Yield all items, and where the box begins that says where each is."""
    parts = Parts(len(data))
    for start, end in ((start, end) for kind, start, end in places if kind == b"iloc"):
        try:
            yield from ((start, item) for item in located(data[start:end], parts))
        except (EOFError, OverflowError):
            return


def _relocate(item: Item, data: bytearray, start: int) -> None:
    """Let a hidden item be the first byte there is: decoders look whether even those are in the file."""
    for place, size in (item.base, *(field for extent in item.extents for field in extent.fields)):
        data[start + place : start + place + size] = bytes(size)
    for extent in item.extents:
        place, size = extent.fields[1]
        data[start + place : start + place + size] = (1).to_bytes(size, "big") if size else b""


def _exif(item: Item, data: memoryview, places: _Places) -> bytes:
    """Return EXIF from where its item's first four bytes say that it begins."""
    own = next((data[start:end] for kind, start, end in places if kind == b"idat"), data[:0])
    try:
        content = content_of(item, data, own, Parts(len(data)))
    except OverflowError:
        return b""
    begins = 4 + int.from_bytes(content[:4], "big")
    return bounded(bytes(content[begins : begins + MOST_EXIF_BYTES + 1]), MOST_EXIF_BYTES)
