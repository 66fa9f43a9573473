"""A search's answer: the worker's result joined with the rows that exist now."""

from collections.abc import Iterable
from dataclasses import dataclass

from tasks.messages.base import BoxInfo, ErrorInfo
from tasks.messages.search import FaceMatches, SearchResult
from webapp.gallery.models import Face, Gallery, Photo
from webapp.gallery.selectors import faces_by_id, photos_by_id
from webapp.people.models import Person


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchRow:
    """A match with its photo. `face` is None when the face's row has not been written yet."""

    face_id: str
    similarity: float
    photo: Photo
    face: Face | None

    @property
    def person(self) -> Person | None:
        """The person the face belongs to; None while unknown."""
        return self.face.person if self.face else None


@dataclass(frozen=True, slots=True, kw_only=True)
class FaceRow:
    """One face of the query image and its matches, best first."""

    box: BoxInfo
    score: float
    quality: float
    matches: tuple[MatchRow, ...]

    @property
    def width(self) -> float:
        return self.box.right - self.box.left

    @property
    def height(self) -> float:
        return self.box.bottom - self.box.top


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchAnswer:
    """What the page, the API and the command show. `reason` says why there are no faces."""

    faces: tuple[FaceRow, ...]
    reason: ErrorInfo | None
    width: int | None
    height: int | None


def search_answer(result: SearchResult, *, galleries: Iterable[Gallery]) -> SearchAnswer:
    """Join the result with the photos of these galleries; leave out what was deleted since or is in another gallery."""
    matches = [match for face in result.faces for match in face.matches]
    photos = photos_by_id(galleries, {match.photo_id for match in matches})
    faces = faces_by_id({match.face_id for match in matches if match.photo_id in photos})
    return SearchAnswer(
        faces=tuple(_face_row(face, photos, faces) for face in result.faces),
        reason=result.reason,
        width=result.width,
        height=result.height,
    )


def _face_row(face: FaceMatches, photos: dict[str, Photo], faces: dict[str, Face]) -> FaceRow:
    return FaceRow(
        box=face.box,
        score=face.score,
        quality=face.quality,
        matches=tuple(
            MatchRow(
                face_id=match.face_id,
                similarity=match.similarity,
                photo=photos[match.photo_id],
                face=faces.get(match.face_id),
            )
            for match in face.matches
            if match.photo_id in photos
        ),
    )
