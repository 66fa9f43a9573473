"""Searches as the API and `manage.py search_photo --json` show them."""

from uuid import UUID

from ninja import Schema

from webapp.http.schemas import BoxOut, ErrorOut
from webapp.search.selectors import MatchRow


class MatchOut(Schema):
    """A match. `person` is the name of the face's person, null while it has none.

    `similarity` (-1 to 1, larger is more alike) is on the scale of the active pack: another model, another scale.
    """

    photo: str
    photo_id: UUID
    gallery_id: UUID
    face_id: UUID
    similarity: float
    person: str | None
    person_id: UUID | None

    @staticmethod
    def resolve_photo(match: MatchRow) -> str:
        return match.photo.filename

    @staticmethod
    def resolve_photo_id(match: MatchRow) -> UUID:
        return match.photo.id

    @staticmethod
    def resolve_gallery_id(match: MatchRow) -> UUID:
        return match.photo.gallery_id

    @staticmethod
    def resolve_person(match: MatchRow) -> str | None:
        return match.person.name if match.person else None

    @staticmethod
    def resolve_person_id(match: MatchRow) -> UUID | None:
        return match.person.id if match.person else None


class QueryFaceOut(Schema):
    """A face of the query image with its matches, best first."""

    box: BoxOut
    score: float
    quality: float
    matches: list[MatchOut]


class AnswerOut(Schema):
    """The answer: the faces of the query image with their matches, or a reason why there are none."""

    faces: list[QueryFaceOut]
    reason: ErrorOut | None


class TicketOut(Schema):
    """The search has no answer yet: ask again with its ticket."""

    ticket: str
