"""Tombstones: photos whose faces must stay away, remembered until the sweep has removed them one last time."""

from collections.abc import Mapping
from uuid import UUID

from django.utils import timezone

from webapp.gallery.models import Tombstone


def tombstones_set(photos: Mapping[UUID, UUID]) -> None:
    """Leave a tombstone, or a fresh one, for each photo, given as its id and its gallery's."""
    now = timezone.now()
    Tombstone.objects.bulk_create(
        [
            Tombstone(photo_id=photo_id, gallery_id=gallery_id, deleted_at=now)
            for photo_id, gallery_id in photos.items()
        ],
        update_conflicts=True,
        unique_fields=["photo_id"],
        update_fields=["gallery_id", "deleted_at", "removal_sent_at"],
        batch_size=1000,
    )
