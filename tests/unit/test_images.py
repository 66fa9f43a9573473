"""Untrusted bytes become an upright BGR picture, or an error with a code and a sentence."""

import struct
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow
from PIL import ImageFile

from tests import pictures
from worker.errors import ImageError
from worker.images import DecodedImage, ImageLimits, decode

LIMITS = ImageLimits(max_bytes=5_000_000, max_pixels=4_000_000)
RED_RGB = (255, 0, 0)
PICTURE = pictures.gradient_picture()

SVG = b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'
PDF = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<<>>\nendobj\n"
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n"
HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64)


def shown(data: bytes) -> DecodedImage:
    return decode(data, limits=LIMITS)


def refused(data: bytes, limits: ImageLimits = LIMITS) -> ImageError:
    with pytest.raises(ImageError) as caught:
        decode(data, limits=limits)
    return caught.value


def first_pixel(data: bytes) -> list[int]:
    return shown(data).pixels[0, 0].tolist()


@pytest.mark.parametrize(
    ("data", "code"),
    [
        pytest.param(b"", "image_empty", id="no bytes"),
        pytest.param(b"hello, this is no picture", "not_an_image", id="text"),
        pytest.param(bytes(range(256)) * 8, "not_an_image", id="random bytes"),
        pytest.param(b"\0", "not_an_image", id="one byte"),
        pytest.param(SVG, "image_unsupported", id="SVG"),
        pytest.param(b"\xef\xbb\xbf\n<SVG/>", "image_unsupported", id="SVG after a byte order mark"),
        pytest.param(PDF, "image_unsupported", id="PDF"),
        pytest.param(EPS, "image_unsupported", id="EPS"),
        pytest.param(HEIC, "image_unsupported", id="HEIC"),
        pytest.param(pictures.huge_png(), "image_too_large", id="small PNG of 20000 x 20000"),
        pytest.param(bytes(5_000_001), "image_too_large", id="too many bytes"),
        pytest.param(pictures.saved(PICTURE, "PNG")[:20], "image_truncated", id="PNG cut in its header"),
        pytest.param(pictures.saved(PICTURE, "PNG")[:-60], "image_truncated", id="PNG cut in its pixels"),
        pytest.param(pictures.saved(PICTURE, "JPEG")[:-200], "image_truncated", id="JPEG cut in its pixels"),
        pytest.param(pictures.saved(PICTURE, "WEBP")[:-20], "image_truncated", id="WebP cut"),
        pytest.param(pictures.saved(PICTURE, "GIF")[:-40], "image_truncated", id="GIF cut"),
        pytest.param(pictures.saved(PICTURE, "TIFF")[:300], "image_truncated", id="TIFF cut"),
        pytest.param(pictures.saved(PICTURE, "BMP")[:-90], "image_truncated", id="BMP cut"),
        pytest.param(pictures.saved(PICTURE, "AVIF")[:-20], "image_truncated", id="AVIF cut"),
    ],
)
def test_what_is_no_picture_that_we_take_has_its_code_and_one_sentence(data: bytes, code: str) -> None:
    error = refused(data)

    assert error.code == code
    assert not error.retryable
    assert str(error).endswith(".")
    assert len(str(error)) < 200


def test_a_document_is_called_by_its_name() -> None:
    assert "SVG" in str(refused(SVG))
    assert "PDF" in str(refused(PDF))
    assert "EPS" in str(refused(EPS))
    assert "HEIC" in str(refused(HEIC))


def test_a_picture_that_only_claims_to_be_huge_costs_no_memory() -> None:
    data = pictures.huge_png()
    assert len(data) < 60_000
    before = psutil.Process().memory_info().rss

    for _ in range(5):
        assert refused(data).code == "image_too_large"

    assert psutil.Process().memory_info().rss - before < 20_000_000


def test_the_pixel_limit_counts_the_header_and_not_what_pillow_would_warn_of() -> None:
    data = pictures.saved(pictures.gradient_picture(40, 30), "PNG")

    assert decode(data, limits=ImageLimits(max_pixels=1200)).pixels.shape == (30, 40, 3)
    assert refused(data, ImageLimits(max_pixels=1199)).code == "image_too_large"


