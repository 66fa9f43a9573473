"""Of a file with several pictures, the one that is the photo."""

import struct
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow

from tests import pictures, tiffs
from worker.config import ImageLimits
from worker.errors import ImageError
from worker.images.containers import MOST_DIRECTORIES
from worker.images.decoding import bytes_to_decode, decode
from worker.recognition.interfaces import Image

LIMITS = ImageLimits(max_bytes=5_000_000, max_pixels=4_000_000)
PHOTO = pictures.wavy_picture(160, 120)
PREVIEW = pictures.gradient_picture(40, 30)
FULL_JPEG = pictures.saved(PHOTO, "JPEG", quality=95)
FULL_GREY = pictures.pillow_bytes(Pillow.fromarray(PHOTO[:, :, 0]), "JPEG")
ORDERS = pytest.mark.parametrize(("order", "is_big"), [("<", False), (">", False), ("<", True)])


def pixels(data: bytes) -> Image:
    return decode(data, limits=LIMITS).pixels


def refusal(data: bytes) -> ImageError:
    with pytest.raises(ImageError) as caught:
        decode(data, limits=LIMITS)
    return caught.value


@ORDERS
def test_a_photo_below_a_preview_is_the_photo(order: str, is_big: bool) -> None:
    first = tiffs.picture(PREVIEW, is_reduced=True)
    first.below = [tiffs.picture(PHOTO)]
    data = tiffs.tiff(first, order=order, is_big=is_big)

    np.testing.assert_array_equal(pixels(data), PHOTO)
    assert bytes_to_decode(data, limits=LIMITS) == 160 * 120 * 12


@ORDERS
def test_a_photo_behind_a_preview_is_the_photo(order: str, is_big: bool) -> None:
    data = tiffs.tiff(tiffs.picture(PREVIEW, is_reduced=True), tiffs.picture(PHOTO), order=order, is_big=is_big)

    np.testing.assert_array_equal(pixels(data), PHOTO)


def test_a_preview_by_the_old_tag_is_one_too() -> None:
    preview = tiffs.picture(PREVIEW)
    del preview.tags[tiffs.SUBFILE]
    preview.tags[255] = 2  # SubfileType: reduced

    np.testing.assert_array_equal(pixels(tiffs.tiff(preview, tiffs.picture(PHOTO))), PHOTO)


def test_of_several_pages_the_first_is_the_photo_however_small() -> None:
    np.testing.assert_array_equal(pixels(tiffs.tiff(tiffs.picture(PREVIEW), tiffs.picture(PHOTO))), PREVIEW)


def test_a_photo_with_smaller_copies_below_is_the_photo() -> None:
    first = tiffs.picture(PHOTO)
    first.below = [tiffs.picture(PREVIEW, is_reduced=True)]

    np.testing.assert_array_equal(pixels(tiffs.tiff(first)), PHOTO)


def test_behind_a_preview_the_first_page_is_the_photo_however_large_the_others_are() -> None:
    larger = tiffs.picture(pictures.wavy_picture(300, 200))
    data = tiffs.tiff(tiffs.picture(PREVIEW, is_reduced=True), tiffs.picture(PHOTO), larger)

    np.testing.assert_array_equal(pixels(data), PHOTO)


def test_of_previews_alone_the_largest_is_the_photo() -> None:
    data = tiffs.tiff(*(tiffs.picture(each, is_reduced=True) for each in (PREVIEW, PHOTO)))

    np.testing.assert_array_equal(pixels(data), PHOTO)


def test_a_jpeg_without_loss_is_unsupported_and_not_damaged() -> None:
    jpeg = FULL_GREY.replace(b"\xff\xc0", b"\xff\xc3")

    assert "without loss" in str(refusal(tiffs.tiff(tiffs.jpeg_strip(160, 120, jpeg, is_reduced=False))))


@pytest.mark.parametrize("kind", [4, 5, 8, 16, 65_540])  # DNG 1.7: mask (also of a preview), depth, enhanced, of what
def test_what_is_made_of_a_photo_is_not_it(kind: int) -> None:
    first = tiffs.picture(PREVIEW, is_reduced=True)
    mask = tiffs.picture(pictures.wavy_picture(300, 200))
    mask.tags[tiffs.SUBFILE] = kind
    first.below = [mask, tiffs.picture(PHOTO)]

    np.testing.assert_array_equal(pixels(tiffs.tiff(first)), PHOTO)


