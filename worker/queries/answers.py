"""What FaceIndex answers. All similarities are on the pack's scale, all sizes in pixels of the upright picture."""

from collections.abc import Sequence
from dataclasses import dataclass

from worker.queries.faces import QueryFaces
from worker.reasons import Reason, why_no_face, why_no_match
from worker.recognition.interfaces import AlignedFace, Face, RejectedFace
from worker.vector_search.interfaces import Match


@dataclass(frozen=True, slots=True, kw_only=True)
class Matches:
    """The matches of one face, best first; without any, the reason."""

    matches: tuple[Match, ...]
    reason: Reason | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchedFace(Matches):
    """A face of a query image and its matches."""

    face: Face


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchAnswer:
    """The faces of a query image, best detection first; empty if there are none.

    `rejected` are those that the thresholds in FACE_CONFIG excluded.
    """

    faces: tuple[SearchedFace, ...]
    rejected: tuple[RejectedFace, ...] = ()
    width: int
    height: int

    @property
    def reason(self) -> Reason | None:
        """Why there is no match at all; None when there is one."""
        return why_no_match([face.reason for face in self.faces]) if self.faces else why_unusable(self.rejected)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedPicture:
    """The largest face of a picture that is compared with another; without a usable one, the reason."""

    face: Face | None
    reason: Reason | None
    width: int
    height: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """Whether two pictures show the same person: whether their largest faces are at least `threshold` alike.

    `similarity` (-1..1) and `is_same` are None when one of the pictures has no usable face. Unless they are the same,
    `reason` says why.
    """

    similarity: float | None
    is_same: bool | None
    threshold: float
    pictures: tuple[VerifiedPicture, VerifiedPicture]
    reason: Reason | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectionAnswer:
    """The faces in a picture, best score first, and those that the thresholds in FACE_CONFIG excluded."""

    faces: tuple[AlignedFace, ...]
    rejected: tuple[RejectedFace, ...]
    width: int
    height: int

    @property
    def reason(self) -> Reason | None:
        """Why there is no face; None when there is one."""
        return None if self.faces else why_unusable(self.rejected)


def verified_picture(seen: QueryFaces, which: str) -> VerifiedPicture:
    """Return the picture with its largest face, which is the only one in `seen`; `which` names it in sentences."""
    if seen.faces:
        return VerifiedPicture(face=seen.faces[0], reason=None, width=seen.width, height=seen.height)
    why = why_unusable(seen.rejected)
    reason = Reason(why.code, f"In the {which} picture: {why.message}")
    return VerifiedPicture(face=None, reason=reason, width=seen.width, height=seen.height)


def why_unusable(rejected: Sequence[RejectedFace]) -> Reason:
    """Return why a picture has no usable face, from those that were rejected in it."""
    return why_no_face([face.reason for face in rejected])
