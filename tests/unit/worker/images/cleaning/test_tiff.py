"""A TIFF's decoder gets one directory, with the tags of its pixels."""

import struct
from io import BytesIO

import numpy as np
import pytest
from PIL import Image as Pillow

from tests import pictures
from tests.pictures import short_orientation
from worker.config import ImageLimits
from worker.images.cleaning.tiff import cleaned_tiff
from worker.images.decoding import decode
from worker.images.exif import Entry, layout_of
from worker.images.profiles import coded_profile
from worker.recognition.interfaces import Image

PICTURE = pictures.gradient_picture()
P3 = coded_profile(12, 13)
PACKED = [None, "tiff_lzw", "tiff_adobe_deflate", "packbits"]


def pixels(data: bytes) -> Image:
    return decode(data, limits=ImageLimits()).pixels


def with_entries(data: bytes, *entries: tuple[int, int, int, bytes], following: int = 0) -> bytes:
    """Return a little-endian TIFF with these entries before those of its first directory."""
    (start,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, start)
    old = data[start + 2 : start + 2 + 12 * count]
    added = b"".join(struct.pack("<HHI4s", *entry) for entry in entries)
    directory = struct.pack("<H", count + len(entries)) + added + old + struct.pack("<I", following)
    return data[:4] + struct.pack("<I", len(data)) + data[8:] + directory


@pytest.mark.parametrize("compression", PACKED)
@pytest.mark.parametrize(
    "entry",
    [
        pytest.param((282, 2, 4, b"abc\0"), id="a resolution in words"),
        pytest.param((283, 5, 1, b"\xff\xff\xff\xff"), id="a resolution beyond the file"),
        pytest.param((296, 3, 9, b"\xff\xff\xff\0"), id="nine units of resolution"),
        pytest.param((305, 2, 2**31, b"\x08\0\0\0"), id="a program of 2 GB"),
        pytest.param((270, 99, 1, b"\0\0\0\0"), id="a type that there is not"),
        pytest.param((700, 1, 2**20, b"\x08\0\0\0"), id="XMP beyond the file"),
        pytest.param((33723, 4, 2, b"\xff\0\0\0"), id="IPTC"),
        pytest.param((34377, 1, 100, b"\x08\0\0\0"), id="Photoshop's blocks"),
        pytest.param((34665, 4, 1, b"\x08\0\0\0"), id="EXIF in the middle of the pixels"),
        pytest.param((34675, 7, 100, b"\x08\0\0\0"), id="a profile of pixels"),
        pytest.param((34853, 2, 4, b"\xff\xff\xff\xff"), id="GPS elsewhere"),
        pytest.param((0xBC01, 3, 1, b"\0\0\0\0"), id="a tag of another format"),
        pytest.param((0x0112, 2, 2, b"6\0\0\0"), id="an orientation in words"),
        pytest.param((0x0112, 4, 1, b"\6\0\0\0"), id="an orientation as a long"),
    ],
)
def test_no_tag_besides_the_pixels_is_a_reason_to_refuse_a_picture_or_changes_it(
    entry: tuple[int, int, int, bytes], compression: str | None
) -> None:
    data = with_entries(pictures.saved(PICTURE, "TIFF", compression=compression), entry)

    np.testing.assert_array_equal(pixels(data), PICTURE)


def test_what_follows_the_first_directory_is_not_even_read() -> None:
    data = pictures.saved(PICTURE, "TIFF")

    for following in (1, 8, len(data), 2**32 - 1):
        np.testing.assert_array_equal(pixels(with_entries(data, following=following)), PICTURE)


def test_the_decoder_sees_one_directory_without_metadata() -> None:
    data = pictures.saved(PICTURE, "TIFF", icc_profile=P3, software="secret", exif=pictures.exif_orientation(6))

    file = cleaned_tiff(data)

    opened = Pillow.open(BytesIO(file.data))
    assert {305, 34675, 0x0112}.isdisjoint(opened.tag_v2)  # type: ignore[attr-defined]
    assert (file.orientation, file.profile) == (6, P3)
    assert file.exif == data


@pytest.mark.parametrize("compression", PACKED)
@pytest.mark.parametrize("is_big", [False, True])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_big_tiff_is_cleaned_and_turned_like_any(compression: str | None, is_big: bool, orientation: int) -> None:
    stored = pictures.stored_with_orientation(PICTURE, orientation)
    exif = pictures.exif_orientation(orientation)

    data = pictures.saved(stored, "TIFF", compression=compression, exif=exif, big_tiff=is_big)

    np.testing.assert_array_equal(pixels(data), PICTURE)


def test_of_a_tag_that_is_there_twice_the_first_counts() -> None:
    data = with_entries(pictures.saved(PICTURE, "TIFF"), (256, 3, 1, struct.pack("<I", 16)))

    assert pixels(data).shape == (32, 16, 3)


def test_the_photo_may_be_in_another_directory_and_its_orientation_in_the_first() -> None:
    whole = Pillow.fromarray(np.ascontiguousarray(PICTURE[:, :, ::-1]))
    data = pictures.pillow_bytes(whole.resize((12, 8)), "TIFF", save_all=True, append_images=[whole])
    turned = with_entries(data, short_orientation(6))
    layout = layout_of(data)
    assert layout is not None
    (second,) = struct.unpack_from("<I", data, _end_of(data, layout.first_directory))

    file = cleaned_tiff(turned, directory=second)

    np.testing.assert_array_equal(pixels(file.data), PICTURE)
    assert file.orientation == 6


@pytest.mark.parametrize("cut", [8, 9, 12, 20, 40])
def test_a_file_that_ends_before_its_directory_comes_back_as_it_is(cut: int) -> None:
    data = b"II*\0\x08\0\0\0" + bytes(40)

    assert cleaned_tiff(data[:cut]).data == data[:cut]


def _end_of(data: bytes, directory: int) -> int:
    layout = layout_of(data)
    assert layout is not None
    entries: list[Entry] = list(layout.directory(data, directory))
    return directory + 2 + 12 * len(entries)
