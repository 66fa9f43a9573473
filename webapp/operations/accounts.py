"""Deleting an account with everything in it: vectors, files and rows.

Asking for it takes the account out of use at once, in one transaction. A tick does the rest, in steps that may be
repeated: the galleries are deleted like any others, and the user's row goes when the last one is gone.
"""

import logging
from contextlib import suppress
from dataclasses import dataclass

from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.db.models import Count, ProtectedError

from webapp.accounts.audit import audit, audit_forget
from webapp.accounts.models import AccountDeletion, ApiKey
from webapp.accounts.sessions import sessions_end
from webapp.gallery.models import Gallery, Member, Photo
from webapp.http.problems import Problem
from webapp.indexing import deleting

logger = logging.getLogger(__name__)

DELETED = "deleted user"


@dataclass(frozen=True, slots=True, kw_only=True)
class Belongings:
    """What is deleted with an account."""

    photos: int
    #: Their galleries, each with how many other people it is shared with (`member_count`).
    galleries: list[Gallery]

    @property
    def shared(self) -> list[Gallery]:
        return [gallery for gallery in self.galleries if gallery.member_count]  # type: ignore[attr-defined]


def belongings_of(user_id: int) -> Belongings:
    galleries = Gallery.objects.filter(owner=user_id, deleting=False).annotate(member_count=Count("members"))
    photos = Photo.objects.filter(gallery__owner=user_id).count()
    return Belongings(photos=photos, galleries=list(galleries.order_by("name")))


def deletion_request(*, user: User, actor: str) -> None:
    """Take the account out of use, and have it deleted. Nothing brings it back. `actor` is who asks.

    Raises Problem for the last superuser: nobody could let anybody in any more.
    """
    with transaction.atomic():
        list(User.objects.select_for_update().filter(is_superuser=True))  # of two who leave at once, one is the last
        if is_last_superuser(user):
            sentence = "This is the last superuser. Please make another one first."
            raise Problem("last_superuser", sentence, status=409)
        AccountDeletion.objects.get_or_create(user=user, defaults={"requested_by": actor})
        _take_out_of_use(user.pk)
        Gallery.objects.filter(owner=user.pk).update(deleting=True)
        audit(actor=actor, action="account.close", subject=f"user {user.pk}")


def is_last_superuser(user: User) -> bool:
    others = User.objects.filter(is_superuser=True, is_active=True, deletion=None).exclude(pk=user.pk)
    return user.is_superuser and not others.exists()


def _take_out_of_use(user_id: int) -> None:
    """Let nobody act for the user, or count on them, any more."""
    User.objects.filter(pk=user_id).update(is_active=False)
    ApiKey.objects.filter(user=user_id).delete()
    Member.objects.filter(user=user_id).delete()
    sessions_end(user_id=user_id)


def deletions_advance() -> None:
    """Take the next step of each deletion. May run at any time, and twice."""
    for deletion in AccountDeletion.objects.select_related("user"):
        if not _galleries_delete(deletion.user):
            _user_delete(deletion)


def _galleries_delete(user: User) -> bool:
    """Have each of the user's galleries deleted; return whether there still are any."""
    _take_out_of_use(user.pk)  # again: the admin may have let the user in meanwhile
    for gallery in Gallery.objects.filter(owner=user.pk):
        photos = gallery.photos
        if not gallery.deleting or photos.exclude(state=Photo.State.DELETING).exists() or not photos.exists():
            with suppress(Problem):  # it is gone by now, or somebody has taken it over
                deleting.gallery_delete(gallery=gallery)
    return Gallery.objects.filter(owner=user.pk).exists()


def _user_delete(deletion: AccountDeletion) -> None:
    """Delete the user's row and all that hangs on it; what others must be able to look up loses the name."""
    user, pk = deletion.user, deletion.user.pk
    try:
        with transaction.atomic(durable=True):
            audit(actor=deletion.requested_by, action="account.delete", subject=f"user {pk}")
            audit_forget(username=user.get_username(), replacement=f"{DELETED} {pk}")
            users = ContentType.objects.get_for_model(User)
            LogEntry.objects.filter(content_type=users, object_id=str(pk)).update(object_repr=f"{DELETED} {pk}")
            user.delete()
    except ProtectedError:  # a request that had begun before made a gallery meanwhile
        logger.info("The deletion of user %d goes on.", pk)
        return
    logger.info("User %d is deleted, with everything in their galleries.", pk)
