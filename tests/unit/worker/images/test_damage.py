"""What is left of files that are cut short."""

import io
import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow

from tests import pictures
from tests.pictures import pillow_bytes
from worker.config import ImageLimits
from worker.errors import ImageError, TruncatedImage
from worker.images.damage import MOST_MISSING, png_from_its_rows, with_end
from worker.images.decoding import DecodedImage, decode

PICTURE = Pillow.fromarray(pictures.wavy_picture(160, 120))
LIMITS = ImageLimits()
MODES = ("RGB", "L", "P", "RGBA", "LA", "1", "I;16")


def decoded(data: bytes, *, refusals: type[ImageError] = TruncatedImage) -> DecodedImage | None:
    """Return the picture, or None if it is refused in that way."""
    try:
        return decode(data, limits=LIMITS)
    except refusals:
        return None


def png(mode: str = "RGB") -> bytes:
    picture = PICTURE.convert("I").convert("I;16") if mode == "I;16" else PICTURE.convert(mode)
    return pillow_bytes(picture, "PNG")


def test_a_jpeg_with_an_end_is_left_alone_whatever_stands_behind_it():
    whole = pillow_bytes(PICTURE, "JPEG")

    assert with_end(whole) is None
    assert with_end(whole + bytes(10)) is None
    assert with_end(whole + b"made by a phone") is None


@given(st.integers(20, 3000))
def test_a_cut_jpeg_shows_the_rows_that_are_there(cut: int):
    whole = pillow_bytes(PICTURE, "JPEG")
    picture = decoded(whole[: len(whole) - min(cut, len(whole) - 4)])
    if picture is not None:
        rows = round(120 * (1 - MOST_MISSING)) - 16
        np.testing.assert_array_equal(picture.pixels[:rows], decode(whole, limits=LIMITS).pixels[:rows])


@pytest.mark.parametrize("name", ["JPEG", "PNG"])
def test_the_warning_says_how_much_is_missing(name: str):
    data = pillow_bytes(PICTURE, name)
    warnings = []
    for percent in range(100, 0, -2):
        picture = decoded(data[: len(data) * percent // 100])
        if picture is None:
            break
        warnings.append(picture.warning)
    said = [int(each.message.split("the last ")[1].split("%")[0]) for each in warnings if each]

    assert said == sorted(said)
    assert 40 <= said[-1] <= 50


@pytest.mark.parametrize("mode", MODES)
def test_a_png_of_any_mode_keeps_its_rows(mode: str):
    data = png(mode)
    whole, cut = decode(data, limits=LIMITS), decode(data[: len(data) * 8 // 10], limits=LIMITS)

    assert cut.warning is not None
    assert cut.pixels.shape == whole.pixels.shape
    np.testing.assert_array_equal(cut.pixels[:60], whole.pixels[:60])


def test_a_black_picture_lacks_nothing():
    assert decode(pillow_bytes(Pillow.new("RGB", (50, 40)), "PNG"), limits=LIMITS).warning is None


def test_an_interlaced_png_cannot_be_told():
    data = bytearray(png())
    data[28] = 1
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")

    assert png_from_its_rows(bytes(data)) is None


@given(st.binary(max_size=200), st.integers(0, 600))
def test_whatever_a_png_has_become_the_answer_is_a_picture_or_an_error(noise: bytes, place: int):
    data = png()
    with_noise = data[:place] + noise + data[place + len(noise) :]
    picture = decoded(with_noise, refusals=ImageError)

    assert picture is None or picture.pixels.ndim == 3


def test_rows_are_read_again_in_little_memory():
    with io.BytesIO() as file:
        Pillow.new("RGB", (8000, 4000)).save(file, "PNG")
        data = file.getvalue()[:-30]

    tracemalloc.start()
    try:
        assert png_from_its_rows(data) is not None
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak_bytes < 8 * 2**20  # the picture has 96 MB
