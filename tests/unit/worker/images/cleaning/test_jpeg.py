"""A JPEG's decoder gets its tables, its frame and its scans; its colours are what browsers take them for."""

import numpy as np
import pytest
from PIL import Image as Pillow

from tests import pictures
from tests.pictures import exif_bytes, jpeg_segment, short_orientation
from worker.config import ImageLimits
from worker.errors import UnsupportedImage
from worker.images.cleaning.jpeg import cleaned_jpeg, has_more_scans
from worker.images.cleaning.result import MOST_PARTS
from worker.images.decoding import decode
from worker.images.profiles import coded_profile
from worker.recognition.interfaces import Image

PICTURE = pictures.gradient_picture()
#: Without its JFIF segment, which Pillow writes first.
BARE = (lambda data: data[:2] + data[20:])(pictures.saved(PICTURE, "JPEG", quality=95))
PROFILE = coded_profile(12, 13)
TURNED = exif_bytes(short_orientation(6))


def pixels(data: bytes) -> Image:
    return decode(data, limits=ImageLimits()).pixels


def with_segments(*segments: bytes, data: bytes = BARE) -> bytes:
    return data[:2] + b"".join(segments) + data[2:]


def app2(number: int, count: int, part: bytes) -> bytes:
    return jpeg_segment(0xE2, b"ICC_PROFILE\0" + bytes([number, count]) + part)


@pytest.mark.parametrize(
    "segment",
    [
        pytest.param(jpeg_segment(0xE0, b"JFIF\0"), id="JFIF of five bytes"),
        pytest.param(jpeg_segment(0xE0, b"JFIF\0\1"), id="JFIF of six bytes"),
        pytest.param(jpeg_segment(0xEE, b"Adobe\0"), id="Adobe's cut short"),
        pytest.param(jpeg_segment(0xED, b"Photoshop 3.0\x00" + b"8BIM\xff" * 9), id="Photoshop's damaged"),
        pytest.param(jpeg_segment(0xE2, b"MPF\0" + b"\xff" * 30), id="MPF damaged"),
        pytest.param(jpeg_segment(0xE1, b"Exif\0\0" + bytes(60_000)), id="EXIF of zeros"),
        pytest.param(jpeg_segment(0xE1, b"Exif\0\0II*\0") * 500, id="500 EXIF segments"),
        pytest.param(jpeg_segment(0xFE, bytes(65_533)) * 20, id="comments of 1.3 MB"),
        pytest.param(b"\xff\xe2\0\0", id="a length of 0, which libjpeg takes for 2"),
        pytest.param(b"\xff\xfe\0\1", id="a length of 1"),
        pytest.param(b"\xff\xe5\0\2" + b"extraneous bytes", id="bytes that belong to no segment"),
        pytest.param(b"\xff" * 9 + b"\xe5\0\2", id="fill bytes"),
        pytest.param(b"\xff\xd0\xff\x01", id="markers that stand alone"),
        pytest.param(app2(1, 1, b"no profile"), id="a profile that is none"),
    ],
)
def test_no_segment_of_an_application_is_a_reason_to_refuse_a_picture_or_changes_it(segment: bytes) -> None:
    np.testing.assert_array_equal(pixels(with_segments(segment)), pixels(BARE))


def test_nothing_but_what_pixels_need_reaches_the_decoder() -> None:
    data = pictures.saved(PICTURE, "JPEG", exif=pictures.exif_orientation(6), icc_profile=PROFILE, comment=b"secret")

    file = cleaned_jpeg(data)

    markers = [file.data[place : place + 2] for place in (0, 2)]
    assert markers == [b"\xff\xd8", b"\xff\xe0"]
    assert not any(word in file.data for word in (b"Exif", b"ICC_PROFILE", b"secret"))
    assert (file.orientation, file.profile) == (6, PROFILE)


def test_the_exif_of_the_first_segment_counts() -> None:
    xmp = jpeg_segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x tiff:Orientation='8'/>")
    exif, other = (jpeg_segment(0xE1, b"Exif\0\0" + exif_bytes(short_orientation(each))) for each in (6, 3))

    assert cleaned_jpeg(with_segments(xmp, exif, other)).orientation == 6
    assert cleaned_jpeg(with_segments(xmp)).orientation == 1, "an orientation in XMP alone does not count"


