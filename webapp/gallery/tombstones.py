"""Tombstones: photos that are gone from a gallery, until the sweep has removed their vectors one last time."""

from collections.abc import Mapping
from uuid import UUID

from tasks import clock
from webapp.gallery.models import Tombstone


def tombstones_set(photos: Mapping[UUID, UUID]) -> None:
    """Create or renew a tombstone for each photo; `photos` maps photo ids to gallery ids."""
    now = clock.utcnow()
    Tombstone.objects.bulk_create(
        [
            Tombstone(photo_id=photo_id, gallery_id=gallery_id, deleted_at=now)
            for photo_id, gallery_id in photos.items()
        ],
        update_conflicts=True,
        unique_fields=["photo_id", "gallery_id"],
        update_fields=["deleted_at", "removal_sent_at"],
        batch_size=1000,
    )
