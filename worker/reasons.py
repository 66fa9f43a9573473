"""Why a picture, or a face in it, has nothing to show: the one list of codes, and their sentences.

Loads no model library: web processes read it, too.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

#: What excludes a detected face: its score is too low for a face, it is too small, its quality is too low. From the
#: first check that it fails to the last.
RejectCode = Literal["no_face", "face_too_small", "low_quality"]
#: What leaves an accepted face without a match.
UnmatchedCode = Literal["below_threshold", "empty_gallery"]

_REJECTED: Final[dict[RejectCode, str]] = {
    "no_face": "too unclear",
    "face_too_small": "too small",
    "low_quality": "of too low quality",
}


@dataclass(frozen=True, slots=True)
class Reason:
    """Why there is no match: a stable code, and one sentence for a person.

    `best_similarity` (-1..1, on the pack's scale) is how alike the most similar face is that is still too different;
    None where none was compared.
    """

    code: RejectCode | UnmatchedCode
    message: str
    best_similarity: float | None = None


def why_no_face(rejected: Sequence[RejectCode]) -> Reason:
    """Return why a picture shows no face that can be used: `rejected` has the code of each that was detected.

    Its code is that of the face that came furthest, because that one is the nearest to being accepted.
    """
    if not rejected:
        return Reason("no_face", "No face was found in this picture.")
    furthest = max(rejected, key=get_args(RejectCode).index)
    return Reason(furthest, f"No usable face was found in this picture: {rejected_text(rejected)}.")


def rejected_text(rejected: Sequence[RejectCode]) -> str:
    """Return how many faces were rejected for what, as a part of a sentence."""
    return ", ".join(f"{rejected.count(code)} {text}" for code, text in _REJECTED.items() if code in rejected)


def below_threshold(best_similarity: float | None) -> Reason:
    """The sentence leaves out the number: pages and programs show `best_similarity` beside it."""
    return Reason("below_threshold", "No face there is similar enough.", best_similarity)


def not_the_same(similarity: float) -> Reason:
    """Return why two pictures that were compared do not show the same person."""
    return Reason("below_threshold", "The two faces are not similar enough.", similarity)


def empty_gallery() -> Reason:
    return Reason("empty_gallery", "There is no face there to compare with.")


def why_no_match(faces: Iterable[Reason | None]) -> Reason | None:
    """Return why a search matches nothing, from the reason of each face searched; None when one of them has matches.

    The most similar face of all speaks for the search. `faces` must not be empty.
    """
    reasons = list(faces)
    known = [reason for reason in reasons if reason is not None]
    if len(known) < len(reasons):
        return None
    return max(known, key=lambda reason: -2.0 if reason.best_similarity is None else reason.best_similarity)
