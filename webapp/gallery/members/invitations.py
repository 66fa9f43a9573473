"""Invitations: links with which users become members of a gallery. Of a link's random token only a hash is stored."""

from datetime import timedelta
from typing import cast

from django.db import transaction
from django.db.models import F, Q

from tasks import clock
from webapp.accounts.callers import Caller
from webapp.accounts.tokens import digest_of, link_token
from webapp.gallery.models import Gallery, Invitation, Level, Member
from webapp.http.problems import Problem, not_found

#: How long an invitation can be accepted, unless its owner says otherwise; and at most.
DEFAULT_DAYS, MOST_DAYS = 7, 90
#: How many people one invitation admits at most.
MOST_PLACES = 100
#: How many invitations a gallery has at a time at most.
MOST_INVITATIONS = 100


def invitation_create(
    *, gallery: Gallery, level: Level, places: int = 1, days: int = DEFAULT_DAYS
) -> tuple[Invitation, str]:
    """Invite as many people as there are `places`; return the row and the token, which nobody can read again.

    Expired invitations of the gallery are deleted. Raises Problem (`too_many_invitations`).
    """
    if level == Level.OWNER:
        raise ValueError("Nobody is invited as owner.")
    token, now = link_token(), clock.utcnow()
    with transaction.atomic(durable=True):
        locked_gallery(gallery)  # so that two owners' tabs together do not exceed the bound
        gallery.invitations.filter(Q(expires_at__lte=now) | Q(places=0)).delete()
        if gallery.invitations.count() >= MOST_INVITATIONS:
            sentence = f"There are {MOST_INVITATIONS} open invitations to this gallery; please revoke some first."
            raise Problem("too_many_invitations", sentence, status=409)
        invitation = gallery.invitations.create(
            digest=digest_of(token), level=level, places=places, expires_at=now + timedelta(days=days)
        )
    return invitation, token


def invitation_revoke(*, invitation: Invitation) -> None:
    """From now on nobody can accept it. Whoever has accepted it stays a member."""
    Invitation.objects.filter(id=invitation.id).delete()


def invitation_of(token: str) -> Invitation:
    """Return the invitation, with its gallery and the owner, who invites. Raises not_found unless it can be accepted.

    One without places is found as well: whoever took one may use the link again.
    """
    living = Invitation.objects.filter(expires_at__gt=clock.utcnow(), gallery__deleting=False)
    found = living.filter(digest=digest_of(token)).select_related("gallery__owner").first()
    if found is None:
        raise not_found("invitation: it may have expired, or been revoked or used")
    return found


def invitation_accept(*, caller: Caller, token: str) -> Gallery:
    """Make the caller a member at the level of the invitation, unless they have it already; return the gallery.

    Raises not_found as `invitation_of` does, or if all places are taken; and Problem (`key_limited`).
    """
    caller.check_unlimited()
    with transaction.atomic(durable=True):
        invitation = invitation_of(token)
        gallery = locked_gallery(invitation.gallery)
        member = Member.objects.filter(gallery=gallery, user=caller.user.pk).first()
        if gallery.owner_id == caller.user.pk or (member is not None and member.level >= invitation.level):
            return gallery
        if not Invitation.objects.filter(id=invitation.id, places__gt=0).update(places=F("places") - 1):
            raise not_found("invitation: it may have expired, or been revoked or used")
        Member.objects.update_or_create(
            gallery=gallery, user_id=cast(int, caller.user.pk), defaults={"level": invitation.level}
        )
    return gallery


def locked_gallery(gallery: Gallery) -> Gallery:
    """Return the gallery as it is now; nobody else changes its owner or members until the caller's transaction ends.

    Raises not_found once it is being deleted.
    """
    locked = Gallery.objects.select_for_update().filter(id=gallery.id, deleting=False).first()
    if locked is None:
        raise not_found("gallery")
    return locked
