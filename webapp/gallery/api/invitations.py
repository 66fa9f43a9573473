"""The API of invitations: owners make and revoke them; whoever has a token looks at it and accepts."""

from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from ninja import Field, Router, Schema, Status

from webapp.accounts.authentication import Needs
from webapp.accounts.callers import Scope, caller_of
from webapp.accounts.idempotency.answers import NO_STORE
from webapp.accounts.own.links import absolute
from webapp.gallery.access import level_of
from webapp.gallery.members import invitations
from webapp.gallery.members.schemas import InvitationIn
from webapp.gallery.members.selectors import invitation_to, invitations_of
from webapp.gallery.models import Invitation, Level
from webapp.gallery.schemas import GalleryOut, gallery_out
from webapp.gallery.selectors import gallery_for
from webapp.http.rest.cursors import Cursor, Limit, part_of
from webapp.http.schemas import JsonIn, ProblemOut

router = Router(auth=Needs(Scope.WRITE), tags=["invitations"])

#: The newest first.
ORDER: Final = ("-created", "-id")


class InvitationOut(Schema):
    """An invitation that can still be accepted, by as many people as there are `places`."""

    id: UUID
    level: str
    places: int
    created: datetime
    expires_at: datetime


class InvitationCreatedOut(InvitationOut):
    """`url` is the link for whoever is invited. It and its `token` are shown only here."""

    token: str
    url: str


class InvitationsOut(Schema):
    items: list[InvitationOut]
    next_cursor: str | None


class TokenIn(JsonIn):
    token: Annotated[str, Field(max_length=200)]


class InvitedOut(Schema):
    """To which gallery an invitation is, whose it is, and which level it gives."""

    gallery_name: str
    owner: str
    level: str
    expires_at: datetime


@router.get("/galleries/{uuid:gallery_id}/invitations", response={200: InvitationsOut, (403, 404, 422): ProblemOut})
def list_invitations(request: HttpRequest, gallery_id: UUID, limit: Limit = 100, cursor: Cursor = "") -> InvitationsOut:
    """List the invitations that can still be accepted, newest first. For the owner."""
    gallery = gallery_for(caller_of(request), gallery_id, Level.OWNER)
    found, next_cursor = part_of(invitations_of(gallery), order=ORDER, cursor=cursor, limit=limit)
    items = [InvitationOut(**_shown(invitation)) for invitation in found]
    return InvitationsOut(items=items, next_cursor=next_cursor)


@router.post(
    "/galleries/{uuid:gallery_id}/invitations", response={201: InvitationCreatedOut, (403, 404, 409, 422): ProblemOut}
)
def create_invitation(
    request: HttpRequest, response: HttpResponse, gallery_id: UUID, data: InvitationIn
) -> Status[InvitationCreatedOut]:
    """Invite people by a link. For the owner."""
    response["Cache-Control"] = NO_STORE
    invitation, token = invitations.invitation_create(
        gallery=gallery_for(caller_of(request), gallery_id, Level.OWNER),
        level=Level[data.level.upper()],
        places=data.places,
        days=data.expires_in_days,
    )
    url = absolute(reverse("invitation", args=[token]), request)
    return Status(201, InvitationCreatedOut(**_shown(invitation), token=token, url=url))


@router.delete(
    "/galleries/{uuid:gallery_id}/invitations/{uuid:invitation_id}", response={204: None, (403, 404): ProblemOut}
)
def revoke_invitation(request: HttpRequest, gallery_id: UUID, invitation_id: UUID) -> Status[None]:
    """Revoke an invitation. Whoever has accepted it stays a member. For the owner."""
    gallery = gallery_for(caller_of(request), gallery_id, Level.OWNER)
    invitations.invitation_revoke(invitation=invitation_to(gallery, invitation_id))
    return Status(204, None)


# The token travels in the body: addresses end up in logs.
@router.post("/invitations/show", response={200: InvitedOut, (404, 422): ProblemOut}, auth=Needs(Scope.READ))
def show_invitation(request: HttpRequest, data: TokenIn) -> InvitedOut:
    """Show what an invitation is to, without accepting it."""
    invitation = invitations.invitation_of(data.token)
    return InvitedOut(
        gallery_name=invitation.gallery.name,
        owner=invitation.gallery.owner.get_username(),
        level=Level(invitation.level).label,
        expires_at=invitation.expires_at,
    )


@router.post("/invitations/accept", response={200: GalleryOut, (403, 404, 422): ProblemOut})
def accept_invitation(request: HttpRequest, data: TokenIn) -> GalleryOut:
    """Become a member of the gallery. Accepting again changes nothing. For keys that are not limited to galleries."""
    caller = caller_of(request)
    gallery = invitations.invitation_accept(caller=caller, token=data.token)
    return gallery_out(gallery, level_of(caller, gallery))


def _shown(invitation: Invitation) -> dict[str, Any]:
    return {
        "id": invitation.id,
        "level": Level(invitation.level).label,
        "places": invitation.places,
        "created": invitation.created,
        "expires_at": invitation.expires_at,
    }
