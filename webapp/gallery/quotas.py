"""Quotas: what a user has, and whether there is room for more.

A photo takes its room by an update that only succeeds while there is room, in the transaction that adds its row. So
uploads that run at the same time cannot exceed a quota together.
"""

from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models import Count, F, Sum
from django.db.models.functions import Greatest

from webapp.accounts.quotas import Limits, limits_of
from webapp.gallery.models import Gallery, Photo, Usage
from webapp.http.problems import Problem

MIB = 2**20


class QuotaReached(Problem):
    """The user may have no more of something. Its code is `quota_photos`, `quota_bytes` or `quota_galleries`."""

    def __init__(self, of: str, message: str) -> None:
        super().__init__(f"quota_{of}", message, status=409)

    def sentence_for(self, user_id: int | None, *, owner_id: int) -> str:
        """Return what a user is told, and with None an operator: what another owner has is nobody else's business."""
        return self.message if user_id in (None, owner_id) else "The gallery's owner has no room for it."


def usage_of(user_id: int) -> Usage:
    """Return what the user has, counting it the first time."""
    found = Usage.objects.filter(owner=user_id).first()
    return found or Usage.objects.get_or_create(owner_id=user_id, defaults=_counted(gallery__owner=user_id))[0]


def photo_check(*, owner_id: int, byte_size: int, photos: int = 1) -> None:
    """Raise QuotaReached when there is no room for such a photo now; for use before its file is stored.

    With `photos`, for so many of that size together.
    """
    limits = limits_of(owner_id)
    if not (limits.photos or limits.byte_size):
        return
    usage = usage_of(owner_id)
    if limits.photos and usage.photos + photos > limits.photos:
        raise QuotaReached("photos", f"{_used(limits, usage)[0]} are there already.")
    if limits.byte_size and usage.byte_size + byte_size > limits.byte_size:
        raise QuotaReached(
            "bytes", f"The file of {byte_size / MIB:,.1f} MiB does not fit: {_bytes(limits, usage)} are used."
        )


def photo_take(*, owner_id: int, byte_size: int, photos: int = 1) -> None:
    """Take room for a photo, or for so many of that size together, in the caller's transaction. Raises QuotaReached."""
    limits = limits_of(owner_id)
    usage_of(owner_id)  # there is a row to update
    room = Usage.objects.filter(owner=owner_id)
    if limits.photos:
        room = room.filter(photos__lte=limits.photos - photos)
    if limits.byte_size:
        room = room.filter(byte_size__lte=limits.byte_size - byte_size)
    while not room.update(photos=F("photos") + photos, byte_size=F("byte_size") + byte_size):
        # does not raise if room was given back just now
        photo_check(owner_id=owner_id, byte_size=byte_size, photos=photos)


def gallery_move(*, gallery_id: UUID, from_id: int, to_id: int) -> None:
    """Move the room that a gallery takes up to another owner, in the transaction that changes the owner.

    The transaction has locked the gallery, so that no photo is added or its row deleted meanwhile. Raises QuotaReached.
    """
    takes = _counted(gallery=gallery_id)
    usages_lock(from_id, to_id)
    photo_take(owner_id=to_id, **takes)
    photos_give_back(owner_id=from_id, **takes)


def usages_lock(*user_ids: int) -> None:
    """Lock what these users have, in the caller's transaction.

    In one order for everybody, so that two who give each other photos do not wait for each other.
    """
    for user_id in sorted(user_ids):
        usage_of(user_id)  # there is a row to lock
    list(Usage.objects.select_for_update().filter(owner__in=user_ids).order_by("owner_id"))


def photos_give_back(*, owner_id: int, photos: int, byte_size: int) -> None:
    """Give back the room of deleted photos, in the transaction that deletes them."""
    Usage.objects.filter(owner=owner_id).update(
        photos=Greatest(F("photos") - photos, 0), byte_size=Greatest(F("byte_size") - byte_size, 0)
    )


def gallery_check(*, owner_id: int) -> None:
    """Raise QuotaReached when the user may have no more galleries. Others wait until the caller's transaction ends."""
    limit = limits_of(owner_id).galleries
    if not limit:
        return
    get_user_model().objects.select_for_update(no_key=True).get(pk=owner_id)
    count = Gallery.objects.filter(owner=owner_id, deleting=False).count()
    if count >= limit:
        raise QuotaReached("galleries", f"{count:,} of {limit:,} galleries are there already.")


def quota_text(user_id: int) -> str:
    """Return what the user has of what is limited, for example "3 of 1,000 photos"; empty without a quota."""
    limits = limits_of(user_id)
    return ", ".join(_used(limits, usage_of(user_id))) if limits.photos or limits.byte_size else ""


def usages_recount() -> None:
    """Count again what every user has, in case a row was changed past this module."""
    for user_id in Usage.objects.values_list("owner_id", flat=True):
        with transaction.atomic():
            # Whoever is adding a photo has locked it, and is awaited.
            usage = Usage.objects.select_for_update().filter(owner=user_id)
            if usage:
                usage.update(**_counted(gallery__owner=user_id))


def _counted(**which: Any) -> dict[str, int]:
    found = Photo.objects.filter(**which).aggregate(photos=Count("id"), byte_size=Sum("byte_size"))
    return {name: value or 0 for name, value in found.items()}


def _used(limits: Limits, usage: Usage) -> list[str]:
    photos = [f"{usage.photos:,} of {limits.photos:,} photos"] if limits.photos else []
    return photos + ([_bytes(limits, usage)] if limits.byte_size else [])


def _bytes(limits: Limits, usage: Usage) -> str:
    return f"{usage.byte_size / MIB:,.1f} of {limits.byte_size / MIB:,.1f} MiB"
