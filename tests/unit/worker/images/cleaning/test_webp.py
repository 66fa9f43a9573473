"""A WebP's decoder gets the chunks of its pixels."""

import numpy as np
import pytest
from PIL import Image as Pillow

from tests import pictures
from tests.pictures import exif_bytes, short_orientation, with_webp_chunks
from worker.config import ImageLimits
from worker.errors import UnsupportedImage
from worker.images.cleaning.result import MOST_PARTS
from worker.images.cleaning.webp import cleaned_webp
from worker.images.decoding import decode
from worker.images.profiles import coded_profile
from worker.recognition.interfaces import Image

PICTURE = pictures.gradient_picture()
WEBP = pictures.saved(PICTURE, "WEBP", lossless=True)
P3 = coded_profile(12, 13)
TURNED = exif_bytes(short_orientation(6))
#: With the header of the extended format, as a file with metadata has it.
EXTENDED = pictures.saved(PICTURE, "WEBP", lossless=True, exif=TURNED, icc_profile=P3, xmp=b"<x/>")


def pixels(data: bytes) -> Image:
    return decode(data, limits=ImageLimits()).pixels


@pytest.mark.parametrize("prefix", [b"", b"Exif\0\0"])
def test_exif_turns_the_picture_with_or_without_jpegs_prefix(prefix: bytes) -> None:
    data = with_webp_chunks(WEBP, (b"EXIF", prefix + TURNED))

    np.testing.assert_array_equal(pixels(data), np.rot90(PICTURE, -1))
    assert cleaned_webp(data).exif == TURNED


@pytest.mark.parametrize(
    "chunk",
    [
        pytest.param((b"EXIF", b"II*\0"), id="EXIF cut short"),
        pytest.param((b"EXIF", b""), id="EXIF of no bytes"),
        pytest.param((b"XMP ", b"<x tiff:Orientation='6'/>" * 60_000), id="1.5 MB of XMP"),
        pytest.param((b"ICCP", b"no profile"), id="a profile that is none"),
        pytest.param((b"what", b"ever"), id="an unknown chunk"),
    ],
)
def test_no_chunk_besides_the_pixels_is_a_reason_to_refuse_a_picture_or_changes_it(chunk: tuple[bytes, bytes]) -> None:
    np.testing.assert_array_equal(pixels(with_webp_chunks(WEBP, chunk)), PICTURE)
    front = with_webp_chunks(b"RIFF\0\0\0\0WEBP", chunk) + WEBP[12:]
    np.testing.assert_array_equal(pixels(front), PICTURE)


def test_nothing_but_pixels_reaches_the_decoder() -> None:
    file = cleaned_webp(EXTENDED)

    assert not any(kind in file.data for kind in (b"EXIF", b"XMP ", b"ICCP"))
    assert (file.orientation, file.profile, file.exif) == (6, P3, TURNED)
    assert Pillow.open(pictures.BytesIO(file.data)).size == (48, 32)


def test_a_wrong_size_of_the_whole_file_is_put_right() -> None:
    np.testing.assert_array_equal(pixels(WEBP[:4] + b"\xff\xff\xff\x7f" + WEBP[8:]), PICTURE)


def test_transparency_and_animation_stay() -> None:
    half = pictures.pillow_bytes(Pillow.new("RGBA", (8, 8), (255, 0, 0, 128)), "WEBP", quality=90, icc_profile=P3)
    frames = [Pillow.new("RGB", (24, 16), colour) for colour in ("red", "blue")]
    moving = pictures.pillow_bytes(frames[0], "WEBP", save_all=True, append_images=frames[1:], xmp=b"<x/>")

    assert b"ALPH" in cleaned_webp(half).data
    np.testing.assert_allclose(pixels(half)[4, 4], (127, 127, 255), atol=3)
    np.testing.assert_allclose(pixels(moving)[8, 8], (0, 0, 255), atol=3)


def test_a_webp_of_very_many_chunks_is_refused() -> None:
    with pytest.raises(UnsupportedImage, match="parts"):
        cleaned_webp(WEBP + b"what\0\0\0\0" * (MOST_PARTS + 1))
