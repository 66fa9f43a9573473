"""How much a user may have: the settings' quotas, unless staff gave this user others."""

from dataclasses import dataclass

from django.conf import settings

from webapp.accounts.models import Quota


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The most that a user may have; 0: any number. `byte_size` is that of all files together."""

    photos: int
    byte_size: int
    galleries: int


def limits_of(user_id: int) -> Limits:
    """Return the user's limits, from one query."""
    own = Quota.objects.filter(user=user_id).first() or Quota()
    return Limits(
        photos=settings.QUOTA_PHOTOS if own.photos is None else own.photos,
        byte_size=settings.QUOTA_BYTES if own.byte_size is None else own.byte_size,
        galleries=settings.QUOTA_GALLERIES if own.galleries is None else own.galleries,
    )
