"""A list of a gallery's photos as somebody asked for it: which of them, and in which order."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final
from urllib.parse import urlencode

from django.db.models import QuerySet, TextChoices
from django.utils.timezone import get_current_timezone

from webapp.gallery.models import Gallery, Photo
from webapp.gallery.selectors import photos_filtered

#: The longest text that is looked for in names and folders.
LONGEST_TEXT: Final = 1000


class Sort(TextChoices):
    """What a list of photos may be sorted by, for the API and for pages."""

    NEWEST_ADDED = "-created", "Added, newest first"
    OLDEST_ADDED = "created", "Added, oldest first"
    NEWEST_TAKEN = "-taken_at", "Taken, newest first"
    OLDEST_TAKEN = "taken_at", "Taken, oldest first"
    NAME = "filename", "Name, A to Z"
    NAME_BACKWARDS = "-filename", "Name, Z to A"

    @property
    def order(self) -> tuple[str, ...]:
        """Return the fields to order by, for `part_of`. Photos without a date stand where they were added."""
        field = self.value.replace("taken_at", "dated_at")
        return (field, "-id" if field.startswith("-") else "id")


class Dates(TextChoices):
    """Which date of a photo a range is about."""

    TAKEN = "taken", "taken"
    ADDED = "added", "added"


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoList:
    """The photos that a page shows. The query string of its address says which: see `asked`."""

    state: Photo.State | None = None
    #: A part of the file name; A and a are the same.
    filename: str = ""
    #: This folder with those in it.
    folder: str = ""
    dates: Dates = Dates.TAKEN
    #: Taken by the camera's clock, added by the reader's; both days are in it.
    first_day: date | None = None
    last_day: date | None = None
    sort: Sort = Sort.NEWEST_ADDED

    @classmethod
    def asked(cls, query: Mapping[str, Any]) -> "PhotoList":
        """Read the query of a page's address. What it does not understand is as if it were not there."""
        states, sorts, dates = set(Photo.State), set(Sort), set(Dates)
        return cls(
            state=Photo.State(query["state"]) if query.get("state") in states else None,
            filename=_text(query.get("filename", "")),
            folder=_text(query.get("folder", "")).strip("/"),
            dates=Dates(query["dates"]) if query.get("dates") in dates else Dates.TAKEN,
            first_day=_day(query.get("first_day", "")),
            last_day=_day(query.get("last_day", "")),
            sort=Sort(query["sort"]) if query.get("sort") in sorts else Sort.NEWEST_ADDED,
        )

    @property
    def query(self) -> str:
        """Return the query string for the address of a page that shows the same list; empty for the usual one."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        usual = {each.name: each.default for each in fields(self)}
        return urlencode({name: value for name, value in values.items() if value != usual[name]})

    @property
    def suffix(self) -> str:
        """Return what such an address ends with: the query string after its question mark, or nothing."""
        return f"?{self.query}" if self.query else ""

    @property
    def is_narrowed(self) -> bool:
        """Whether it leaves photos out for another reason than their state."""
        return bool(self.filename or self.folder or self.first_day or self.last_day)

    @property
    def is_everything(self) -> bool:
        return self.state is None and not self.is_narrowed

    def in_state(self, state: Photo.State | None) -> "PhotoList":
        return replace(self, state=state)

    def photos(self, gallery: Gallery) -> QuerySet[Photo]:
        """Return the photos of the list, in its order."""
        taken, added = self.dates == Dates.TAKEN, self.dates == Dates.ADDED
        found = photos_filtered(
            gallery.photos.all(),
            state=self.state,
            filename=self.filename,
            folder=self.folder,
            taken_from=self.first_day if taken else None,
            taken_before=_day_after(self.last_day) if taken else None,
            created_from=_midnight(self.first_day) if added else None,
            created_before=_midnight(_day_after(self.last_day)) if added else None,
        )
        return found.order_by(*self.sort.order)


def _text(value: str) -> str:
    return value.replace("\0", "").strip()[:LONGEST_TEXT]


def _day(value: str) -> date | None:
    try:
        return date.fromisoformat(value)
    except ValueError:
        return None


def _day_after(day: date | None) -> date | None:
    """Return the next day; None after the last one that there is."""
    return None if day is None or day == date.max else day + timedelta(days=1)


def _midnight(day: date | None) -> datetime | None:
    """Return when the day begins where the reader is; None for days so near an end of the calendar that it has none."""
    if day is None:
        return None
    try:
        return datetime.combine(day, time.min, tzinfo=get_current_timezone()).astimezone(UTC)
    except OverflowError:
        return None
