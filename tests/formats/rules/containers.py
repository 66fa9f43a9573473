"""Which picture of a file is the photo."""

import numpy as np

from tests.formats.rules import pixels_of, rule

SECTION = "Which picture of a file is the photo"


@rule(
    SECTION,
    "Of a moving picture (GIF, WebP, AVIF), the first frame; of a moving PNG, the picture that still viewers show.",
    because="One photo has one set of faces, and the first frame is what people see at once.",
)
def _() -> None:
    assert np.array_equal(pixels_of("PNG animated"), pixels_of("PNG RGB, 8 bits"))
    assert not np.array_equal(pixels_of("PNG animated, with a picture before the animation"), pixels_of("PNG animated"))
    assert np.array_equal(pixels_of("WebP animated, lossless"), pixels_of("WebP lossless"))


@rule(
    SECTION,
    "Of a JPEG with more pictures behind it (MPO: depth map, second eye), the first.",
    because="That is the photo; the others are made for it.",
)
def _() -> None:
    assert np.array_equal(pixels_of("JPEG with a second picture (MPO)"), pixels_of("JPEG EXIF orientation 1"))
    assert np.array_equal(pixels_of("JPEG a whole second JPEG behind its end"), pixels_of("JPEG EXIF orientation 1"))