def test_a_preview_with_nothing_else_is_the_photo() -> None:
    np.testing.assert_array_equal(pixels(tiffs.tiff(tiffs.picture(PREVIEW, is_reduced=True))), PREVIEW)


def test_the_orientation_of_the_first_directory_turns_a_photo_below_it() -> None:
    first = tiffs.picture(PREVIEW, is_reduced=True, ORIENTATION=6)
    first.below = [tiffs.picture(pictures.stored_with_orientation(PHOTO, 6))]

    np.testing.assert_array_equal(pixels(tiffs.tiff(first)), PHOTO)


def raw(*jpegs: tiffs.Directory, make: bytes = b"NIKON CORPORATION\0", **tags: int) -> bytes:
    first = tiffs.picture(PREVIEW, is_reduced=True, **tags)
    first.tags[tiffs.MAKE] = make
    first.below = [tiffs.sensor(168, 124), *jpegs]
    return tiffs.tiff(first)


@pytest.mark.parametrize(
    ("make", "name"),
    [(b"NIKON CORPORATION\0", "Nikon"), (b"SONY\0", "Sony"), (b"NoName\0", "camera raw"), (b"\xff" * 90, "camera raw")],
)
def test_a_raw_without_a_picture_of_full_size_is_refused_by_name(make: bytes, name: str) -> None:
    error = refusal(raw(make=make))

    assert error.code == "image_unsupported"
    assert name in str(error)


def test_a_dng_is_called_so() -> None:
    assert "DNG" in str(refusal(raw(DNG_VERSION=0x01040000)))


def test_a_cr2_has_the_size_of_its_sensor_in_a_jpeg_without_loss() -> None:
    sensor = FULL_GREY.replace(b"\xff\xc0", b"\xff\xc3")
    for jpeg, is_photo in ((FULL_JPEG, True), (pictures.saved(PREVIEW, "JPEG"), False)):
        directories = [tiffs.jpeg_strip(160, 120, each, is_reduced=False) for each in (jpeg, sensor)]
        for each in directories:
            each.tags[tiffs.COMPRESSION] = 6
        data = bytearray(tiffs.tiff(*directories))
        data[8:10] = b"CR"
        if is_photo:
            np.testing.assert_array_equal(pixels(bytes(data)), pixels(FULL_JPEG))
        else:
            assert "raw" in str(refusal(bytes(data)))


def test_of_a_raw_the_jpeg_of_full_size_is_the_photo() -> None:
    strip = tiffs.jpeg_strip(160, 120, FULL_JPEG)
    interchange = tiffs.Directory({tiffs.SUBFILE: 1}, jpeg=FULL_JPEG)
    small = tiffs.jpeg_strip(40, 30, pictures.saved(PREVIEW, "JPEG"))

    for jpegs in ((strip,), (interchange,), (small, strip), (interchange, small)):
        np.testing.assert_array_equal(pixels(raw(*jpegs)), pixels(FULL_JPEG))


def test_a_raws_jpeg_is_turned_as_the_raw() -> None:
    strip = tiffs.jpeg_strip(160, 120, FULL_JPEG)

    np.testing.assert_array_equal(
        pictures.stored_with_orientation(pixels(raw(strip, ORIENTATION=8)), 8), pixels(FULL_JPEG)
    )


@pytest.mark.parametrize(
    "jpeg",
    [
        pytest.param(pictures.saved(pictures.wavy_picture(100, 75), "JPEG"), id="small"),
        pytest.param(FULL_JPEG.replace(b"\xff\xc0", b"\xff\xc3"), id="without loss, as sensors are stored"),
        pytest.param(FULL_JPEG[:40], id="cut"),
        pytest.param(b"\xff\xd8" + bytes(500), id="nonsense"),
    ],
)
def test_a_raw_whose_jpeg_is_no_photo_is_refused(jpeg: bytes) -> None:
    assert refusal(raw(tiffs.jpeg_strip(160, 120, jpeg))).code == "image_unsupported"


