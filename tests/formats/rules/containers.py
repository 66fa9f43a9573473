"""Which picture of a file is the photo."""

import numpy as np
from PIL import Image as Pillow

from tests import pictures
from tests.formats.rules import data_of, pixels_of, refused, rule, shown

SECTION = "Which picture of a file is the photo"


@rule(
    SECTION,
    "Of a moving picture (GIF, WebP, AVIF), the first frame, even a blank one; of a moving PNG, the picture that still "
    "viewers show.",
    because="One photo has one set of faces, and the first frame is what people see at once. Which of the others would "
    "stand for a film is nothing that a file says, and a long one would keep a worker busy.",
)
def _() -> None:
    assert np.array_equal(pixels_of("PNG animated"), pixels_of("PNG RGB, 8 bits"))
    assert not np.array_equal(pixels_of("PNG animated, with a picture before the animation"), pixels_of("PNG animated"))
    assert np.array_equal(pixels_of("WebP animated, lossless"), pixels_of("WebP lossless"))
    frames = [Pillow.new("RGB", (60, 40), "white"), Pillow.new("RGB", (60, 40), "navy")]
    for kind in ("GIF", "WEBP", "AVIF"):
        assert shown(pictures.pillow_bytes(frames[0], kind, save_all=True, append_images=frames[1:])).pixels.min() > 250


@rule(
    SECTION,
    "Of a JPEG with more pictures behind it (MPO: depth map, second eye), the first.",
    because="That is the photo; the others are made for it.",
)
def _() -> None:
    assert np.array_equal(pixels_of("JPEG with a second picture (MPO)"), pixels_of("JPEG EXIF orientation 1"))
    assert np.array_equal(pixels_of("JPEG a whole second JPEG behind its end"), pixels_of("JPEG EXIF orientation 1"))


@rule(
    SECTION,
    "Of a HEIC with several pictures, the primary one.",
    because="The file says so.",
)
def _() -> None:
    assert pixels_of("HEIC several pictures, the second primary").shape == pixels_of("HEIC RGB").shape


@rule(
    SECTION,
    "Of a TIFF, the first page that is no preview of another picture (`NewSubfileType`), whether it stands behind or "
    "below the preview; never a mask. Of previews alone, the largest.",
    because="Scanners and cameras put a preview first for programs in a hurry; its faces are too small to be found.",
)
def _() -> None:
    for name in (
        "preview before the photo",
        "preview above the photo",
        "smaller copy below the photo",
        "several pages",
    ):
        assert np.array_equal(pixels_of(f"TIFF {name}"), pixels_of("TIFF RGB"))


@rule(
    SECTION,
    "Of a camera raw that is a TIFF (DNG, NEF, CR2, ARW and others), the JPEG inside that has at least 80 % of the "
    "sensor's pixels, turned as the raw is. If there is none, it is refused, as are raws of other kinds (CR3, RAF, "
    "ORF, RW2 and others): `image_unsupported`, with the name of the format.",
    because="A raw is not a picture before it is developed, and the camera's own JPEG is how its maker does it. A "
    "small preview would be indexed in place of the photo, and nobody would know.",
)
def _() -> None:
    assert pixels_of("TIFF camera raw (DNG) with a JPEG of full size").shape == pixels_of("TIFF RGB").shape
    assert refused(data_of("TIFF camera raw (DNG) with a small JPEG")) == "image_unsupported"
    assert refused(b"FUJIFILMCCD-RAW 0201" + bytes(100)) == "image_unsupported"


@rule(
    SECTION,
    "A TIFF whose photo is packed in a way that we cannot decode is refused: `image_unsupported`, with its name.",
    because="Another picture of the file could be decoded, but would not be the photo.",
)
def _() -> None:
    assert refused(data_of("TIFF packed with JPEG 2000")) == "image_unsupported"
