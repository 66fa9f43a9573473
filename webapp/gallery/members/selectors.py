"""Reads of a gallery's members and invitations. The caller has checked that they may see them."""

from uuid import UUID

from django.db.models import QuerySet

from tasks import clock
from webapp.gallery.models import Gallery, Invitation, Member
from webapp.http.problems import not_found


def members_of(gallery: Gallery) -> QuerySet[Member]:
    """Return the members with their users, who joined first first. The owner is not among them."""
    return gallery.members.select_related("user")


def member_of(gallery: Gallery, member_id: UUID) -> Member:
    """Return the member. Raises not_found."""
    member = members_of(gallery).filter(id=member_id).first()
    if member is None:
        raise not_found("member")
    return member


def invitations_of(gallery: Gallery) -> QuerySet[Invitation]:
    """Return the invitations that can still be accepted, newest first."""
    return gallery.invitations.filter(expires_at__gt=clock.utcnow(), places__gt=0)


def invitation_to(gallery: Gallery, invitation_id: UUID) -> Invitation:
    """Return the gallery's invitation that can still be accepted. Raises not_found."""
    invitation = invitations_of(gallery).filter(id=invitation_id).first()
    if invitation is None:
        raise not_found("invitation")
    return invitation
