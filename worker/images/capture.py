"""When and with what a photo was taken. Nothing else of a file's metadata is kept."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture:
    """When and with what a photo was taken, as far as its metadata says.

    `taken_at` is what the camera's clock showed, without a time zone; `utc_offset_minutes` is the clock's time zone
    where the file says it. `camera` is the maker and the model.
    """

    taken_at: datetime | None = None
    utc_offset_minutes: int | None = None
    camera: str = ""


NO_CAPTURE = Capture()
