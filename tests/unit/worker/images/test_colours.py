"""A profile is applied where it is for the picture's colours; one that is hostile costs little."""

import struct
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow
from PIL import ImageCms

from tests import pictures
from worker.config import ImageLimits
from worker.images.colours import recolouring
from worker.images.decoding import decode
from worker.images.profiles import SRGB, Curve, coded_profile, is_profile, matrix_profile

P3 = coded_profile(12, 13)
LINEAR = matrix_profile(SRGB, Curve(1.0))
SRGB_PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
COLOUR = (100, 150, 200)


def profile_of(space: bytes, tags: dict[bytes, bytes], *, device: bytes = b"mntr") -> bytes:
    """Return an ICC profile with these tags."""
    place, table, body = 128 + 4 + 12 * len(tags), b"", b""
    for name, content in tags.items():
        table += struct.pack(">4sII", name, place + len(body), len(content))
        body += content
    size = place + len(body)
    pcs = b"Lab " if b"A2B0" in tags else b"XYZ "
    head = struct.pack(">I4xI4s4s4s12x4s28x", size, 0x04300000, device, space, pcs, b"acsp")
    white = struct.pack(">iii", 63190, 65536, 54061)
    return (head + white).ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def gamma_curve(gamma: float) -> bytes:
    return struct.pack(">4s4xHHi", b"para", 0, 0, round(gamma * 65536))


GREY_LINEAR = profile_of(
    b"GRAY", {b"wtpt": struct.pack(">4s4xiii", b"XYZ ", 63190, 65536, 54061), b"kTRC": gamma_curve(1.0)}
)


def ink_profile() -> bytes:
    """Return a profile of inks of which any makes a picture of one grey: it is seen where it is applied."""
    grid = bytes([2] * 4)
    lab = bytes([128, 128, 128]) * 16
    identity = struct.pack(">9i", *(65536, 0, 0, 0, 65536, 0, 0, 0, 65536))
    ramp = bytes(range(256))
    table = struct.pack(">4s4xBBBx", b"mft1", 4, 3, grid[0]) + identity + ramp * 4 + lab + ramp * 3
    return profile_of(b"CMYK", {b"A2B0": table}, device=b"prtr")


def first_rgb(picture: Pillow.Image, file_format: str, **options: object) -> list[int]:
    data = pictures.pillow_bytes(picture, file_format, **options)
    return decode(data, limits=ImageLimits()).pixels[0, 0, ::-1].tolist()


LOSSLESS = {"PNG": {}, "WEBP": {"lossless": True}, "TIFF": {}, "JPEG": {"quality": 100}}


@pytest.mark.parametrize("file_format", LOSSLESS)
def test_a_phones_colours_become_srgb(file_format: str) -> None:
    rgb = first_rgb(Pillow.new("RGB", (16, 16), COLOUR), file_format, icc_profile=P3, **LOSSLESS[file_format])

    np.testing.assert_allclose(rgb, (83, 152, 205), atol=2)  # as in Chromium


@pytest.mark.parametrize("file_format", ["PNG", "TIFF", "JPEG"])
@pytest.mark.parametrize("profile", [GREY_LINEAR, LINEAR])
def test_grey_may_have_a_profile_for_grey_or_for_colours(file_format: str, profile: bytes) -> None:
    grey = first_rgb(Pillow.new("L", (16, 16), 100), file_format, icc_profile=profile, **LOSSLESS[file_format])

    np.testing.assert_allclose(grey, (168, 168, 168), atol=2)


def test_sixteen_bits_of_grey_have_a_profile_too() -> None:
    data = pictures.png_16_bit(np.full((4, 4), 100 * 257, np.uint16))
    gamma_1 = pictures.png_chunk(b"gAMA", struct.pack(">I", 100_000))

    pixels = decode(pictures.with_png_chunks(data, gamma_1), limits=ImageLimits()).pixels

    np.testing.assert_allclose(pixels[0, 0], (168, 168, 168), atol=1)


@pytest.mark.parametrize("mode", ["P", "RGBA", "LA"])
def test_palettes_and_transparency_keep_their_profile(mode: str) -> None:
    picture = Pillow.new("RGBA", (4, 4), (*COLOUR, 255)) if mode == "RGBA" else Pillow.new("RGB", (4, 4), COLOUR)
    if mode == "P":
        picture = picture.quantize(4)
    if mode == "LA":
        picture = Pillow.new("LA", (4, 4), (100, 255))
    profile, expected = (GREY_LINEAR, (168, 168, 168)) if mode == "LA" else (P3, (83, 152, 205))

    np.testing.assert_allclose(first_rgb(picture, "PNG", icc_profile=profile), expected, atol=2)


@pytest.mark.parametrize("file_format", ["JPEG", "TIFF"])
def test_inks_have_their_profile(file_format: str) -> None:
    inks = Pillow.new("CMYK", (16, 16), (0, 255, 255, 0))

    rgb = first_rgb(inks, file_format, icc_profile=ink_profile())

    assert max(rgb) - min(rgb) < 4
    assert 100 < rgb[0] < 140
    assert first_rgb(inks, file_format)[0] > 250, "without a profile, they are as they were"


