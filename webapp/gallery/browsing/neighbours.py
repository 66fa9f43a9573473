"""The photos before and after one of them, in the list that somebody is looking through."""

from dataclasses import dataclass
from typing import Final

from webapp.gallery.browsing.photo_lists import PhotoList
from webapp.gallery.models import Photo
from webapp.http.rest import cursors

#: How many photos a list shows before the one that somebody comes back to.
SHOWN_BEFORE: Final = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbours:
    """None at either end of the list."""

    previous: Photo | None
    following: Photo | None


def neighbours_of(photo: Photo, shown: PhotoList) -> Neighbours:
    """Return what is before and after the photo, which may have left the list meanwhile."""
    photos = shown.photos(photo.gallery).only("id", "gallery", "filename", "renditions")
    previous, following = cursors.neighbours_of(photo, photos, order=shown.sort.order)
    return Neighbours(previous=previous, following=following)


def cursor_near(photo: Photo, shown: PhotoList) -> str:
    """Return the cursor of the list's part that has the photo, with some before it; "" if that is the first part."""
    return cursors.cursor_before(photo, shown.photos(photo.gallery), order=shown.sort.order, count=SHOWN_BEFORE)
