"""A search's answer: the worker's result joined with the rows that exist now."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from tasks.messages.answers import RejectedFaceInfo
from tasks.messages.base import BoxInfo
from tasks.messages.search import FaceMatches, Match, SearchResult
from webapp.accounts.callers import Caller
from webapp.gallery.models import Face, Gallery, Photo
from webapp.gallery.selectors import faces_by_id, photos_by_id
from webapp.generations.faces import face_for
from webapp.http.problems import Problem
from webapp.people.models import Person
from worker.errors import FaceNotIndexed
from worker.reasons import Reason, below_threshold, rejected_text, why_no_match
from worker.recognition.certainty import Certainties, Certainty

Point = Sequence[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchRow:
    """A match with its photo. `face` is None when the face's row has not been written yet.

    `certainty` says how sure the similarity makes one, on the scale of the pack that has answered; None if unknown.
    """

    face_id: str
    similarity: float
    certainty: Certainty | None
    photo: Photo
    face: Face | None

    @property
    def person(self) -> Person | None:
        """The person the face belongs to; None while unknown."""
        return self.face.person if self.face else None


@dataclass(frozen=True, slots=True, kw_only=True)
class FaceRow:
    """One face that was searched for and its matches, best first; without any, the reason."""

    box: BoxInfo
    landmarks: Sequence[Point]
    score: float
    quality: float
    matches: tuple[MatchRow, ...]
    reason: Reason | None

    @property
    def width(self) -> float:
        return self.box.right - self.box.left

    @property
    def height(self) -> float:
        return self.box.bottom - self.box.top


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchAnswer:
    """What the page, the API and the command show. `reason` says why no face has a match.

    `stored` is the face of a photo that was searched for, None for an image; `width` and `height` are those of the
    image or the photo.
    """

    faces: tuple[FaceRow, ...]
    rejected: tuple[RejectedFaceInfo, ...]
    reason: Reason | None
    certainties: Certainties | None
    width: int | None
    height: int | None
    stored: Face | None

    @property
    def left_out(self) -> str:
        """How many faces of the image were not searched for, and why; empty when all were, or none was."""
        codes = [face.reason for face in self.rejected if face.reason != "no_face"]
        return rejected_text(codes) if self.faces else ""


def searchable_face(caller: Caller, face_id: UUID) -> Face:
    """Return the face. Raises Problem: not_found, and face_not_indexed when the active model does not find it."""
    face = face_for(caller, face_id)
    if not face.is_found:  # type: ignore[attr-defined]  # annotated by face_for
        raise Problem.from_error(FaceNotIndexed())
    return face


def search_answer(result: SearchResult, *, galleries: Iterable[Gallery], stored: Face | None = None) -> SearchAnswer:
    """Join the result with the photos of these galleries; leave out what was deleted since or is in another gallery.

    `stored` is the face that was searched for, unless it was an image.
    """
    matches = [match for face in result.faces for match in face.matches]
    photos = photos_by_id(galleries, {match.photo_id for match in matches})
    faces = faces_by_id({match.face_id for match in matches if match.photo_id in photos})
    rows = tuple(
        _face_row(face, stored, _match_rows(face.matches, photos, faces, result.certainties)) for face in result.faces
    )
    return SearchAnswer(
        faces=rows,
        rejected=result.rejected,
        reason=why_no_match([row.reason for row in rows]) if rows else result.reason,
        certainties=result.certainties,
        width=stored.photo.width if stored else result.width,
        height=stored.photo.height if stored else result.height,
        stored=stored,
    )


def _match_rows(
    matches: Iterable[Match], photos: dict[str, Photo], faces: dict[str, Face], certainties: Certainties | None
) -> tuple[MatchRow, ...]:
    return tuple(
        MatchRow(
            face_id=match.face_id,
            similarity=match.similarity,
            certainty=certainties.of(match.similarity) if certainties else None,
            photo=photos[match.photo_id],
            face=faces.get(match.face_id),
        )
        for match in matches
        if match.photo_id in photos
    )


def _face_row(found: FaceMatches, stored: Face | None, matches: tuple[MatchRow, ...]) -> FaceRow:
    reason = found.reason
    if not matches and reason is None:
        reason = below_threshold(None)  # what matched was deleted since, and how similar the next one is nobody knows
    face = found.face or stored
    if face is None:
        raise ValueError("A result without the face that was searched for belongs to a search by a stored face.")
    box = found.face.box if found.face else BoxInfo.model_validate(stored, from_attributes=True)
    return FaceRow(
        box=box,
        landmarks=face.landmarks,
        score=face.score,
        quality=face.quality,
        matches=matches,
        reason=reason,
    )
