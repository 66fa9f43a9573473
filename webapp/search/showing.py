"""What the page of a search shows of its answer: which matches, in which words, and which of them may be named.

A page asks for more than the matches, so that its slider has something to show when somebody loosens it.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from webapp.accounts.callers import Caller
from webapp.gallery.access import levels_of
from webapp.gallery.models import Level
from webapp.people.models import Person
from webapp.search.selectors import FaceRow, MatchRow, SearchAnswer
from worker.recognition.certainty import Certainty

#: What a page asks a search for: the most similar faces, however little alike they are.
FACES_ASKED_FOR: Final = 60
LEAST_ASKED_FOR: Final = -1.0
#: The most names that the form suggests.
NAMES_SHOWN: Final = 500
#: The step of the slider. Its ends are whole steps.
STEP: Final = 0.01
#: Answers without certainties are shown whole.
_NO_CERTAINTIES: Final = (-1.0, -1.0)

WORDS: Final[dict[Certainty, str]] = {
    "very_likely": "very likely the same person",
    "likely": "likely the same person",
    "possible": "possibly the same person",
    "unlikely": "probably somebody else",
}
#: What the slider shows when it stands where a word holds.
_REACH: Final[dict[Certainty, str]] = {
    "very_likely": "only faces that are very likely the same person",
    "likely": "faces that are at least likely the same person",
    "possible": "all faces that are possibly the same person",
    "unlikely": "also faces that are probably somebody else",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownMatch:
    """A match on the page. `is_shown` is False while the slider hides it."""

    match: MatchRow
    words: str
    is_shown: bool
    may_name: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownFace:
    """A face that was searched for, with its matches, best first. `number` counts from 1."""

    number: int
    row: FaceRow
    matches: tuple[ShownMatch, ...]

    @property
    def shown_count(self) -> int:
        return sum(match.is_shown for match in self.matches)

    @property
    def may_name(self) -> bool:
        return any(match.may_name for match in self.matches)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """An answer on the page: its faces, and the slider. `least` is where that stands, from `loosest` to 1."""

    faces: tuple[ShownFace, ...]
    least: float
    loosest: float
    #: The names to suggest for faces.
    names: tuple[str, ...]
    #: From which similarity on the slider shows what, in words; strictest first, empty if the answer does not say it.
    reach: tuple[tuple[float, str], ...]

    @property
    def has_matches(self) -> bool:
        return any(face.matches for face in self.faces)

    @property
    def reached(self) -> str:
        """What the slider shows now."""
        return next((words for begin, words in self.reach if self.least >= begin), "")


def shown_answer(answer: SearchAnswer, *, caller: Caller, least: float | None) -> Shown:
    """Return what the page shows of the answer. `least` None stands for the pack's match similarity.

    The loosest end of the slider lies half as far below that similarity as the strictest one, 1, lies above it.
    """
    loosest, usual = _slider(answer)
    least = usual if least is None else min(max(least, loosest), 1.0)
    galleries = {match.photo.gallery_id: match.photo.gallery for face in answer.faces for match in face.matches}
    levels = levels_of(caller, list(galleries.values()))
    editable = [gallery_id for gallery_id, level in levels.items() if level.may_edit]
    found = Person.objects.filter(gallery__in=editable).order_by("name").values_list("name", flat=True)
    return Shown(
        faces=tuple(
            ShownFace(number=number, row=face, matches=_matches(face, levels, least=least, loosest=loosest))
            for number, face in enumerate(answer.faces, start=1)
        ),
        least=least,
        loosest=loosest,
        names=tuple(found.distinct()[:NAMES_SHOWN]) if editable else (),
        reach=_reach(answer, loosest),
    )


def _slider(answer: SearchAnswer) -> tuple[float, float]:
    """Return the loosest end of the slider, and where it usually stands."""
    if answer.certainties is None:
        return _NO_CERTAINTIES
    possible = answer.certainties.possible
    return max(_whole_steps(possible - (1 - possible) / 2), -1.0), possible


def _matches(face: FaceRow, levels: Mapping[UUID, Level], *, least: float, loosest: float) -> tuple[ShownMatch, ...]:
    return tuple(
        ShownMatch(
            match=match,
            words=WORDS[match.certainty] if match.certainty else "",
            is_shown=match.similarity >= least,
            may_name=match.face is not None and levels.get(match.photo.gallery_id, Level.VIEWER).may_edit,
        )
        for match in face.matches
        if match.similarity >= loosest
    )


def _reach(answer: SearchAnswer, loosest: float) -> tuple[tuple[float, str], ...]:
    begins = answer.certainties
    if begins is None:
        return ()
    return (
        (begins.very_likely, _REACH["very_likely"]),
        (begins.likely, _REACH["likely"]),
        # Where the slider usually stands: a step may lie below the similarity itself.
        (_whole_steps(begins.possible), _REACH["possible"]),
        (loosest, _REACH["unlikely"]),
    )


def _whole_steps(similarity: float) -> float:
    """Return the similarity rounded down to steps of the slider, so that no match is missing that the answer has."""
    return round(math.floor(similarity / STEP + 1e-6) * STEP, 6)  # 0.8 is 80 steps, not 79.99...
