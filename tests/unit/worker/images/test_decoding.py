"""Untrusted bytes become an upright BGR picture, or an error with a code and a sentence."""

import struct
import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow
from PIL import ImageCms, ImageFile, PngImagePlugin

from tests import pictures
from worker.errors import ImageError
from worker.images import decoding as images
from worker.images.decoding import DecodedImage, ImageLimits, bytes_to_decode, decode
from worker.images.pixels import upright_bgr

LIMITS = ImageLimits(max_bytes=5_000_000, max_pixels=4_000_000)
RED_RGB = (255, 0, 0)
PICTURE = pictures.gradient_picture()

SVG = b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'
PDF = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<<>>\nendobj\n"
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n"
HEIC_HEADER = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64)
#: Larger than two of the strips that pixels are converted in, with sides that 8 does not divide.
LARGE = pictures.wavy_picture(1301, 883)


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
        pytest.param(HEIC_HEADER, "image_truncated", id="HEIC of a header only"),
        pytest.param(pictures.huge_png(), "image_too_large", id="small PNG of 20000 x 20000"),
        pytest.param(pictures.saved(PICTURE[:1, :1].repeat(70_000, axis=1), "PNG"), "image_too_large", id="70000 x 1"),
        pytest.param(
            pictures.tiff_with_tiles(16, tile_side_pixels=4096), "image_too_large", id="TIFF of one huge tile"
        ),
        pytest.param(pictures.jpeg_with_scans(65), "image_unsupported", id="JPEG of very many scans"),
        pytest.param(bytes(5_000_001), "image_too_large", id="too many bytes"),
        pytest.param(pictures.saved(PICTURE, "PNG")[:20], "image_truncated", id="PNG cut in its header"),
        pytest.param(pictures.saved(PICTURE, "PNG")[:90], "image_truncated", id="PNG cut in its pixels"),
        pytest.param(pictures.saved(PICTURE, "JPEG")[:615], "image_truncated", id="JPEG cut before its pixels"),
        pytest.param(pictures.saved(PICTURE, "WEBP")[:-20], "image_truncated", id="WebP cut"),
        pytest.param(pictures.saved(PICTURE, "GIF")[:-40], "image_truncated", id="GIF cut"),
        pytest.param(pictures.saved(PICTURE, "TIFF")[:300], "image_truncated", id="TIFF cut"),
        pytest.param(pictures.saved(PICTURE, "BMP")[:-90], "image_truncated", id="BMP cut"),
        pytest.param(pictures.saved(PICTURE, "AVIF")[:-20], "image_truncated", id="AVIF cut"),
        pytest.param(pictures.heic(Pillow.new("RGB", (64, 64)))[:-20], "image_truncated", id="HEIC cut"),
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


def test_heic_and_avif_are_among_the_formats_that_are_offered() -> None:
    assert str(refused(b"no picture")).endswith("send one of JPEG, PNG, WEBP, GIF, BMP, TIFF, AVIF and HEIC.")


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


def test_their_range_is_that_of_the_whole_picture() -> None:
    values = np.zeros((1000, 600), np.int32)
    values[0, 0], values[-1, -1] = -70_000, 70_000

    pixels = shown(pictures.pillow_bytes(Pillow.fromarray(values), "TIFF")).pixels

    assert (pixels[0, 0, 0], pixels[500, 300, 0], pixels[-1, -1, 0]) == (0, 128, 255)


def test_infinities_and_what_is_no_number_do_no_harm() -> None:
    values = np.array([[np.nan, np.inf, -np.inf, 0.0, 2.0]], np.float32)

    assert shown(pictures.pillow_bytes(Pillow.fromarray(values), "TIFF")).pixels[0, :, 0].tolist() == [0, 0, 0, 0, 255]


@pytest.mark.parametrize("byte_order", ["<", ">"])
def test_a_16_bit_tiff_of_either_byte_order_is_scaled(byte_order: str) -> None:
    values = np.array([[0, 257, 32896, 65535]], f"{byte_order}u2")

    image = shown(pictures.pillow_bytes(Pillow.fromarray(values), "TIFF"))

    assert image.pixels[0, :, 0].tolist() == [0, 1, 128, 255]


@pytest.mark.parametrize("file_format", ["JPEG", "TIFF"])
@pytest.mark.parametrize(("ink", "bgr"), [((0, 255, 255, 0), (0, 0, 255)), ((0, 0, 0, 255), (0, 0, 0))])
def test_a_cmyk_picture_has_its_colours(
    file_format: str, ink: tuple[int, int, int, int], bgr: tuple[int, int, int]
) -> None:
    # Pillow writes its JPEGs as Adobe does, with the inks inverted; a TIFF has them as they are.
    data = pictures.pillow_bytes(Pillow.new("CMYK", (16, 16), ink), file_format)

    np.testing.assert_allclose(first_pixel(data), bgr, atol=4)


