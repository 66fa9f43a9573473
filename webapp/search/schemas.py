"""Searches, verifications and detections as the API and `manage.py search_photo --json` show them."""

from uuid import UUID

from ninja import Schema

from webapp.http.schemas import BoxOut
from webapp.search.selectors import MatchRow
from worker.reasons import RejectCode, UnmatchedCode
from worker.recognition.certainty import Certainty


class MatchOut(Schema):
    """A match. `person` is the name of the face's person, null while it has none.

    `similarity` (-1 to 1, larger is more alike) is on the scale of the active pack: another model, another scale.
    `certainty` says the same in a word that does not depend on the model; null if the worker did not say it.
    """

    photo: str
    photo_id: UUID
    gallery_id: UUID
    face_id: UUID
    similarity: float
    certainty: Certainty | None
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


class ReasonOut(Schema):
    """Why there is no match: a stable code and a sentence.

    `best_similarity` is how alike the most similar face is that is still too different; null where none was compared.
    """

    code: RejectCode | UnmatchedCode
    message: str
    best_similarity: float | None


class SeenFaceOut(Schema):
    """A face in an image. `score` says how sure it is that this is a face, `quality` how well it shows; both 0 to 1.

    `landmarks` are five points (x, y): the eyes, the nose and the corners of the mouth, left ones first, as the viewer
    sees them.
    """

    box: BoxOut
    landmarks: list[list[float]]
    score: float
    quality: float


class RejectedFaceOut(Schema):
    """A face in an image that is not used, and why."""

    box: BoxOut
    score: float
    reason: RejectCode


class QueryFaceOut(SeenFaceOut):
    """A face that was searched for with its matches, best first; without any, the reason."""

    matches: list[MatchOut]
    reason: ReasonOut | None


class AnswerOut(Schema):
    """The answer: the faces that were searched for; when none of them has a match, the reason.

    Sizes and boxes are pixels of the upright picture.
    """

    faces: list[QueryFaceOut]
    rejected: list[RejectedFaceOut]
    reason: ReasonOut | None
    width: int | None
    height: int | None


class TicketOut(Schema):
    """The search has no answer yet: ask again with its ticket."""

    ticket: str


class VerifiedPictureOut(Schema):
    """One of the two pictures with its largest face; without a usable one, the reason."""

    width: int
    height: int
    face: SeenFaceOut | None
    reason: ReasonOut | None


class VerificationOut(Schema):
    """Whether the largest faces of two pictures are the same person's: at least `threshold` similar.

    `similarity` and `is_same` are null when one of the pictures has no usable face. `reason` is set unless they are the
    same.
    """

    similarity: float | None
    is_same: bool | None
    threshold: float
    pictures: list[VerifiedPictureOut]
    reason: ReasonOut | None


class DetectionOut(Schema):
    """The faces in an image, best score first; without any, the reason. Boxes are pixels of the upright picture."""

    faces: list[SeenFaceOut]
    rejected: list[RejectedFaceOut]
    reason: ReasonOut | None
    width: int
    height: int