def test_a_file_of_exactly_the_byte_limit_is_taken() -> None:
    data = pictures.saved(PICTURE, "PNG")

    assert decode(data, limits=ImageLimits(max_bytes=len(data))).format == "PNG"
    assert refused(data, ImageLimits(max_bytes=len(data) - 1)).code == "image_too_large"


@pytest.mark.parametrize("file_format", ["PNG", "BMP", "TIFF"])
def test_lossless_formats_come_back_exactly_and_in_bgr(file_format: str) -> None:
    image = shown(pictures.saved(PICTURE, file_format))

    assert image.format == file_format
    assert image.pixels.dtype == np.uint8
    assert image.pixels.flags.c_contiguous
    np.testing.assert_array_equal(image.pixels, PICTURE)


@pytest.mark.parametrize("file_format", ["JPEG", "WEBP", "AVIF"])
def test_lossy_formats_come_back_nearly(file_format: str) -> None:
    image = shown(pictures.saved(PICTURE, file_format, quality=95))

    assert image.format == file_format
    assert np.abs(image.pixels.astype(int) - PICTURE).mean() < 4


@pytest.mark.parametrize("file_format", ["GIF", "WEBP", "PNG"])
def test_of_an_animation_the_first_frame_is_decoded(file_format: str) -> None:
    frames = [Pillow.new("RGB", (24, 16), colour) for colour in ("red", "blue", "lime")]
    data = pictures.pillow_bytes(frames[0], file_format, save_all=True, append_images=frames[1:], duration=50)

    image = shown(data)

    assert image.pixels.shape == (16, 24, 3)
    np.testing.assert_allclose(image.pixels[8, 8], (0, 0, 255), atol=3)


def test_sixteen_bits_are_scaled_and_not_clipped() -> None:
    values = np.array([[0, 128, 257, 32896, 65278, 65535]], np.uint16)

    image = shown(pictures.png_16_bit(values))

    assert image.pixels[0, :, 0].tolist() == [0, 0, 1, 128, 254, 255]


def test_numbers_without_an_agreed_white_are_stretched_over_their_own_range() -> None:
    floats = Pillow.fromarray(np.array([[-1.0, 0.0, 1.0]], np.float32))

    assert shown(pictures.pillow_bytes(floats, "TIFF")).pixels[0, :, 0].tolist() == [0, 128, 255]


def test_a_cmyk_jpeg_has_its_colours() -> None:
    data = pictures.pillow_bytes(Pillow.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG")

    np.testing.assert_allclose(first_pixel(data), (0, 0, 255), atol=4)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "P", "L", "RGB"])
def test_what_is_transparent_lies_over_white(mode: str) -> None:
    if mode == "PA":
        clear = Pillow.new("RGBA", (4, 4), (0, 0, 0, 0)).quantize(4)
        assert clear.mode == "P"
        data = pictures.pillow_bytes(clear, "PNG")
    elif mode == "RGBA":
        data = pictures.pillow_bytes(Pillow.new("RGBA", (4, 4), (0, 0, 0, 0)), "PNG")
    elif mode == "LA":
        data = pictures.pillow_bytes(Pillow.new("LA", (4, 4), (0, 0)), "PNG")
    else:
        key = (0, 0, 0) if mode == "RGB" else 0
        data = pictures.pillow_bytes(Pillow.new(mode, (4, 4), key), "PNG", transparency=key)

    assert first_pixel(data) == [255, 255, 255]


def test_half_transparent_red_is_pink() -> None:
    data = pictures.pillow_bytes(Pillow.new("RGBA", (2, 2), (*RED_RGB, 128)), "PNG")

    np.testing.assert_allclose(first_pixel(data), (127, 127, 255), atol=1)


