"""How a picture is turned."""

import numpy as np

from tests.formats import exifs
from tests.formats.rules import pixels_of, rule
from tests.pictures import stored_with_orientation
from worker.recognition.interfaces import Image

SECTION = "Orientation"


def _is_turned(name: str, untouched: str, number: int) -> bool:
    """Tell whether a file's pixels are what a camera held that way has stored, turned upright."""
    return bool(np.array_equal(stored_with_orientation(pixels_of(name), number), pixels_of(untouched)))


def _apart(one: Image, other: Image) -> float:
    return float(np.abs(one.astype(int) - other).mean()) if one.shape == other.shape else 255.0


@rule(
    SECTION,
    "The orientation in EXIF turns JPEG, PNG, WebP and TIFF, in each of its eight ways.",
    because="Cameras store what the sensor saw, and how they were held; people and the face detector need it upright.",
)
def _() -> None:
    for number in range(1, 9):
        assert _is_turned(f"JPEG EXIF orientation {number}", "JPEG EXIF orientation 1", number)
        assert _is_turned(f"PNG EXIF orientation {number}", "PNG RGB, 8 bits", number)
        assert _is_turned(f"WebP EXIF orientation {number}", "WebP EXIF orientation 1", number)
        assert _is_turned(f"TIFF orientation {number}", "TIFF RGB", number)


@rule(
    SECTION,
    "HEIC and AVIF are turned by their own properties (`irot`, `imir`) and never by EXIF.",
    because="The standard says that EXIF is a copy there; whoever applies both turns the picture twice.",
)
def _() -> None:
    for number in range(1, 9):
        upright = stored_with_orientation(pixels_of(f"AVIF orientation {number}"), number)
        assert _apart(upright, pixels_of("AVIF orientation 1")) < 3
        # Its writer translates the number to properties and leaves it in EXIF as well.
        upright = stored_with_orientation(pixels_of(f"HEIC orientation {number}"), number)
        assert _apart(upright, pixels_of("HEIC orientation 1")) < 3


@rule(
    SECTION,
    "One number of type SHORT between 1 and 8 counts; any other type, count or value says nothing.",
    because="That is what the standard allows and what browsers read.",
)
def _() -> None:
    for variant in set(exifs.ODD) - {"orientation in a big-endian block", "empty EXIF"}:
        assert _is_turned(f"JPEG {variant}", "JPEG EXIF orientation 1", 1)
        assert _is_turned(f"PNG {variant}", "PNG RGB, 8 bits", 1)
        assert _is_turned(f"WebP {variant}", "WebP EXIF orientation 1", 1)


@rule(
    SECTION,
    "An orientation that stands only in XMP or in a text chunk is ignored.",
    because="No camera writes it there alone, and browsers ignore it: box and picture would not agree elsewhere.",
)
def _() -> None:
    assert _is_turned("JPEG orientation in XMP only", "JPEG EXIF orientation 1", 1)
    assert _is_turned("PNG orientation in XMP only", "PNG RGB, 8 bits", 1)
    assert _is_turned("PNG orientation in a text chunk of ImageMagick", "PNG RGB, 8 bits", 1)
    assert _is_turned("WebP orientation in XMP only", "WebP EXIF orientation 1", 1)
    assert _apart(pixels_of("AVIF XMP"), pixels_of("AVIF quality 60")) < 20


@rule(
    SECTION,
    "Of several EXIF segments of a JPEG, the first counts, wherever it stands.",
    because="Programs append and prepend; browsers and cameras read the first.",
)
def _() -> None:
    assert _is_turned("JPEG orientation in a second APP1 segment", "JPEG EXIF orientation 1", 6)
    assert _is_turned("JPEG two EXIF segments that differ", "JPEG EXIF orientation 1", 6)
    assert _is_turned("JPEG EXIF before JFIF", "JPEG EXIF orientation 1", 6)


@rule(
    SECTION,
    "A PNG's EXIF may stand behind its pixels, and a WebP's may have JPEG's prefix or not be announced.",
    because="Programs write such files, and mean it.",
)
def _() -> None:
    assert _is_turned("PNG orientation in EXIF behind the pixels", "PNG RGB, 8 bits", 6)
    assert _is_turned("WebP orientation in EXIF with JPEG's prefix", "WebP EXIF orientation 1", 6)
    assert _is_turned("WebP EXIF that its header does not announce", "WebP EXIF orientation 1", 6)
