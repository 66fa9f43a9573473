"""Renditions: upright, sRGB, without metadata, small; and crops that show the face."""

import subprocess
import sys
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageCms

from tests import pictures
from worker.config import ImageLimits
from worker.images.decoding import DecodedImage, decode
from worker.recognition.interfaces import Box
from worker.renditions import FACE_SIDE_PIXELS, PREVIEW_SIDE_PIXELS, THUMBNAIL_SIDE_PIXELS, Pictures, renditions_of

LIMITS = ImageLimits()
#: EXIF's orientations.
ORIENTATIONS = range(1, 9)
#: How to turn an upright picture so that a viewer of this orientation turns it back.
STORED_AS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def decoded(picture: Image.Image, format: str = "JPEG", **how: object) -> DecodedImage:
    file = BytesIO()
    picture.save(file, format, **how)
    return decode(file.getvalue(), limits=LIMITS)


def pictures_of(picture: DecodedImage) -> Pictures:
    made = renditions_of(picture, []).pictures
    assert made is not None
    return made


def opened(file: bytes) -> Image.Image:
    return Image.open(BytesIO(file))


def marked(width: int, height: int) -> tuple[Image.Image, Box]:
    """A gray picture with a red square in its upper left, and the square's box."""
    picture = Image.new("RGB", (width, height), (128, 128, 128))
    box = Box(left=width // 8, top=height // 8, right=width // 8 + 100, bottom=height // 8 + 100)
    picture.paste((255, 0, 0), tuple(int(side) for side in (box.left, box.top, box.right, box.bottom)))
    return picture, box


def portrait() -> Image.Image:
    return Image.open(BytesIO(pictures.sample_bytes("astronaut"))).convert("RGB")


def is_red(picture: Image.Image, x: float, y: float) -> bool:
    red, green, blue = picture.convert("RGB").getpixel((int(x), int(y)))  # type: ignore[misc]
    return bool(red > 200 and green < 80 and blue < 80)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_renditions_are_upright_and_the_box_is_on_the_face(orientation: int) -> None:
    upright, box = marked(3000, 2000)
    stored = upright.transpose(STORED_AS[orientation]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = decoded(stored, quality=95, exif=exif)
    made = renditions_of(picture, [box])
    assert made.pictures is not None
    for file, side in ((made.pictures.preview, PREVIEW_SIDE_PIXELS), (made.pictures.thumbnail, THUMBNAIL_SIDE_PIXELS)):
        shown = opened(file)
        scale = side / 3000
        assert shown.size == (side, round(2000 * scale))
        x, y = (box.left + box.right) / 2 * scale, (box.top + box.bottom) / 2 * scale
        assert is_red(shown, x, y)
        half = box.width / 2 * scale
        for away_x, away_y in ((1.5, 0), (-1.5, 0), (0, 1.5), (0, -1.5)):
            assert not is_red(shown, x + away_x * half, y + away_y * half)
    [crop] = map(opened, made.faces)
    assert is_red(crop, crop.width / 2, crop.height / 2)
    assert not is_red(crop, 2, 2)


def test_nothing_of_the_files_metadata_is_in_them() -> None:
    exif = Image.Exif()
    exif[0x010F] = "SECRET-MAKER"
    exif[0x8825] = {1: "N", 2: (52.0, 31.0, 12.0)}
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture = decoded(portrait(), exif=exif, icc_profile=profile, comment=b"SECRET-COMMENT")
    made = renditions_of(picture, [Box(left=170, top=60, right=280, bottom=190)])
    assert made.pictures is not None
    for file in (made.pictures.thumbnail, made.pictures.preview, *made.faces):
        shown = opened(file)
        assert shown.format == "JPEG"
        assert shown.mode == "RGB"
        assert not shown.getexif()
        assert set(shown.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
        assert b"SECRET" not in file


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_every_kind_of_pixels_becomes_plain_rgb(mode: str) -> None:
    picture = Image.new("RGB", (64, 48), (200, 200, 200)).convert("L" if mode == "I;16" else mode)
    if mode == "I;16":
        picture = Image.fromarray(np.full((48, 64), 200 * 257, np.uint16))
    shown = opened(pictures_of(decoded(picture, "PNG")).preview)
    assert (shown.mode, shown.size) == ("RGB", (64, 48))


@pytest.mark.parametrize(("size", "thumbnail"), [((1, 1), (1, 1)), ((300, 200), (300, 200)), ((20000, 3), (320, 1))])
def test_a_small_picture_keeps_its_size_and_a_thin_one_does_not_vanish(
    size: tuple[int, int], thumbnail: tuple[int, int]
) -> None:
    assert opened(pictures_of(decoded(Image.new("RGB", size), "PNG")).thumbnail).size == thumbnail


def test_a_thumbnail_takes_little_room() -> None:
    made = pictures_of(decoded(portrait().resize((4000, 3000))))
    assert len(made.thumbnail) < 25_000
    assert len(made.preview) < 700_000


# -- crops --------------------------------------------------------------------------------------------------

EDGES = {
    "at the upper left": Box(left=-30, top=-20, right=60, bottom=80),
    "at the lower right": Box(left=940, top=740, right=1030, bottom=830),
    "larger than the picture": Box(left=-500, top=-500, right=2000, bottom=2000),
    "one pixel": Box(left=500, top=400, right=501, bottom=401),
    "outside": Box(left=3000, top=3000, right=3100, bottom=3100),
    "empty": Box(left=500, top=400, right=500, bottom=400),
}


@pytest.mark.parametrize("box", EDGES.values(), ids=EDGES)
def test_a_face_at_the_edge_has_a_crop_inside_the_picture(box: Box) -> None:
    [crop] = renditions_of(decoded(Image.new("RGB", (1000, 800), (0, 128, 0))), [box]).faces
    shown = opened(crop)
    assert min(shown.size) >= 1
    assert max(shown.size) <= FACE_SIDE_PIXELS


def test_a_crop_shows_the_whole_head_and_more() -> None:
    picture = Image.new("RGB", (2000, 2000), (128, 128, 128))
    picture.paste((255, 0, 0), (1000, 1000, 1200, 1200))
    [file] = renditions_of(decoded(picture, quality=95), [Box(left=1000, top=1000, right=1200, bottom=1200)]).faces
    crop = opened(file)
    assert crop.size == (FACE_SIDE_PIXELS, FACE_SIDE_PIXELS)
    red = sum(is_red(crop, x, crop.height / 2) for x in range(crop.width)) / crop.width
    assert red == pytest.approx(1 / 1.6, abs=0.02)


def test_a_reduced_picture_has_its_crops_at_the_same_places() -> None:
    whole, box = marked(8000, 6000)
    file = BytesIO()
    whole.save(file, "JPEG", quality=95)
    picture = decode(file.getvalue(), limits=ImageLimits(max_pixels=50_000_000), enough_pixels=PREVIEW_SIDE_PIXELS)
    assert picture.scale < 1
    made = renditions_of(picture, [box])
    assert made.pictures is not None
    assert opened(made.pictures.preview).size == (PREVIEW_SIDE_PIXELS, PREVIEW_SIDE_PIXELS * 3 // 4)
    [crop] = map(opened, made.faces)
    assert is_red(crop, crop.width / 2, crop.height / 2)
    assert not is_red(crop, 0, 0)


def test_the_same_picture_has_the_same_renditions_in_another_process() -> None:
    code = (
        "import hashlib; from tests import pictures; from worker.config import ImageLimits;"
        "from worker.images.decoding import decode; from worker.renditions import renditions_of;"
        "made = renditions_of(decode(pictures.sample_bytes('astronaut'), limits=ImageLimits()), []).pictures;"
        "print(hashlib.sha256(made.preview + made.thumbnail).hexdigest())"
    )
    digests = {
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
        for _ in range(2)
    }
    assert len(digests) == 1
