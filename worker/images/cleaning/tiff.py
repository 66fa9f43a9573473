"""A TIFF whose one directory has the tags that pixels need (TIFF 6.0; BigTIFF)."""

import struct
from typing import Final

from worker.images.cleaning.result import MOST_PROFILE_BYTES, Cleaned, bounded
from worker.images.exif import Entry, Layout, layout_of, orientation_in

_PROFILE: Final = 34675
#: Tags without which a decoder cannot read the pixels, or reads others.
_PIXELS: Final = frozenset(
    (
        *(256, 257, 258, 259, 262),  # ImageWidth, ImageLength, BitsPerSample, Compression, PhotometricInterpretation
        *(266, 273, 277, 278, 279),  # FillOrder, StripOffsets, SamplesPerPixel, RowsPerStrip, StripByteCounts
        *(284, 292, 293, 317, 320),  # PlanarConfiguration, T4Options, T6Options, Predictor, ColorMap
        *(322, 323, 324, 325),  # TileWidth, TileLength, TileOffsets, TileByteCounts
        *(332, 338, 339, 347),  # InkSet, ExtraSamples, SampleFormat, JPEGTables
        *(512, 513, 514, 515, 517, 518, 519, 520, 521),  # JPEGProc and what belongs to it
        *(529, 530, 531, 532),  # YCbCrCoefficients, YCbCrSubSampling, YCbCrPositioning, ReferenceBlackWhite
    )
)


def is_tiff(data: bytes) -> bool:
    return layout_of(data) is not None


def cleaned_tiff(data: bytes, *, directory: int | None = None) -> Cleaned:
    """Return a TIFF with another directory at its end, the only one that its header knows; pixels stay where they are.

    `directory` is where the photo's directory begins; None: the first one. The photo's orientation is in it, or else in
    the first one, where DNG has it.
    """
    layout = layout_of(data)
    if layout is None:
        return Cleaned(data=data)
    start = layout.first_directory if directory is None else directory
    # Of a tag that is there twice, libtiff takes the first and Pillow the last: there is one.
    entries = {entry.tag: entry for entry in reversed(list(layout.directory(data, start)))}
    kept = sorted(entry for tag, entry in entries.items() if tag in _PIXELS)
    orientation = orientation_in(data, layout, start) or orientation_in(data, layout, layout.first_directory) or 1
    return Cleaned(
        data=_with_directory(data, layout, kept) if kept else data,
        exif=data,
        orientation=orientation,
        profile=_profile(data, layout, entries.get(_PROFILE)),
    )


def _with_directory(data: bytes, layout: Layout, entries: list[Entry]) -> bytes:
    order, padding = layout.byte_order, bytes(-len(data) % 8)
    place = len(data) + len(padding)
    if layout.is_big:
        head = data[:8] + struct.pack(order + "Q", place)
        count, form, end = struct.pack(order + "Q", len(entries)), order + "HHQ8s", bytes(8)
    else:
        head = data[:4] + struct.pack(order + "I", place)
        count, form, end = struct.pack(order + "H", len(entries)), order + "HHI4s", bytes(4)
    directory = (count, *(struct.pack(form, *entry) for entry in entries), end)
    return b"".join((head, memoryview(data)[len(head) :], padding, *directory))


def _profile(data: bytes, layout: Layout, entry: Entry | None) -> bytes:
    if entry is None or entry.numbers > MOST_PROFILE_BYTES:
        return b""
    (place,) = struct.unpack(layout.byte_order + ("Q" if layout.is_big else "I"), entry.value)
    return bounded(data[place : place + entry.numbers], MOST_PROFILE_BYTES)
