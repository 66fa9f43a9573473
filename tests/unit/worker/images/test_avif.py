"""What an AVIF really codes, whatever its header says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow

from tests import pictures
from worker.config import ImageLimits
from worker.errors import ImageError, UnsupportedImage
from worker.images.avif import UNBOUNDED, largest_coded_pixels
from worker.images.decoding import bytes_to_decode, decode

LIMITS = ImageLimits(max_pixels=1_000_000)
SIDE = 1200


def avif(side_pixels: int, *, mode: str = "RGB", **options: object) -> bytes:
    return pictures.pillow_bytes(Pillow.new(mode, (side_pixels, side_pixels)), "AVIF", speed=10, **options)


def claiming(data: bytes, side_pixels: int) -> bytes:
    """Return the AVIF with a false size in all of its headers ("ispe" boxes)."""
    found, place = bytearray(data), -1
    while (place := found.find(b"ispe", place + 1)) > 0:
        found[place + 8 : place + 16] = side_pixels.to_bytes(4, "big") * 2
    return bytes(found)


@pytest.mark.parametrize("options", [{}, {"mode": "RGBA"}, {"mode": "L"}, {"subsampling": "4:4:4"}, {"quality": 100}])
def test_the_coded_size_is_that_of_the_picture(options: dict[str, object]) -> None:
    assert largest_coded_pixels(avif(777, **options)) == 777 * 777


def test_the_coded_size_of_an_animation_is_found_too() -> None:
    frames = [Pillow.new("RGB", (640, 480), colour) for colour in ("red", "blue", "lime")]
    data = pictures.pillow_bytes(frames[0], "AVIF", save_all=True, append_images=frames[1:], speed=10)
    assert largest_coded_pixels(data) == 640 * 480


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_a_header_that_claims_less_is_not_believed(mode: str) -> None:
    false = claiming(avif(SIDE, mode=mode), 100)
    with Pillow.open(pictures.BytesIO(false)) as picture:
        assert picture.size == (100, 100)
    assert largest_coded_pixels(false) == SIDE * SIDE
    for reads in (decode, bytes_to_decode):
        with pytest.raises(ImageError) as caught:
            reads(false, limits=LIMITS)
        assert caught.value.code == "image_too_large"
    assert bytes_to_decode(false, limits=ImageLimits()) == 17 * SIDE * SIDE


def box(kind: bytes, content: bytes) -> bytes:
    return (8 + len(content)).to_bytes(4, "big") + kind + content


def items(count: int, content: bytes) -> bytes:
    """Return a file of that many items, all of which are the same bytes."""
    entry_bytes = 14
    start = 8 + 4 + 8 + 8 + entry_bytes * count
    entry = bytes(4) + b"\0\1" + start.to_bytes(4, "big") + len(content).to_bytes(4, "big")
    locations = bytes(4) + b"\x44\0" + count.to_bytes(2, "big") + entry * count
    return box(b"meta", bytes(4) + box(b"iloc", locations)) + content


#: A unit without content that nobody needs.
PADDING = b"\x7a\0"


def test_items_are_found() -> None:
    unit = b"\x0a\x05" + bytes([0b00011_000, 0b00_0111_01, 0b11_111111, 0b11_111111, 0b11_000000])
    assert largest_coded_pixels(items(1, PADDING + unit)) == 256 * 256


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(box(b"free", b"") * 50_000, id="boxes"),
        pytest.param(items(30_000, b"x"), id="items"),
        pytest.param(items(3, bytes(1000)), id="items that are the same bytes"),
        pytest.param(items(1, PADDING * 50_000), id="units"),
    ],
)
def test_a_file_of_far_too_many_parts_is_as_large_as_can_be(data: bytes) -> None:
    assert largest_coded_pixels(data) == UNBOUNDED


def test_such_a_file_is_refused_with_a_sentence_about_its_parts() -> None:
    with pytest.raises(UnsupportedImage, match="far more parts"):
        bytes_to_decode(SMALL + box(b"free", b"") * 50_000, limits=LIMITS)


def test_boxes_in_boxes_are_followed_only_so_deep() -> None:
    data = b""
    for _ in range(5000):
        data = box(b"moov", data)
    assert largest_coded_pixels(data) == 0


@given(st.data())
def test_no_bytes_raise_anything(data: st.DataObject) -> None:
    original = SMALL
    start = data.draw(st.integers(0, len(original)))
    stop = data.draw(st.integers(start, len(original)))
    largest_coded_pixels(original[:start] + data.draw(st.binary(max_size=40)) + original[stop:])


SMALL = avif(16)
