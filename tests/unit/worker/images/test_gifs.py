"""What a GIF's frame does not cover is empty, and so white."""

import struct

import numpy as np
import pytest
from PIL import Image as Pillow

from tests import pictures
from worker.config import ImageLimits
from worker.images.decoding import decode

RED = Pillow.new("P", (20, 10), 1)
RED.putpalette([0, 0, 0, 255, 0, 0] + [9] * 762)


def on_screen(*, size: tuple[int, int], place: tuple[int, int], **options: object) -> bytes:
    """Return a GIF with the red frame at this place of a screen of this size."""
    data = pictures.pillow_bytes(RED, "GIF", **options)
    start = data.index(b"\x2c" + bytes(4) + struct.pack("<HH", 20, 10))
    moved = data[: start + 1] + struct.pack("<HH", *place) + data[start + 5 :]
    return moved[:6] + struct.pack("<HH", *size) + moved[10:]


def shown(data: bytes) -> np.ndarray:
    return decode(data, limits=ImageLimits()).pixels


@pytest.mark.parametrize("place", [(0, 0), (5, 3), (20, 20)])
def test_a_frame_lies_at_its_place_on_a_white_screen(place: tuple[int, int]) -> None:
    expected = np.full((30, 40, 3), 255, np.uint8)
    expected[place[1] : place[1] + 10, place[0] : place[0] + 20] = (0, 0, 255)

    np.testing.assert_array_equal(shown(on_screen(size=(40, 30), place=place)), expected)


def test_a_frame_that_fills_its_screen_is_the_picture() -> None:
    assert (shown(on_screen(size=(20, 10), place=(0, 0))) == (0, 0, 255)).all()


def test_a_transparent_frame_on_a_larger_screen_is_white_altogether() -> None:
    assert (shown(on_screen(size=(40, 30), place=(5, 3), transparency=1)) == 255).all()