def test_a_tiff_in_lab_or_ycbcr_has_its_colours() -> None:
    red = Pillow.new("RGB", (16, 16), RED_RGB)
    lab = ImageCms.profileToProfile(
        red, ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    assert lab is not None

    np.testing.assert_allclose(first_pixel(pictures.pillow_bytes(lab, "TIFF")), (0, 0, 255), atol=6)
    np.testing.assert_allclose(first_pixel(pictures.pillow_bytes(red.convert("YCbCr"), "TIFF")), (0, 0, 255), atol=4)


def test_a_palette_may_have_a_transparency_for_each_colour() -> None:
    picture = Pillow.new("P", (3, 1))
    picture.putpalette([0, 0, 0] * 256)
    picture.putdata([0, 1, 2])

    pixels = shown(pictures.pillow_bytes(picture, "PNG", transparency=bytes([0, 127, 255]))).pixels

    assert pixels[0, :, 0].tolist() == [255, 128, 0]


def test_a_heic_has_its_colours_stands_upright_and_lies_over_white() -> None:
    picture = Pillow.fromarray(pictures.gradient_picture(160, 96))
    image = shown(pictures.heic(picture, quality=95))
    turned = shown(pictures.heic(picture, quality=95, exif=pictures.exif_orientation(6).tobytes()))
    clear = shown(pictures.heic(Pillow.new("RGBA", (64, 64), (0, 0, 0, 0))))

    assert image.format == "HEIC"
    assert np.abs(image.pixels.astype(int) - np.asarray(picture)[:, :, ::-1]).mean() < 4
    assert (turned.width, turned.height) == (96, 160)
    assert np.abs(turned.pixels.astype(int) - np.rot90(image.pixels, -1)).mean() < 3
    np.testing.assert_allclose(clear.pixels[8, 8], (255, 255, 255), atol=2)


def test_the_heic_library_teaches_nothing_to_pillow() -> None:
    assert "HEIF" not in Pillow.OPEN


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
    stored = pictures.stored_with_orientation(LARGE, orientation)
    data = pictures.saved(stored, file_format, exif=pictures.exif_orientation(orientation), compress_level=1)

    image = decode(data, limits=ImageLimits())

    np.testing.assert_array_equal(image.pixels, LARGE)
    assert (image.width, image.height, image.scale, image.origin) == (1301, 883, 1.0, (0, 0))


def test_a_nonsensical_orientation_tag_changes_nothing() -> None:
    data = pictures.saved(PICTURE, "PNG", exif=pictures.exif_orientation(99))

    np.testing.assert_array_equal(shown(data).pixels, PICTURE)


@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\0\0",
        b"Exif\0\0II",
        b"Exif\0\0no TIFF at all",
        b"Exif\0\0II*\0\xff\xff\xff\xff",
        b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01\x12",
    ],
)
def test_hostile_exif_is_no_reason_to_refuse_a_picture(exif: bytes) -> None:
    assert shown(pictures.with_jpeg_segment(pictures.saved(PICTURE, "JPEG"), exif)).pixels.shape == PICTURE.shape


def test_an_exif_that_pillow_cannot_even_open_is_no_reason_either() -> None:
    text = PngImagePlugin.PngInfo()
    text.add_text("Raw profile type exif", "\nexif\n4\nthis is not hexadecimal")

    np.testing.assert_array_equal(shown(pictures.saved(PICTURE, "PNG", pnginfo=text)).pixels, PICTURE)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(
            pictures.with_jpeg_segment(pictures.saved(PICTURE, "JPEG"), b"", times=100_000), id="JPEG segments"
        ),
        pytest.param(b"GIF89a\1\0\1\0\0\0\0" + b"!\xfe\1a\0" * 100_000, id="GIF comments"),
    ],
)
def test_a_file_of_very_many_parts_is_refused_before_it_costs_minutes(data: bytes) -> None:
    error = refused(data)

    assert error.code == "image_unsupported"
    assert "parts" in str(error)


def test_a_progressive_jpeg_may_have_more_scans_than_any_encoder_makes() -> None:
    assert shown(pictures.jpeg_with_scans(64)).pixels.shape == (512, 512, 3)


def test_a_tiff_of_tiles_within_the_limit_is_taken() -> None:
    assert shown(pictures.tiff_with_tiles(16, tile_side_pixels=1024)).pixels.shape == (16, 16, 3)


def test_a_picture_may_be_as_long_and_narrow_as_a_jpeg_can_be() -> None:
    column = PICTURE[:, :1].repeat(2048, axis=0)[: images.MAX_SIDE_PIXELS]

    np.testing.assert_array_equal(shown(pictures.saved(column, "PNG")).pixels, column)


