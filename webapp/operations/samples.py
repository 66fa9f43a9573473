"""The sample gallery: real pictures that installed packages contain, found without importing those packages.

Only `manage.py demo` and tests use this module; a web process never opens a picture.
"""

import io
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from PIL import Image, ImageEnhance

#: Package, and path inside it: portraits, groups, and pictures without a face.
PICTURES: Final = (
    ("skimage", "data/astronaut.png"),
    ("insightface", "data/images/t1.jpg"),
    ("insightface", "data/images/Tom_Hanks_54745.png"),
    ("insightface", "data/images/mask_black.jpg"),
    ("insightface", "data/images/mask_blue.jpg"),
    ("insightface", "data/images/mask_green.jpg"),
    ("insightface", "data/images/mask_white.jpg"),
    ("skimage", "data/camera.png"),
    ("skimage", "data/chelsea.png"),
    ("skimage", "data/coffee.png"),
    ("skimage", "data/rocket.jpg"),
)
#: The picture that the demo searches for, and the region with the portrait, in pixels.
PORTRAIT: Final = "astronaut.png"
PORTRAIT_REGION: Final = (120, 0, 360, 260)  # left, top, right, bottom


def sample_pictures() -> list[Path]:
    """Return the pictures that exist: when a package moves a file, only that file is missing."""
    paths = [_package_folder(package) / name for package, name in PICTURES]
    return [path for path in paths if path.is_file()]


def portrait_query() -> bytes:
    """Return the portrait as a JPEG: cropped, rotated a little, darkened, with more contrast, and recompressed."""
    source = next(path for path in sample_pictures() if path.name == PORTRAIT)
    with Image.open(source) as opened:
        picture = opened.convert("RGB").rotate(4, resample=Image.Resampling.BICUBIC, center=(225, 120))
    picture = picture.crop(PORTRAIT_REGION).resize((300, 325), Image.Resampling.LANCZOS)
    picture = ImageEnhance.Brightness(picture).enhance(0.8)
    picture = ImageEnhance.Contrast(picture).enhance(1.2)
    out = io.BytesIO()
    picture.save(out, format="JPEG", quality=60)
    return out.getvalue()


def _package_folder(package: str) -> Path:
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return Path(package)
    return Path(next(iter(spec.submodule_search_locations)))
