"""When and with what a photo was taken. Nothing else of a file's metadata is kept.

Tags are those of EXIF (CIPA DC-008), whose values are whatever somebody has written there.
"""

import re
import struct
import unicodedata
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Final

from worker.images.exif import Entry, Layout, layout_of

__all__ = ["MAX_CAMERA_CHARACTERS", "NO_CAPTURE", "Capture", "capture_of"]

#: Of a camera's name; longer ones are cut.
MAX_CAMERA_CHARACTERS: Final = 100

_MAKE, _MODEL, _EXIF_DIRECTORY = 0x010F, 0x0110, 0x8769
_ORIGINAL, _DIGITIZED, _ORIGINAL_OFFSET, _DIGITIZED_OFFSET = 0x9003, 0x9004, 0x9011, 0x9012
#: What is read of the first directory, and of that for EXIF which it names.
_FIRST: Final = (_MAKE, _MODEL, _EXIF_DIRECTORY)
_INNER: Final = (_ORIGINAL, _DIGITIZED, _ORIGINAL_OFFSET, _DIGITIZED_OFFSET)
#: Moments, best first, each with its own time zone. When the file was changed (DateTime) is none of them: any program
#: that saves a photo sets it.
_MOMENTS: Final = ((_ORIGINAL, _ORIGINAL_OFFSET), (_DIGITIZED, _DIGITIZED_OFFSET))
#: Types of values: BYTE, ASCII, UNDEFINED and UTF-8 (EXIF 3.0); LONG, IFD and LONG8 say where a directory is.
_TEXTS: Final = (1, 2, 7, 129)
_PLACES: Final = (4, 13, 16)
#: Entries of a directory that are looked at. Cameras write some sixty.
_MOST_ENTRIES: Final = 1000
#: What is looked at of a value.
_MOST_BYTES: Final = 200
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


def capture_of(exif: bytes) -> Capture:
    """Return what EXIF data of the structure of a TIFF says, as far as it can be read. Never raises."""
    layout = layout_of(exif)
    if layout is None:
        return NO_CAPTURE
    tags = _entries(exif, layout, layout.first_directory, _FIRST)
    inner: dict[int, Entry] = {}
    pointer = tags.get(_EXIF_DIRECTORY)
    if pointer is not None and pointer.kind in _PLACES and pointer.numbers == 1:
        inner = _entries(exif, layout, _place(layout, pointer), _INNER)
    texts = {tag: _text(exif, layout, entry) for tag, entry in (tags | inner).items()}
    taken_at, utc_offset_minutes = _moment(texts)
    camera = _camera(texts.get(_MAKE, ""), texts.get(_MODEL, ""))
    return Capture(taken_at=taken_at, utc_offset_minutes=utc_offset_minutes, camera=camera)


def _entries(exif: bytes, layout: Layout, start: int, tags: tuple[int, ...]) -> dict[int, Entry]:
    """Return a directory's entries with these tags; of those with the same tag, the first."""
    found: dict[int, Entry] = {}
    for entry in islice(layout.directory(exif, start), _MOST_ENTRIES):
        if entry.tag in tags:
            found.setdefault(entry.tag, entry)
    return found


def _place(layout: Layout, entry: Entry) -> int:
    form = layout.byte_order + ("Q" if layout.is_big and entry.kind != _PLACES[0] else "I")
    (place,) = struct.unpack_from(form, entry.value)
    return int(place)


def _text(exif: bytes, layout: Layout, entry: Entry) -> str:
    """Return a value as printable words with single spaces between them; empty if it is not text."""
    if entry.kind not in _TEXTS:
        return ""
    raw = entry.value[: entry.numbers]
    if entry.numbers > len(entry.value):
        (place,) = struct.unpack(layout.byte_order + ("Q" if layout.is_big else "I"), entry.value)
        raw = exif[place : place + min(entry.numbers, _MOST_BYTES)]
    raw = raw.partition(b"\0")[0]
    text = raw.decode("latin-1")
    with suppress(UnicodeDecodeError):  # ASCII, says the standard; what is not is UTF-8 more often than Latin-1
        text = raw.decode()
    shown = (each for each in unicodedata.normalize("NFC", text) if each.isprintable() or each.isspace())
    return " ".join("".join(shown).split())


def _moment(texts: dict[int, str]) -> tuple[datetime | None, int | None]:
    for date_tag, offset_tag in _MOMENTS:
        taken_at = _date(texts.get(date_tag, ""))
        if taken_at is not None:
            return taken_at, _offset_minutes(texts.get(offset_tag, ""))
    return None, None


def _date(words: str) -> datetime | None:
    match = _DATE.fullmatch(words)
    if match is None or int(match[1]) not in _YEARS:
        return None
    year, month, day, hour, minute, second = (int(part) for part in match.groups())
    try:
        return datetime(year, month, day, hour, minute, second)
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
    """Return maker and model; the model alone if it begins with a word of the maker's name, as most do."""
    first_word = model.partition(" ")[0].casefold()
    says_its_maker = first_word in make.casefold().split()
    return (model if says_its_maker else f"{make} {model}".strip())[:MAX_CAMERA_CHARACTERS].strip()