def test_the_second_picture_of_a_phones_file_has_no_say() -> None:
    frames = [Pillow.new("RGB", (32, 16), colour) for colour in ("red", "blue")]
    data = pictures.pillow_bytes(frames[0], "MPO", save_all=True, append_images=frames[1:])
    second = data.rindex(b"\xff\xd8")
    turned = data[: second + 2] + jpeg_segment(0xE1, b"Exif\0\0" + TURNED) + data[second + 2 :]

    assert pixels(turned).shape == (16, 32, 3)
    np.testing.assert_allclose(pixels(turned)[0, 0], (0, 0, 255), atol=4)


def test_a_profile_is_put_together_from_its_parts_in_their_order() -> None:
    first, second = PROFILE[:100], PROFILE[100:]

    assert cleaned_jpeg(with_segments(app2(2, 2, second), app2(1, 2, first))).profile == PROFILE
    assert cleaned_jpeg(with_segments(app2(1, 1, PROFILE), app2(1, 1, b"again"))).profile == PROFILE


@pytest.mark.parametrize("parts", [[(2, 2)], [(1, 2)], [(0, 1)], [(1, 2), (2, 3)], [(1, 0)]])
def test_a_profile_of_which_a_part_is_missing_is_none(parts: list[tuple[int, int]]) -> None:
    assert cleaned_jpeg(with_segments(*(app2(*part, PROFILE) for part in parts))).profile == b""


def test_components_are_the_colours_that_the_segments_say_as_in_browsers() -> None:
    rgb = pictures.pillow_bytes(Pillow.new("RGB", (16, 16), (200, 30, 60)), "JPEG", keep_rgb=True, quality=95)
    adobe = jpeg_segment(0xEE, b"Adobe\0\x64\0\0\0\0\0")
    jfif = jpeg_segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0")

    np.testing.assert_allclose(pixels(rgb)[8, 8], (60, 30, 200), atol=3)
    assert np.abs(pixels(with_segments(adobe)).astype(int) - PICTURE).mean() > 30, "Adobe says RGB"
    np.testing.assert_array_equal(pixels(with_segments(jfif, adobe)), pixels(BARE))
    np.testing.assert_array_equal(pixels(with_segments(jpeg_segment(0xE0, b"JFIF\0"))), pixels(BARE))


@pytest.mark.parametrize("marker", ["Adobe's", "none"])
def test_a_cmyk_jpeg_has_inverted_inks_with_or_without_adobes_segment(marker: str) -> None:
    data = pictures.pillow_bytes(Pillow.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG")
    start = data.index(b"\xff\xee")
    without = data[:start] + data[start + 16 :]

    np.testing.assert_allclose(pixels(without if marker == "none" else data)[8, 8], (0, 0, 255), atol=4)


def test_a_jpeg_of_very_many_segments_is_refused() -> None:
    with pytest.raises(UnsupportedImage, match="parts"):
        cleaned_jpeg(with_segments(b"\xff\xe5\0\2" * (MOST_PARTS + 1)))


@pytest.mark.parametrize("data", [b"\xff\xd8", b"\xff\xd8\xff", b"\xff\xd8\xff\xe1", b"\xff\xd8\xff\xe1\xff\xff12"])
def test_a_file_that_ends_in_its_header_comes_back_as_it_is(data: bytes) -> None:
    assert cleaned_jpeg(data).data == data


def test_scans_count_up_to_the_end_of_the_picture() -> None:
    scans = pictures.jpeg_with_scans(30)

    assert has_more_scans(scans, 29)
    assert not has_more_scans(scans, 30)
    assert not has_more_scans(scans + scans * 9, 30), "a phone's film behind the picture may hold any bytes"


def test_what_follows_the_picture_is_no_reason_to_refuse_it() -> None:
    np.testing.assert_array_equal(pixels(BARE + b"\xff\xda\0\x0c\x03" * 1000), pixels(BARE))


def test_markers_may_be_filled_up_with_any_number_of_bytes() -> None:
    filled = BARE[:2] + b"\xff" * 1000 + jpeg_segment(0xE1, b"Exif\0\0" + TURNED) + b"\xff" * 1000 + BARE[2:]

    assert cleaned_jpeg(filled).orientation == 6
    np.testing.assert_array_equal(pictures.stored_with_orientation(pixels(filled), 6), pixels(BARE))
    assert cleaned_jpeg(BARE[:2] + b"\xff" * 10**6).orientation == 1  # a step per byte would take very long
