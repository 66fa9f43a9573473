"""What is kept of the metadata."""

from datetime import datetime

from PIL import Image as Pillow

from tests import pictures
from tests.formats.rules import rule, shown
from worker.images.capture import Capture

SECTION = "What is kept of the metadata"
_PICTURE = Pillow.fromarray(pictures.gradient_picture())
_MAKE, _MODEL, _CHANGED, _EXIF = 0x010F, 0x0110, 0x0132, 0x8769
_ORIGINAL, _DIGITIZED, _ORIGINAL_OFFSET = 0x9003, 0x9004, 0x9011


def _capture(tags: dict[int, object], inner: dict[int, object]) -> Capture:
    exif = Pillow.Exif()
    exif.update(tags)
    exif.get_ifd(_EXIF).update(inner)
    return shown(pictures.pillow_bytes(_PICTURE, "JPEG", exif=exif)).capture


@rule(
    SECTION,
    "When a photo was taken: `DateTimeOriginal`, or else `DateTimeDigitized`, as the camera's clock showed it, "
    "with the time zone that stands beside it, if any. Not when the file was changed (`DateTime`), and not XMP.",
    because="Any program that saves a photo sets DateTime.",
)
def _() -> None:
    both = _capture(
        {}, {_ORIGINAL: "2024:06:01 14:30:59", _ORIGINAL_OFFSET: "+02:00", _DIGITIZED: "2025:01:01 00:00:00"}
    )
    assert (both.taken_at, both.utc_offset_minutes) == (datetime(2024, 6, 1, 14, 30, 59), 120)
    assert _capture({}, {_DIGITIZED: "2025:01:01 00:00:00"}).taken_at == datetime(2025, 1, 1)
    assert _capture({_CHANGED: "2024:06:01 14:30:59"}, {}).taken_at is None


@rule(
    SECTION,
    "The camera: maker and model, said once, without what cannot be printed, at most 100 characters.",
    because="Cameras repeat the maker in the model, and a file may hold anything.",
)
def _() -> None:
    assert _capture({_MAKE: "Canon", _MODEL: "Canon EOS 5D"}, {}).camera == "Canon EOS 5D"
    assert _capture({_MAKE: "Apple", _MODEL: "iPhone 15 Pro\x1b"}, {}).camera == "Apple iPhone 15 Pro"


@rule(
    SECTION,
    "Nothing else: no position, no serial number, no names, no thumbnail. The original keeps its metadata.",
    because="Who may look at a photo need not know where it was taken.",
)
def _() -> None:
    from worker.images.decoding import ImageInfo

    assert set(Capture.__slots__) == {"taken_at", "utc_offset_minutes", "camera"}
    assert set(ImageInfo.__slots__) == {"format", "width", "height", "scale", "warning", "capture"}
