"""The API of a gallery's members."""

from datetime import datetime
from typing import Final
from uuid import UUID

from django.http import HttpRequest
from ninja import Router, Schema, Status

from webapp.accounts.authentication import Needs
from webapp.accounts.callers import Scope, caller_of
from webapp.accounts.staff import actor_of
from webapp.gallery.access import level_of
from webapp.gallery.members import services
from webapp.gallery.members.schemas import LevelIn, MemberLevel, TransferIn
from webapp.gallery.members.selectors import member_of, members_of
from webapp.gallery.models import Level, Member
from webapp.gallery.schemas import GalleryOut, gallery_out
from webapp.gallery.selectors import gallery_for
from webapp.http.rest.conditions import unchanged
from webapp.http.rest.cursors import Cursor, Limit, part_of
from webapp.http.schemas import ProblemOut

router = Router(auth=Needs(Scope.READ), tags=["members"])
writing = Needs(Scope.WRITE)

#: Members by when they joined.
ORDER: Final = ("created", "id")


class MemberOut(Schema):
    """A member; `user` is a user name."""

    id: UUID
    user: str
    level: MemberLevel
    #: When they joined.
    created: datetime


class MembersOut(Schema):
    #: The owner's user name; the owner is not among the members.
    owner: str
    items: list[MemberOut]
    next_cursor: str | None


@router.get("/galleries/{uuid:gallery_id}/members", response={200: MembersOut, (404, 422): ProblemOut})
def list_members(request: HttpRequest, gallery_id: UUID, limit: Limit = 100, cursor: Cursor = "") -> MembersOut:
    """List who may see the gallery besides its owner, as they joined. Members may see this, too."""
    gallery = gallery_for(caller_of(request), gallery_id)
    members, next_cursor = part_of(members_of(gallery), order=ORDER, cursor=cursor, limit=limit)
    items = [_member_out(member) for member in members]
    return MembersOut(owner=gallery.owner.get_username(), items=items, next_cursor=next_cursor)


@router.get("/galleries/{uuid:gallery_id}/members/{uuid:member_id}", response={200: MemberOut, (403, 404): ProblemOut})
def show_member(request: HttpRequest, gallery_id: UUID, member_id: UUID) -> MemberOut:
    """Show a member."""
    return _member_out(member_of(gallery_for(caller_of(request), gallery_id), member_id))


@router.patch(
    "/galleries/{uuid:gallery_id}/members/{uuid:member_id}",
    response={200: MemberOut, (403, 404, 412, 422): ProblemOut},
    auth=writing,
)
def change_member(request: HttpRequest, gallery_id: UUID, member_id: UUID, data: LevelIn) -> MemberOut:
    """Give a member another level. For the owner."""
    member = _member(request, gallery_id, member_id)
    services.member_level_set(member=member, level=Level[data.level.upper()], check=unchanged(request))
    return _member_out(member)


@router.delete(
    "/galleries/{uuid:gallery_id}/members/{uuid:member_id}",
    response={204: None, (403, 404): ProblemOut},
    auth=writing,
)
def remove_member(request: HttpRequest, gallery_id: UUID, member_id: UUID) -> Status[None]:
    """Remove a member, who sees the gallery no longer. For the owner."""
    services.member_remove(member=_member(request, gallery_id, member_id))
    return Status(204, None)


@router.post("/galleries/{uuid:gallery_id}/leave", response={204: None, (404, 409): ProblemOut}, auth=writing)
def leave_gallery(request: HttpRequest, gallery_id: UUID) -> Status[None]:
    """Leave a gallery that is shared with you."""
    caller = caller_of(request)
    services.gallery_leave(gallery=gallery_for(caller, gallery_id), caller=caller)
    return Status(204, None)


@router.post(
    "/galleries/{uuid:gallery_id}/transfer", response={200: GalleryOut, (403, 404, 409, 422): ProblemOut}, auth=writing
)
def transfer_gallery(request: HttpRequest, gallery_id: UUID, data: TransferIn) -> GalleryOut:
    """Make a member the owner; you become an editor. It counts for the new owner's quota."""
    member = _member(request, gallery_id, data.member_id)
    services.gallery_transfer(gallery=member.gallery, to=member, actor=actor_of(request))
    caller = caller_of(request)
    gallery = gallery_for(caller, gallery_id)
    return gallery_out(gallery, level_of(caller, gallery))


def _member(request: HttpRequest, gallery_id: UUID, member_id: UUID) -> Member:
    """Return the member of a gallery whose owner asks."""
    return member_of(gallery_for(caller_of(request), gallery_id, Level.OWNER), member_id)


def _member_out(member: Member) -> MemberOut:
    level: MemberLevel = "editor" if member.level == Level.EDITOR else "viewer"
    return MemberOut(id=member.id, user=member.user.get_username(), level=level, created=member.created)