@pytest.mark.parametrize(
    ("stored", "reduced_to", "scale"),
    [
        ((1301, 883), (651, 442), 1 / 2),
        ((883, 1301), (442, 651), 1 / 2),
        ((1280, 885), (640, 443), 1 / 2),  # the shorter side is 442.5 in the detector's box
        ((1279, 1279), (1279, 1279), 1),
        ((2560, 5), (640, 2), 1 / 4),
        ((641, 1923), (321, 962), 1 / 2),
        ((5127, 700), (641, 88), 1 / 8),
        ((320, 240), (320, 240), 1),
    ],
)
def test_a_large_jpeg_is_decoded_at_the_smallest_scale_that_is_enough(
    stored: tuple[int, int], reduced_to: tuple[int, int], scale: float
) -> None:
    image = decode(pictures.saved(pictures.wavy_picture(*stored), "JPEG"), limits=ImageLimits(), enough_pixels=640)

    assert (image.width, image.height) == stored
    assert (image.pixels.shape[1], image.pixels.shape[0]) == reduced_to
    assert image.scale == scale


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("enough_pixels", [640, 320, 160])
def test_a_reduced_picture_says_where_it_lies_in_the_whole_one(orientation: int, enough_pixels: int) -> None:
    stored = pictures.stored_with_orientation(LARGE, orientation)
    data = pictures.saved(stored, "JPEG", quality=95, subsampling=0, exif=pictures.exif_orientation(orientation))
    whole = decode(data, limits=LIMITS)

    reduced = decode(data, limits=LIMITS, enough_pixels=enough_pixels)

    assert (reduced.width, reduced.height) == (whole.width, whole.height) == (1301, 883)
    block = round(1 / reduced.scale)
    x, y = reduced.origin
    assert -block < x <= 0
    assert -block < y <= 0
    # The whole picture, put where the reduced one says, and each block of it averaged.
    height, width = reduced.pixels.shape[:2]
    around = ((-y, height * block - 883 + y), (-x, width * block - 1301 + x), (0, 0))
    padded = np.pad(whole.pixels, around, mode="edge")
    expected = padded.reshape(height, block, width, block, 3).mean(axis=(1, 3))
    assert np.abs(reduced.pixels - expected).mean() < 1.5


def test_the_limits_hold_for_the_whole_picture_and_not_for_the_reduced_one() -> None:
    data = pictures.saved(LARGE, "JPEG")
    limits = ImageLimits(max_pixels=1301 * 883 - 1)

    with pytest.raises(ImageError) as caught:
        decode(data, limits=limits, enough_pixels=160)

    assert caught.value.code == "image_too_large"


@pytest.mark.parametrize("file_format", ["PNG", "WEBP", "TIFF", "BMP", "AVIF", "GIF"])
def test_only_a_jpeg_is_decoded_at_a_reduced_scale(file_format: str) -> None:
    data = pictures.saved(pictures.gradient_picture(400, 300), file_format)

    image = decode(data, limits=LIMITS, enough_pixels=100)

    assert image.pixels.shape == (300, 400, 3)
    assert image.scale == 1


@pytest.mark.parametrize("mode", ["L", "CMYK"])
@pytest.mark.parametrize("progressive", [False, True])
def test_grey_cmyk_and_progressive_jpegs_are_reduced_too(mode: str, progressive: bool) -> None:
    data = pictures.pillow_bytes(Pillow.fromarray(LARGE).convert(mode), "JPEG", progressive=progressive)

    reduced = decode(data, limits=LIMITS, enough_pixels=160)

    assert reduced.pixels.shape == (111, 163, 3)
    assert abs(reduced.pixels.mean() - shown(data).pixels.mean()) < 3


def test_the_same_bytes_can_be_decoded_reduced_and_then_whole() -> None:
    data = pictures.saved(LARGE, "JPEG")
    whole = shown(data).pixels

    decode(data, limits=LIMITS, enough_pixels=160)

    np.testing.assert_array_equal(shown(data).pixels, whole)


def test_a_reduced_jpeg_that_is_cut_short_has_the_warning_of_the_whole_one() -> None:
    data = pictures.saved(LARGE, "JPEG")
    cut = data[: len(data) * 3 // 4]

    whole, reduced = decode(cut, limits=LIMITS), decode(cut, limits=LIMITS, enough_pixels=160)

    assert reduced.scale < 1
    assert whole.warning is not None
    assert reduced.warning is not None
    assert reduced.warning.code == whole.warning.code == "image_incomplete"


def test_beside_pillows_picture_only_the_result_takes_memory() -> None:
    picture = Pillow.new("RGBA", (4000, 1000), (10, 20, 30, 40))

    tracemalloc.start()
    try:
        pixels = upright_bgr(picture, orientation=6)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak_bytes < pixels.nbytes + 4_000_000


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
SEEDS.append(pictures.heic(Pillow.new("RGB", (64, 64), RED_RGB)))


@settings(max_examples=250)
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


@settings(max_examples=100)
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


# -- what decoding takes, before it begins ---------------------------------------------------------------------


@pytest.mark.parametrize("data", [b"", SVG, pictures.huge_png(), bytes(5_000_001)])
def test_what_is_refused_is_refused_before_it_is_decoded(data: bytes) -> None:
    with pytest.raises(ImageError) as caught:
        bytes_to_decode(data, limits=LIMITS)
    assert caught.value.code == refused(data).code
