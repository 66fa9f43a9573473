"""Writes to members: their levels, leaving, another owner. What a change takes away is gone with the next request."""

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from webapp.accounts.audit import audit
from webapp.accounts.callers import Caller
from webapp.gallery import quotas
from webapp.gallery.members.invitations import locked_gallery
from webapp.gallery.models import Gallery, Level, Member
from webapp.http.problems import Problem, not_found
from webapp.http.rest.conditions import Check, no_check


def member_level_set(*, member: Member, level: Level, check: Check = no_check) -> None:
    """Give a member another level. Raises not_found if they are none any more.

    `check` is called when nobody else can change the member any more; what it raises prevents the change.
    """
    if level == Level.OWNER:
        raise ValueError("A gallery gets another owner by gallery_transfer.")
    with transaction.atomic():
        if Member.objects.select_for_update().filter(id=member.id).first() is None:
            raise not_found("member")
        check()
        Member.objects.filter(id=member.id).update(level=level)
    member.level = level


def member_remove(*, member: Member) -> None:
    """Take the gallery from a member. To come back they need another invitation."""
    Member.objects.filter(id=member.id).delete()


def gallery_leave(*, gallery: Gallery, caller: Caller) -> None:
    """Take the gallery from a member who wants that. Raises Problem (`owner_cannot_leave`)."""
    if gallery.owner_id == caller.user.pk:
        sentence = "The owner cannot leave a gallery: transfer it to a member first, or delete it."
        raise Problem("owner_cannot_leave", sentence, status=409)
    Member.objects.filter(gallery=gallery, user=caller.user.pk).delete()


def gallery_transfer(*, gallery: Gallery, to: Member, actor: str) -> None:
    """Make a member the owner; the owner becomes an editor, and invitations end. Leaves an audit entry.

    Raises Problem: gallery_exists (the member has one of that name), quota_photos, quota_bytes, quota_galleries,
    user_inactive, not_found.
    """
    with transaction.atomic(durable=True):
        locked = locked_gallery(gallery)
        if not Member.objects.filter(id=to.id, gallery=gallery).exists():
            raise not_found("member")
        _owner_set(locked, to.user, actor=actor, action="gallery.transfer")


def gallery_open(*, gallery: Gallery, user: User) -> bool:
    """Make a superuser a viewer; return whether they were none yet. Leaves an audit entry."""
    with transaction.atomic(durable=True):
        locked = locked_gallery(gallery)
        if locked.owner_id == user.pk or Member.objects.filter(gallery=locked, user=user).exists():
            return False
        Member.objects.create(gallery=locked, user=user, level=Level.VIEWER)
        audit(
            actor=user.get_username(),
            action="gallery.open",
            subject=_subject(locked),
            owner=locked.owner.get_username(),
        )
    return True


def gallery_take_over(*, gallery: Gallery, user: User) -> bool:
    """Make a superuser the owner; return whether they were not yet. Otherwise like `gallery_transfer`."""
    with transaction.atomic(durable=True):
        locked = locked_gallery(gallery)
        if locked.owner_id == user.pk:
            return False
        _owner_set(locked, user, actor=user.get_username(), action="gallery.take_over")
    return True


def _owner_set(gallery: Gallery, user: User, *, actor: str, action: str) -> None:
    """Give the gallery, which the caller's transaction has locked, to another owner."""
    before = gallery.owner
    # Whoever deactivates the user, in order to delete the account, waits.
    if not User.objects.select_for_update(no_key=True).filter(id=user.pk, is_active=True):
        raise Problem("user_inactive", f"{user.get_username()} cannot log in.", status=409)
    try:
        quotas.gallery_check(owner_id=user.pk)
        quotas.gallery_move(gallery_id=gallery.id, from_id=before.pk, to_id=user.pk)
    except quotas.QuotaReached as reached:  # without its sentence: what the other user has is nobody's business
        raise Problem(reached.code, f"{user.get_username()} has no room for this gallery.", status=409) from reached
    try:
        with transaction.atomic():
            Gallery.objects.filter(id=gallery.id).update(owner=user)
    except IntegrityError:
        sentence = f"{user.get_username()} already has a gallery of this name; rename this one first."
        raise Problem("gallery_exists", sentence, status=409) from None
    gallery.invitations.all().delete()
    gallery.members.filter(user=user).delete()
    gallery.members.create(user=before, level=Level.EDITOR)
    gallery.jobs.update(owner=user)  # whose turn in the queue is the owner's
    audit(
        actor=actor,
        action=action,
        subject=_subject(gallery),
        **{"from": before.get_username(), "to": user.get_username()},
    )


def _subject(gallery: Gallery) -> str:
    return f"{gallery.name} ({gallery.id})"
