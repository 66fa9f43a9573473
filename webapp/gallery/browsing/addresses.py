"""Addresses of pages that show photos in the list that somebody is looking through."""

from uuid import UUID

from django.urls import reverse

from webapp.gallery.browsing.photo_lists import PhotoList
from webapp.gallery.models import Photo


def list_address(gallery_id: UUID, shown: PhotoList, *, at: Photo | None = None) -> str:
    """Return the address of the list; with `at`, of the part that has this photo."""
    address = reverse("gallery_detail", args=[gallery_id])
    if at is None:
        return address + shown.suffix
    return f"{address}{shown.suffix}{'&' if shown.suffix else '?'}at={at.id}#photo-{at.id}"


def photo_address(photo: Photo, shown: PhotoList) -> str:
    """Return the address of the photo's page, from which one goes on in the list."""
    return reverse("photo_detail", args=[photo.id]) + shown.suffix
