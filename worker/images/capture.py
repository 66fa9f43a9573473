"""When and with what a photo was taken. Nothing else of a file's metadata is kept.

Tags are those of EXIF (CIPA DC-008), whose values are whatever somebody has written there.
"""

import re
import unicodedata
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from PIL import ExifTags
from PIL import Image as Pillow

__all__ = ["MAX_CAMERA_CHARACTERS", "NO_CAPTURE", "Capture", "capture_of"]

#: Of a camera's name; longer ones are cut.
MAX_CAMERA_CHARACTERS: Final = 100

#: Moments, best first, each with its own time zone. When the file was changed (DateTime) is none of them: any program
#: that saves a photo sets it.
_MOMENTS: Final = (
    (ExifTags.Base.DateTimeOriginal, ExifTags.Base.OffsetTimeOriginal),
    (ExifTags.Base.DateTimeDigitized, ExifTags.Base.OffsetTimeDigitized),
)
#: Cameras write "2024:06:01 14:30:59"; programs that copy dates from elsewhere write ISO 8601 with fractions and zones.
_DATE: Final = re.compile(
    r"([0-9]{4})[:/-]([0-9]{2})[:/-]([0-9]{2})[ T]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.[0-9]*)?(?:Z|[+-][0-9:]*)?"
)
_OFFSET: Final = re.compile(r"([+-])([0-9]{2}):([0-5][0-9])")
#: Time zones lie between UTC-12:00 and UTC+14:00.
_MAX_OFFSET_MINUTES: Final = 14 * 60
#: The oldest photo that still exists was taken in 1826 or 1827. The end is far from the last date that can be shown in
#: every time zone.
_YEARS: Final = range(1826, 2200)
#: What is looked at of a value.
_MAX_CHARACTERS: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture:
    """When and with what a photo was taken, as far as its metadata says.

    `taken_at` is what the camera's clock showed, without a time zone; `utc_offset_minutes` is the clock's time zone
    where the file says it. `camera` is the maker and the model, printable and at most MAX_CAMERA_CHARACTERS long.
    """

    taken_at: datetime | None = None
    utc_offset_minutes: int | None = None
    camera: str = ""


NO_CAPTURE = Capture()


def capture_of(picture: Pillow.Image) -> Capture:
    """Return what the EXIF of a picture says, as far as it can be read. Never raises. The picture must be open."""
    try:
        exif = picture.getexif()
        tags: Mapping[int, Any] = dict(exif)
        inner: Mapping[int, Any] = exif.get_ifd(ExifTags.IFD.Exif)
    except Exception:  # noqa: BLE001 - Pillow has no root, and a picture is not refused for damaged EXIF
        return NO_CAPTURE
    taken_at, utc_offset_minutes = _moment(inner)
    camera = _camera(_words(tags.get(ExifTags.Base.Make)), _words(tags.get(ExifTags.Base.Model)))
    return Capture(taken_at=taken_at, utc_offset_minutes=utc_offset_minutes, camera=camera)


def _moment(tags: Mapping[int, Any]) -> tuple[datetime | None, int | None]:
    for date_tag, offset_tag in _MOMENTS:
        taken_at = _date(_words(tags.get(date_tag)))
        if taken_at is not None:
            return taken_at, _offset_minutes(_words(tags.get(offset_tag)))
    return None, None


def _date(words: str) -> datetime | None:
    match = _DATE.fullmatch(words)
    if match is None or int(match[1]) not in _YEARS:
        return None
    try:
        return datetime(*(int(part) for part in match.groups()))  # type: ignore[arg-type]  # a clock without a zone
    except ValueError:
        return None


def _offset_minutes(words: str) -> int | None:
    if words == "Z":
        return 0
    match = _OFFSET.fullmatch(words)
    if match is None:
        return None
    minutes = int(match[2]) * 60 + int(match[3])
    return None if minutes > _MAX_OFFSET_MINUTES else minutes if match[1] == "+" else -minutes


def _camera(make: str, model: str) -> str:
    """Return maker and model; the model alone if it begins with (a word of) the maker's name, as most do."""
    first_word = model.partition(" ")[0].casefold()
    says_its_maker = first_word in make.casefold().split()
    return (model if says_its_maker else f"{make} {model}".strip())[:MAX_CAMERA_CHARACTERS].strip()


def _words(value: object) -> str:
    """Return a tag's value as printable words with single spaces between them; empty if it is not text."""
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    if not isinstance(value, str):
        return ""
    text = value[:_MAX_CHARACTERS].partition("\0")[0]
    with suppress(UnicodeError):  # Pillow reads all text as Latin-1, but what is not ASCII is UTF-8 more often.
        text = text.encode("latin-1").decode()
    shown = (each for each in unicodedata.normalize("NFC", text) if each.isprintable() or each.isspace())
    return " ".join("".join(shown).split())