@pytest.mark.parametrize(
    ("beginning", "name"),
    [
        (b"FUJIFILMCCD-RAW 0201", "Fujifilm"),
        (b"IIRO\x08\0\0\0", "Olympus"),
        (b"IIU\0\x18\0\0\0", "Panasonic"),
        (b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", "Canon"),
        (b"II\x1a\0\0\0HEAPCCDR", "Canon"),
        (b"FOVb\0\0\2\0", "Sigma"),
        (b"\0MRM\0\0\0\0", "Minolta"),
    ],
)
def test_a_raw_of_a_makers_own_format_is_refused_by_name(beginning: bytes, name: str) -> None:
    error = refusal(beginning + bytes(200))

    assert error.code == "image_unsupported"
    assert name in str(error)


@pytest.mark.parametrize(("compression", "name"), [(34712, "JPEG 2000"), (52546, "JPEG XL"), (4711, "4711")])
def test_a_tiff_that_is_packed_in_another_way_is_refused_by_name(compression: int, name: str) -> None:
    error = refusal(tiffs.tiff(tiffs.picture(PHOTO, COMPRESSION=compression)))

    assert error.code == "image_unsupported"
    assert name in str(error)


def test_a_tiff_of_colours_that_nobody_reads_is_unsupported_and_not_damaged() -> None:
    assert refusal(tiffs.tiff(tiffs.picture(PHOTO, PHOTOMETRIC=32845))).code == "image_unsupported"


def test_a_bigtiff_of_the_other_byte_order_which_pillow_does_not_read_is_unsupported_and_not_damaged() -> None:
    assert refusal(tiffs.tiff(tiffs.picture(PHOTO), order=">", is_big=True)).code == "image_unsupported"


def test_directories_that_run_in_a_circle_are_read_once() -> None:
    first = tiffs.picture(PREVIEW, is_reduced=True)
    first.below = [tiffs.picture(PHOTO)]
    data = bytearray(tiffs.tiff(first))
    place = struct.unpack_from("<I", data, 4)[0]
    count = struct.unpack_from("<H", data, place)[0]
    struct.pack_into("<I", data, place + 2 + 12 * count, place)  # the next directory is the first

    np.testing.assert_array_equal(pixels(bytes(data)), PHOTO)


def test_very_many_directories_are_not_all_read() -> None:
    small = tiffs.picture(PREVIEW, is_reduced=True)
    data = tiffs.tiff(*[small] * (MOST_DIRECTORIES + 5), tiffs.picture(PHOTO))

    np.testing.assert_array_equal(pixels(data), PREVIEW)


@given(st.binary(max_size=40), st.integers(0, 400))
def test_whatever_directories_say_the_answer_is_a_picture_or_an_error(noise: bytes, back: int) -> None:
    data = bytearray(raw(tiffs.jpeg_strip(160, 120, FULL_JPEG)))
    place = max(0, len(data) - back)
    data[place : place + len(noise)] = noise
    with suppress(ImageError):
        assert decode(bytes(data), limits=LIMITS).pixels.ndim == 3


def test_of_a_jpeg_with_more_pictures_behind_it_the_first_is_the_photo() -> None:
    first, second = (Pillow.fromarray(np.ascontiguousarray(each[:, :, ::-1])) for each in (PHOTO, PREVIEW))
    data = pictures.pillow_bytes(first, "MPO", save_all=True, append_images=[second], quality=95)

    np.testing.assert_array_equal(pixels(data), pixels(FULL_JPEG))


@pytest.mark.parametrize("primary", [0, 1])
def test_of_a_heic_with_several_pictures_the_primary_one_is_the_photo(primary: int) -> None:
    data = pictures.heics(*(Pillow.fromarray(each) for each in (PHOTO, PREVIEW)), primary=primary)

    assert pixels(data).shape == (PHOTO, PREVIEW)[primary].shape


def test_of_a_moving_picture_the_first_frame_is_the_photo_even_a_blank_one() -> None:
    frames = [Pillow.new("RGB", (60, 40), "white"), Pillow.fromarray(PHOTO).resize((60, 40))]
    for file_format in ("GIF", "WEBP", "AVIF"):
        data = pictures.pillow_bytes(frames[0], file_format, save_all=True, append_images=frames[1:], duration=100)
        assert pixels(data).min() > 250
