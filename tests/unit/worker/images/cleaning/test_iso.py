"""A HEIC's or AVIF's decoder sees no item with metadata."""

import struct

import numpy as np
import pytest
from PIL import Image as Pillow

from tests import pictures
from tests.pictures import exif_bytes, short_orientation
from worker.config import ImageLimits
from worker.images.boxes import Parts, boxes, located
from worker.images.cleaning.iso import cleaned_iso
from worker.images.decoding import decode
from worker.images.profiles import coded_profile
from worker.recognition.interfaces import Image

PICTURE = Pillow.fromarray(np.ascontiguousarray(pictures.gradient_picture(64, 48)[:, :, ::-1]))
#: One that says something else than how the picture lies, so that a writer does not turn the picture.
EXIF = exif_bytes((0x010F, 2, 4, b"cam\0"))
XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"


def pixels(data: bytes) -> Image:
    return decode(data, limits=ImageLimits()).pixels


def file_of(file_format: str, picture: Pillow.Image = PICTURE, **options: object) -> bytes:
    if file_format == "HEIC":
        return pictures.heic(picture, quality=90, **options)
    return pictures.pillow_bytes(picture, "AVIF", quality=90, speed=10, **options)


def with_metadata(file_format: str) -> bytes:
    return file_of(file_format, exif=EXIF, xmp=XMP)


@pytest.mark.parametrize("file_format", ["HEIC", "AVIF"])
def test_nothing_but_pictures_reaches_the_decoder(file_format: str) -> None:
    data = with_metadata(file_format)
    assert b"Exif" in data
    assert b"mime" in data

    file = cleaned_iso(data)

    assert len(file.data) == len(data)
    kinds = [file.data[place + 12 : place + 16] for place in range(len(data)) if data.startswith(b"infe", place)]
    assert sum(kind == b"skip" for kind in kinds) == 2
    assert not {b"Exif", b"mime"} & set(kinds)
    assert file.exif[:4] == EXIF[:4]
    assert b"cam\0" in file.exif
    np.testing.assert_array_equal(pixels(data), pixels(file_of(file_format)))


@pytest.mark.parametrize("file_format", ["HEIC", "AVIF"])
def test_metadata_of_garbage_or_elsewhere_is_no_reason_to_refuse_a_picture(file_format: str) -> None:
    data = with_metadata(file_format)
    expected = pixels(file_of(file_format))
    exif_place, xmp_place = data.rindex(EXIF[:8]), data.rindex(XMP)

    for place, length in ((exif_place - 10, len(EXIF) + 10), (xmp_place, len(XMP))):
        garbage = data[:place] + b"\xff" * length + data[place + length :]
        np.testing.assert_array_equal(pixels(garbage), expected)


@pytest.mark.parametrize("number", [1 << 20, 0x7FFFFFFF, 0xFFFFFFF0, 0, 1])
@pytest.mark.parametrize("file_format", ["HEIC", "AVIF"])
def test_nor_is_metadata_that_is_said_to_be_elsewhere(file_format: str, number: int) -> None:
    data = with_metadata(file_format)
    expected = pixels(file_of(file_format))
    parts = Parts(len(data))
    start, end = next(
        (start, end) for kind, start, end in boxes(memoryview(data), 0, len(data), parts) if kind == b"iloc"
    )
    picture, *metadata = located(memoryview(data)[start:end], parts)
    assert picture.number == 1
    assert len(metadata) == 2

    fields = [field for item in metadata for field in (item.base, *item.extents[0].fields) if field[1] == 4]
    assert len(fields) >= 4
    for place, size in fields:
        moved = data[: start + place] + number.to_bytes(size, "big") + data[start + place + size :]
        np.testing.assert_array_equal(pixels(moved), expected)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("file_format", ["HEIC", "AVIF"])
def test_the_orientation_is_the_pictures_property(file_format: str, orientation: int) -> None:
    stored = pictures.stored_with_orientation(np.asarray(PICTURE), orientation)
    exif = pictures.exif_orientation(orientation).tobytes()

    data = file_of(file_format, Pillow.fromarray(stored), exif=exif)

    assert (b"irot" in data or b"imir" in data) == (orientation > 1)
    expected = np.asarray(PICTURE)[:, :, ::-1].astype(int)
    assert np.abs(pixels(data) - expected).mean() < 4


@pytest.mark.parametrize("file_format", ["HEIC", "AVIF"])
def test_an_orientation_in_exif_alone_does_not_count(file_format: str) -> None:
    tag_elsewhere = exif_bytes((0x0113, *short_orientation(6)[1:]))
    data = file_of(file_format, exif=tag_elsewhere)
    turned = data.replace(b"\x13\x01\x03\0", b"\x12\x01\x03\0").replace(b"\x01\x13\0\x03", b"\x01\x12\0\x03")
    assert turned != data
    assert b"irot" not in turned

    np.testing.assert_array_equal(pixels(turned), pixels(data))


@pytest.mark.parametrize("file_format", ["HEIC", "AVIF"])
def test_a_profile_is_applied(file_format: str) -> None:
    plain = Pillow.new("RGB", (64, 64), (100, 150, 200))

    data = file_of(file_format, plain, icc_profile=coded_profile(12, 13))

    np.testing.assert_allclose(pixels(data)[32, 32], (205, 152, 83), atol=4)


@pytest.mark.parametrize(
    ("codes", "rgb"),
    [
        ((1, 13), (100, 150, 200)),
        ((1, 1), (100, 150, 200)),
        ((2, 2), (100, 150, 200)),
        ((12, 13), (83, 152, 205)),
        ((9, 13), (0, 154, 205)),
        ((1, 8), (168, 202, 229)),
        ((1, 4), (100, 151, 201)),
    ],
)
def test_codes_say_what_the_colours_are_as_in_browsers(codes: tuple[int, int], rgb: tuple[int, int, int]) -> None:
    data = file_of("AVIF", Pillow.new("RGB", (64, 64), (100, 150, 200)), subsampling="4:4:4")
    place = data.index(b"nclx") + 4

    coded = data[:place] + struct.pack(">HH", *codes) + data[place + 4 :]

    np.testing.assert_allclose(pixels(coded)[32, 32, ::-1], rgb, atol=4)
