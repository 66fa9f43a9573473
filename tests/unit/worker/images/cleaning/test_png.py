"""A PNG's decoder gets its critical chunks and what is transparent; its colours are what browsers take them for."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image as Pillow

from tests import pictures
from tests.pictures import exif_bytes, png_chunk, short_orientation, with_png_chunks
from worker.config import ImageLimits
from worker.errors import UnsupportedImage
from worker.images.cleaning.png import cleaned_png
from worker.images.cleaning.result import MOST_PARTS, MOST_PROFILE_BYTES
from worker.images.decoding import decode
from worker.images.profiles import coded_profile
from worker.recognition.interfaces import Image

PICTURE = pictures.gradient_picture()
PNG = pictures.saved(PICTURE, "PNG")
PLAIN = pictures.pillow_bytes(Pillow.new("RGB", (4, 4), (100, 150, 200)), "PNG")
P3 = coded_profile(12, 13)
TURNED = exif_bytes(short_orientation(6))
P3_CHROMATICITIES = struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)


def pixels(data: bytes) -> Image:
    return decode(data, limits=ImageLimits()).pixels


def gamma(hundred_thousandths: int) -> bytes:
    return png_chunk(b"gAMA", struct.pack(">I", hundred_thousandths))


def icc(profile: bytes) -> bytes:
    return png_chunk(b"iCCP", b"a name\0\0" + zlib.compress(profile))


def rgb_of(*chunks: bytes) -> list[int]:
    """Return what the colour (100, 150, 200) becomes."""
    return pixels(with_png_chunks(PLAIN, *chunks))[0, 0, ::-1].tolist()


def at_end(data: bytes, chunk: bytes) -> bytes:
    return data[:-12] + chunk + data[-12:]


def wrong(chunk: bytes) -> bytes:
    """The same chunk with a wrong checksum."""
    return chunk[:-1] + bytes([chunk[-1] ^ 1])


@pytest.mark.parametrize(
    "chunk",
    [
        pytest.param(png_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(1_500_000))), id="1.5 MB of packed text"),
        pytest.param(png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + b"x" * 1_500_000), id="1.5 MB of XMP"),
        pytest.param(png_chunk(b"iTXt", b"a\0\1\0\0\0not packed"), id="text that cannot be unpacked"),
        pytest.param(wrong(png_chunk(b"tEXt", b"a\0b")), id="a wrong checksum of a text"),
        pytest.param(wrong(png_chunk(b"eXIf", TURNED)), id="a wrong checksum of EXIF"),
        pytest.param(png_chunk(b"gAMA", b"\0\1"), id="gAMA of two bytes"),
        pytest.param(png_chunk(b"cHRM", b"\0\1"), id="cHRM of two bytes"),
        pytest.param(png_chunk(b"pHYs", b""), id="pHYs of no bytes"),
        pytest.param(png_chunk(b"sRGB", b""), id="sRGB of no bytes"),
        pytest.param(png_chunk(b"tRNS", b""), id="tRNS of no bytes"),
        pytest.param(png_chunk(b"tRNS", b"\0\0\0"), id="tRNS too short"),
        pytest.param(png_chunk(b"cICP", b"\1"), id="cICP of one byte"),
        pytest.param(png_chunk(b"acTL", b"\0"), id="acTL of one byte"),
        pytest.param(png_chunk(b"fcTL", b"\0"), id="fcTL of one byte"),
        pytest.param(png_chunk(b"iCCP", b"a name\0\0not packed"), id="a profile that cannot be unpacked"),
        pytest.param(icc(bytes(1_500_000)), id="a profile of 1.5 MB of zeros"),
        pytest.param(icc(bytes(MOST_PROFILE_BYTES + 1)), id="a profile that is longer than any"),
        pytest.param(png_chunk(b"eXIf", b"Exif\0\0" + TURNED), id="EXIF with JPEG's prefix"),
        pytest.param(png_chunk(b"PLTE", b"\1\2"), id="a suggested palette of two bytes"),
        pytest.param(png_chunk(b"tEXt", b"Raw profile type exif\0\nexif\n4\nno number"), id="EXIF in a text"),
        pytest.param(png_chunk(b"tIME", b"") * 20_000, id="20,000 chunks"),
    ],
)
def test_no_chunk_besides_the_pixels_is_a_reason_to_refuse_a_picture_or_changes_it(chunk: bytes) -> None:
    np.testing.assert_array_equal(pixels(with_png_chunks(PNG, chunk)), PICTURE)
    np.testing.assert_array_equal(pixels(at_end(PNG, chunk)), PICTURE)


def test_nothing_but_pixels_reaches_the_decoder() -> None:
    data = with_png_chunks(PNG, png_chunk(b"tEXt", b"a\0secret"), icc(P3), png_chunk(b"eXIf", TURNED), gamma(1))

    file = cleaned_png(data + b"what follows the end")

    assert file.data == PNG
    assert (file.orientation, file.profile, file.exif) == (6, P3, TURNED)


def test_an_orientation_may_stand_before_or_behind_the_pixels() -> None:
    chunk = png_chunk(b"eXIf", TURNED)

    assert cleaned_png(with_png_chunks(PNG, chunk)).orientation == 6
    assert cleaned_png(at_end(PNG, chunk)).orientation == 6


def test_the_first_picture_of_an_animation_is_the_one_that_every_viewer_shows() -> None:
    frames = [Pillow.new("RGB", (24, 16), colour) for colour in ("red", "blue")]
    data = pictures.pillow_bytes(frames[0], "PNG", save_all=True, append_images=frames[1:], duration=50)

    assert b"fdAT" in data
    assert b"fdAT" not in cleaned_png(data).data
    np.testing.assert_array_equal(pixels(data)[8, 8], (0, 0, 255))


# -- colours: each number is what Chromium shows ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("chunks", "rgb"),
    [
        pytest.param([gamma(45455)], [100, 150, 200], id="sRGB's gamma"),
        pytest.param([gamma(100_000)], [168, 202, 229], id="gamma 1"),
        pytest.param([gamma(22727)], [34, 88, 158], id="gamma 1/4.4"),
        pytest.param([gamma(0)], [100, 150, 200], id="gamma 0"),
        pytest.param([gamma(45455), png_chunk(b"cHRM", P3_CHROMATICITIES)], [83, 153, 206], id="P3 in numbers"),
        pytest.param([png_chunk(b"cHRM", P3_CHROMATICITIES)], [100, 150, 200], id="primaries without a gamma"),
        pytest.param([gamma(100_000), png_chunk(b"cHRM", bytes(32))], [100, 150, 200], id="primaries of zeros"),
        pytest.param([png_chunk(b"sRGB", b"\0"), gamma(100_000)], [100, 150, 200], id="sRGB goes before gamma"),
        pytest.param([png_chunk(b"sRGB", b"\x09"), gamma(100_000)], [168, 202, 229], id="no sRGB with intent 9"),
        pytest.param([icc(P3)], [83, 152, 205], id="a profile"),
        pytest.param([png_chunk(b"sRGB", b"\0"), icc(P3)], [83, 152, 205], id="a profile goes before sRGB"),
        pytest.param([icc(P3), gamma(100_000)], [83, 152, 205], id="a profile goes before gamma"),
        pytest.param([icc(b"none"), gamma(100_000)], [168, 202, 229], id="gamma without a profile that can be read"),
        pytest.param([png_chunk(b"cICP", bytes([12, 13, 0, 1]))], [83, 152, 205], id="P3 in a code"),
        pytest.param([png_chunk(b"cICP", bytes([9, 13, 0, 1]))], [0, 154, 205], id="BT.2020 primaries"),
        pytest.param([png_chunk(b"cICP", bytes([1, 1, 0, 1]))], [91, 144, 197], id="BT.709"),
        pytest.param([png_chunk(b"cICP", bytes([1, 8, 0, 1]))], [168, 202, 229], id="linear"),
        pytest.param([png_chunk(b"cICP", bytes([12, 13, 0, 0]))], [100, 150, 200], id="a code of a limited range"),
        pytest.param([png_chunk(b"cICP", bytes([1, 13, 0, 1])), icc(P3)], [100, 150, 200], id="a code goes first"),
    ],
)
def test_colours_are_what_browsers_take_them_for(chunks: list[bytes], rgb: list[int]) -> None:
    np.testing.assert_allclose(rgb_of(*chunks), rgb, atol=2)


def test_what_says_it_behind_the_pixels_does_not_count() -> None:
    assert cleaned_png(at_end(PLAIN, gamma(100_000))).profile == b""
    assert cleaned_png(at_end(PLAIN, icc(P3))).profile == b""


def test_grey_has_a_gamma_too() -> None:
    grey = pictures.pillow_bytes(Pillow.new("L", (4, 4), 100), "PNG")

    np.testing.assert_allclose(pixels(with_png_chunks(grey, gamma(100_000)))[0, 0], (168, 168, 168), atol=1)


def test_what_is_half_transparent_is_recoloured_before_it_lies_over_white() -> None:
    half = pictures.pillow_bytes(Pillow.new("RGBA", (4, 4), (100, 150, 200, 128)), "PNG")

    np.testing.assert_allclose(pixels(with_png_chunks(half, icc(P3)))[0, 0], (230, 203, 169), atol=2)


# -- palettes and transparency ----------------------------------------------------------------------------------


def palette_png(palette: bytes, *, transparency: bytes = b"", index: int = 1) -> bytes:
    chunks = [png_chunk(b"PLTE", palette), png_chunk(b"tRNS", transparency) if transparency else b""]
    rows = zlib.compress((b"\0" + bytes([index]) * 4) * 4)
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 4, 8, 3, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + png_chunk(b"IDAT", rows) + png_chunk(b"IEND", b"")


TWO_COLOURS = bytes([0, 0, 0, 100, 150, 200])


@pytest.mark.parametrize("palette", [TWO_COLOURS, TWO_COLOURS + b"\0"])
@pytest.mark.parametrize("index", [1, 2, 5, 255])
def test_a_pixel_beyond_a_short_palette_has_its_last_colour(palette: bytes, index: int) -> None:
    assert pixels(palette_png(palette, index=index))[0, 0].tolist() == [200, 150, 100]


@pytest.mark.parametrize("transparency", [b"\xff\0", b"\xff\0\xff\xff\xff"])
def test_a_palettes_transparency_may_be_longer_than_its_colours(transparency: bytes) -> None:
    assert pixels(palette_png(TWO_COLOURS, transparency=transparency))[0, 0].tolist() == [255, 255, 255]


def test_a_transparent_colour_counts_with_a_right_checksum_before_the_pixels() -> None:
    chunk = png_chunk(b"tRNS", struct.pack(">HHH", 100, 150, 200))

    assert rgb_of(chunk) == [255, 255, 255]
    assert rgb_of(png_chunk(b"tRNS", struct.pack(">HHHB", 100, 150, 200, 0))) == [255, 255, 255]
    assert rgb_of(wrong(chunk)) == [100, 150, 200]
    assert pixels(at_end(PLAIN, chunk))[0, 0, ::-1].tolist() == [100, 150, 200]


def test_a_palette_that_is_damaged_is_the_pixels_damage() -> None:
    data = palette_png(TWO_COLOURS)

    file = cleaned_png(data.replace(TWO_COLOURS, TWO_COLOURS[::-1]))

    assert TWO_COLOURS[::-1] in file.data


def test_a_png_of_very_many_chunks_is_refused() -> None:
    with pytest.raises(UnsupportedImage, match="parts"):
        cleaned_png(with_png_chunks(PNG, png_chunk(b"tIME", b"") * (MOST_PARTS + 1)))


@pytest.mark.parametrize("length", [8, 20, 33, 40, 60])
def test_a_file_that_is_cut_short_comes_back_as_far_as_it_goes(length: int) -> None:
    assert cleaned_png(PNG[:length]).data == PNG[:length]
