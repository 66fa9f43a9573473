"""A HEIC or AVIF whose decoder sees no metadata (ISO/IEC 23008-12, annex A)."""

from typing import Final

from worker.images.boxes import HIDDEN, Parts, Reader, boxes, item_kinds, items
from worker.images.cleaning.result import MOST_EXIF_BYTES, Cleaned, bounded

#: Items that are no pictures: EXIF, XMP and other documents, and what only applications know.
_METADATA: Final = (b"Exif", b"mime", b"uri ")
_Places = list[tuple[bytes, int, int]]


def cleaned_iso(data: bytes) -> Cleaned:
    """Return a HEIC or AVIF in which items with metadata are of no known kind; everything stays where it is.

    The orientation of these formats is a property of the picture ("irot", "imir"), which decoders apply. That in EXIF
    is a copy by the standard, and does not count. The profile is a property, too, and stays in the file.
    """
    view, parts = memoryview(data), Parts(len(data))
    try:
        places = list(boxes(view, 0, len(data), parts))
        kinds = [each for kind, start, end in places if kind == b"iinf" for each in item_kinds(view, start, end, parts)]
    except OverflowError:  # of far too many parts: whoever looks at the pixels decides
        return Cleaned(data=data)
    metadata = [(number, kind, place) for number, kind, place in kinds if kind in _METADATA]
    if not metadata:
        return Cleaned(data=data)
    without = bytearray(data)
    for _, _, place in metadata:
        without[place : place + 4] = HIDDEN
    return Cleaned(
        data=bytes(without), exif=_exif(view, places, {each for each, kind, _ in metadata if kind == b"Exif"})
    )


def _exif(data: memoryview, places: _Places, numbers: set[int]) -> bytes:
    """Return the first of the items with these numbers, from where its first four bytes say that it begins."""
    own = next((data[start:end] for kind, start, end in places if kind == b"idat"), data[:0])
    parts = Parts(len(data))
    try:
        for _, start, end in (place for place in places if place[0] == b"iloc"):
            for _, item in items(Reader(data[start:end]), data, own, parts, is_wanted=numbers.__contains__):
                begins = 4 + int.from_bytes(item[:4], "big")
                return bounded(bytes(item[begins : begins + MOST_EXIF_BYTES + 1]), MOST_EXIF_BYTES)
    except (EOFError, OverflowError):
        return b""
    return b""
