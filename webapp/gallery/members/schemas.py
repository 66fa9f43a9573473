"""What pages and the API take about members and invitations."""

from typing import Annotated, Literal

from ninja import Field

from webapp.gallery.members.invitations import DEFAULT_DAYS, MOST_DAYS, MOST_PLACES
from webapp.http.schemas import Id, JsonIn

MemberLevel = Literal["viewer", "editor"]


class LevelIn(JsonIn):
    level: MemberLevel


class TransferIn(JsonIn):
    #: Who is to be the owner.
    member_id: Id


class InvitationIn(JsonIn):
    """`places`: how many people may accept it. `expires_in_days`: how long it can be accepted."""

    level: MemberLevel = "viewer"
    places: Annotated[int, Field(ge=1, le=MOST_PLACES)] = 1
    expires_in_days: Annotated[int, Field(ge=1, le=MOST_DAYS)] = DEFAULT_DAYS
