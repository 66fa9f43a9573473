"""A GIF's first frame follows its header."""

import numpy as np
import pytest
from PIL import Image as Pillow

from tests import pictures
from worker.config import ImageLimits
from worker.errors import UnsupportedImage
from worker.images.cleaning.gif import cleaned_gif
from worker.images.cleaning.result import MOST_PARTS
from worker.images.decoding import decode
from worker.recognition.interfaces import Image

PICTURE = pictures.gradient_picture()
GIF = pictures.pillow_bytes(Pillow.fromarray(PICTURE).quantize(32), "GIF", transparency=3)
HEADER_END = 13 + 3 * 2 ** ((GIF[10] & 7) + 1)


def pixels(data: bytes) -> Image:
    return decode(data, limits=ImageLimits()).pixels


def with_block(block: bytes) -> bytes:
    return GIF[:HEADER_END] + block + GIF[HEADER_END:]


@pytest.mark.parametrize(
    "block",
    [
        pytest.param(b"!\xfe\0", id="an empty comment"),
        pytest.param(b"!\xfe" + (b"\xff" + b"a" * 255) * 6000 + b"\0", id="a comment of 1.5 MB"),
        pytest.param(b"!\xff\x0bNETSCAPE2.0\1\1\0", id="a loop of too few bytes"),
        pytest.param(b"!\xff\3abc\0", id="an application of a short name"),
        pytest.param(b"!\x01\2ab\0", id="a text of too few bytes"),
        pytest.param(b"!\x77\1a\0", id="an unknown extension"),
        pytest.param(b"!\xf9\1a\0", id="a graphic control before the frame's own"),
    ],
)
def test_no_block_before_the_frame_is_a_reason_to_refuse_a_picture_or_changes_it(block: bytes) -> None:
    np.testing.assert_array_equal(pixels(with_block(block)), pixels(GIF))
    assert cleaned_gif(with_block(block)).data == GIF


def test_a_gif_of_very_many_blocks_is_refused() -> None:
    with pytest.raises(UnsupportedImage, match="parts"):
        cleaned_gif(with_block(b"!\xfe\0" * (MOST_PARTS + 1)))


@pytest.mark.parametrize("length", [6, 12, 13, HEADER_END, HEADER_END + 1, HEADER_END + 3])
def test_a_file_that_ends_before_its_frame_comes_back_as_it_is(length: int) -> None:
    assert cleaned_gif(GIF[:length]).data == GIF[:length]