@pytest.mark.parametrize(("mode", "colour"), [("L", 77), ("1", 1), ("P", 5)])
def test_grey_one_bit_and_palette_pictures_become_bgr(mode: str, colour: int) -> None:
    picture = Pillow.new(mode, (5, 4), colour)
    if mode == "P":
        picture.putpalette([10, 20, 30] * 256)
    expected = {"L": [77, 77, 77], "1": [255, 255, 255], "P": [30, 20, 10]}[mode]

    assert first_pixel(pictures.pillow_bytes(picture, "PNG")) == expected


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
def test_a_picture_stands_upright_whatever_its_orientation_tag(orientation: int, file_format: str) -> None:
    # How a camera held that way stores the upright picture (CIPA DC-008): the inverse of what a viewer does.
    stored = {
        1: PICTURE,
        2: PICTURE[:, ::-1],
        3: PICTURE[::-1, ::-1],
        4: PICTURE[::-1],
        5: PICTURE.transpose(1, 0, 2),
        6: PICTURE.transpose(1, 0, 2)[::-1],
        7: PICTURE.transpose(1, 0, 2)[::-1, ::-1],
        8: PICTURE.transpose(1, 0, 2)[:, ::-1],
    }[orientation]
    exif = Pillow.Exif()
    exif[0x0112] = orientation

    image = shown(pictures.saved(np.ascontiguousarray(stored), file_format, exif=exif))

    np.testing.assert_array_equal(image.pixels, PICTURE)


def test_a_nonsensical_orientation_tag_changes_nothing() -> None:
    exif = Pillow.Exif()
    exif[0x0112] = 99

    np.testing.assert_array_equal(shown(pictures.saved(PICTURE, "PNG", exif=exif)).pixels, PICTURE)


def test_a_picture_of_one_pixel_is_a_picture() -> None:
    assert shown(pictures.saved(PICTURE[:1, :1], "PNG")).pixels.shape == (1, 1, 3)


def test_the_two_pictures_of_a_phones_mpo_are_one_jpeg() -> None:
    frames = [Pillow.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
    data = pictures.pillow_bytes(frames[0], "MPO", save_all=True, append_images=frames[1:])

    image = shown(data)

    assert image.format == "JPEG"
    np.testing.assert_allclose(image.pixels[0, 0], (0, 0, 255), atol=4)


def test_an_orientation_in_a_damaged_tiff_directory_is_still_an_image_or_an_image_error() -> None:
    data = bytearray(pictures.saved(PICTURE, "TIFF"))
    (offset,) = struct.unpack("<I", data[4:8])
    data[offset + 2 : offset + 12] = b"\xff" * 10

    with pytest.raises(ImageError):
        shown(bytes(data))


SEEDS = [pictures.saved(PICTURE, name) for name in ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF")]


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_whatever_happened_to_a_file_the_answer_is_a_picture_or_an_image_error(data: st.DataObject) -> None:
    damaged = bytearray(data.draw(st.sampled_from(SEEDS)))
    for _ in range(data.draw(st.integers(0, 6))):
        position = data.draw(st.integers(0, len(damaged) - 1))
        damaged[position] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(damaged)))

    try:
        image = shown(bytes(damaged[:cut] if data.draw(st.booleans()) else damaged))
    except ImageError as error:
        assert error.code in {  # noqa: PT017
            "image_empty",
            "not_an_image",
            "image_unsupported",
            "image_truncated",
            "image_too_large",
        }
    else:
        assert image.pixels.dtype == np.uint8
        assert image.pixels.shape[2] == 3
        assert image.pixels.shape[0] * image.pixels.shape[1] <= LIMITS.max_pixels


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=400))
def test_random_bytes_are_no_picture(data: bytes) -> None:
    refused(data)


def test_the_cause_of_an_error_is_kept() -> None:
    assert refused(pictures.saved(PICTURE, "JPEG")[:-200]).__cause__ is not None


def test_running_out_of_memory_means_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_memory(self: object) -> None:
        raise MemoryError

    monkeypatch.setattr(ImageFile.ImageFile, "load", no_memory)

    assert refused(pictures.saved(PICTURE, "BMP")).code == "image_too_large"


def test_many_threads_decode_at_once() -> None:
    files = [pictures.saved(PICTURE, name) for name in ("PNG", "BMP", "TIFF")] * 20
    together = threading.Barrier(8)

    def decode_all(_: int) -> bool:
        together.wait()
        return all(np.array_equal(shown(data).pixels, PICTURE) for data in files)

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(decode_all, range(8)))


def test_truncated_pictures_are_not_quietly_completed() -> None:
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False
