"""An orientation counts as the standard has it, and as browsers read it."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.pictures import exif_bytes, short_orientation
from worker.images.exif import layout_of, orientation_of

LONG_6 = struct.pack("<I", 6)


@pytest.mark.parametrize("byte_order", ["<", ">"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_one_short_of_one_to_eight_is_the_orientation(orientation: int, byte_order: str) -> None:
    exif = exif_bytes(short_orientation(orientation, byte_order), byte_order=byte_order)

    assert orientation_of(exif) == orientation


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param((0x0112, 1, 1, b"\6\0\0\0"), id="a byte"),
        pytest.param((0x0112, 2, 2, b"6\0\0\0"), id="text"),
        pytest.param((0x0112, 4, 1, LONG_6), id="a long"),
        pytest.param((0x0112, 8, 1, LONG_6), id="a signed short"),
        pytest.param((0x0112, 3, 2, struct.pack("<HH", 6, 6)), id="two shorts"),
        pytest.param((0x0112, 3, 0, LONG_6), id="no short"),
        pytest.param(short_orientation(0), id="0"),
        pytest.param(short_orientation(9), id="9"),
        pytest.param((0x0113, 3, 1, LONG_6), id="another tag"),
    ],
)
def test_anything_else_says_nothing(entry: tuple[int, int, int, bytes]) -> None:
    assert orientation_of(exif_bytes(entry)) == 1
    assert orientation_of(exif_bytes(entry, short_orientation(8))) == 8, "and does not hide one that is right"


def test_of_several_orientations_the_first_counts() -> None:
    assert orientation_of(exif_bytes(short_orientation(6), short_orientation(3))) == 6


def test_that_of_a_second_directory_is_the_previews() -> None:
    first = exif_bytes()
    exif = first[:-4] + struct.pack("<I", len(first)) + exif_bytes(short_orientation(6))[8:]

    assert orientation_of(exif) == 1


@given(st.binary(max_size=80), st.sampled_from([b"", b"II*\0", b"MM\0*", b"II+\0\x08\0\0\0", b"Exif\0\0II*\0"]))
def test_whatever_the_bytes_are_there_is_an_orientation(data: bytes, beginning: bytes) -> None:
    assert orientation_of(beginning + data) in range(1, 9)


def test_a_directory_is_read_within_a_bound() -> None:
    data = b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, 2**40) + bytes(20 * 100_000)
    layout = layout_of(data)

    assert layout is not None
    assert len(list(layout.directory(data, 16))) == 1000