@pytest.mark.parametrize(
    ("mode", "profile"),
    [
        pytest.param("RGB", GREY_LINEAR, id="grey's on colours"),
        pytest.param("RGB", ink_profile(), id="ink's on colours"),
        pytest.param("L", ink_profile(), id="ink's on grey"),
        pytest.param("CMYK", P3, id="colours' on inks"),
        pytest.param("CMYK", GREY_LINEAR, id="grey's on inks"),
        pytest.param("RGB", b"", id="no profile"),
        pytest.param("RGB", bytes(500), id="zeros"),
        pytest.param("RGB", P3[:200], id="cut short"),
        pytest.param("RGB", P3[:12] + b"link" + P3[16:], id="one that links devices"),
        pytest.param("RGB", P3[:12] + b"abst" + P3[16:], id="one of no device"),
        pytest.param("RGB", P3[:128] + b"\xff\xff\xff\xff" + P3[132:], id="of very many tags"),
        pytest.param("RGB", P3[:128] + b"\0\0\0\0" + P3[132:], id="of no tags"),
    ],
)
def test_a_profile_for_other_colours_or_of_garbage_is_as_none(mode: str, profile: bytes) -> None:
    assert recolouring(profile, mode) is None


def test_a_profile_that_changes_nothing_is_not_applied() -> None:
    assert recolouring(SRGB_PROFILE, "RGB") is None
    assert recolouring(coded_profile(1, 13), "RGB") is None
    assert recolouring(P3, "RGB") is not None


def test_processing_elements_never_reach_the_colour_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """A million of them, each on the same forty bytes, would take minutes for every picture."""
    elements = 200_000
    curve = struct.pack(">4s4xHH", b"cvst", 3, 3) + bytes(36)
    first = 16 + 8 * elements
    table = struct.pack(">II", first, len(curve)) * elements
    mpet = struct.pack(">4s4xHHI", b"mpet", 3, 3, elements) + table + curve
    xyz = struct.pack(">4s4xiii", b"XYZ ", 30000, 20000, 10000)
    tags = {b"D2B0": mpet, b"A2B0": mpet, **dict.fromkeys((b"rXYZ", b"gXYZ", b"bXYZ"), xyz)}
    profile = profile_of(b"RGB ", {**tags, **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), gamma_curve(2.2))})

    read: list[bytes] = []
    build = ImageCms.buildTransform

    def seen(profile: ImageCms.ImageCmsProfile, *others: str) -> object:
        read.append(profile.tobytes())
        return build(profile, *others)

    monkeypatch.setattr(ImageCms, "buildTransform", seen)

    assert recolouring(profile, "RGB") is not None, "its matrix is used"
    (count,) = struct.unpack_from(">I", read[0], 128)
    names = {read[0][132 + 12 * index : 136 + 12 * index] for index in range(count)}
    assert names == {b"rXYZ", b"gXYZ", b"bXYZ", b"rTRC", b"gTRC", b"bTRC"}


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_whatever_happened_to_a_profile_pictures_stay_pictures(data: st.DataObject) -> None:
    mode, original = data.draw(
        st.sampled_from([("RGB", P3), ("RGB", SRGB_PROFILE), ("L", GREY_LINEAR), ("CMYK", ink_profile())])
    )
    profile = bytearray(original)
    for _ in range(data.draw(st.integers(1, 8))):
        profile[data.draw(st.integers(0, len(profile) - 1))] = data.draw(st.integers(0, 255))

    recolour = recolouring(bytes(profile), mode)

    if recolour is not None:
        assert recolour(Pillow.new("CMYK" if mode == "CMYK" else "RGB", (4, 4))).mode == "RGB"


# -- profiles made from numbers -----------------------------------------------------------------------------------


def test_a_made_profile_is_read_by_the_colour_library() -> None:
    for primaries in (1, 4, 5, 6, 7, 9, 11, 12):
        for curve in (1, 4, 5, 6, 8, 13, 14, 15):
            profile = coded_profile(primaries, curve)
            assert is_profile(profile)
            opened = ImageCms.ImageCmsProfile(BytesIO(profile)).profile
            assert (opened.xcolor_space.strip(), opened.device_class) == ("RGB", "mntr")


@pytest.mark.parametrize("codes", [(0, 13), (2, 2), (3, 13), (12, 16), (12, 18), (12, 0), (255, 255)])
def test_of_codes_that_say_nothing_or_too_much_none_is_made(codes: tuple[int, int]) -> None:
    assert coded_profile(*codes) == b""


@pytest.mark.parametrize(
    "xy", [(0.0, 0.0), (42949.67295, 42949.67295), (1.0, 0.0), (0.3127, 0.329)], ids=["zero", "huge", "flat", "white"]
)
def test_primaries_that_span_no_colours_make_no_profile(xy: tuple[float, float]) -> None:
    assert matrix_profile(SRGB._replace(red=xy, green=xy, blue=xy), Curve(2.2)) == b""
