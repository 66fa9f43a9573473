"""The picture by which a gallery is known on the list of galleries: its newest photo that has one."""

from collections.abc import Collection
from uuid import UUID

from django.db.models import OuterRef, Subquery

from webapp.gallery.models import Gallery, Photo


def covers_of(galleries: Collection[Gallery]) -> dict[UUID, Photo]:
    """Return the cover of each gallery that has a photo with renditions, by the gallery's id."""
    newest = (
        Photo.objects.filter(gallery=OuterRef("id"))
        .exclude(renditions="")
        .exclude(state=Photo.State.DELETING)
        .order_by("-created", "-id")
        .values("id")[:1]
    )
    chosen = (
        Gallery.objects.filter(id__in=[gallery.id for gallery in galleries]).order_by().values(cover=Subquery(newest))
    )
    photos = Photo.objects.filter(id__in=chosen).only("id", "gallery_id", "renditions")
    return {photo.gallery_id: photo for photo in photos}
