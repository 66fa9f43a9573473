"""How sure a similarity makes one that two faces are the same person's: the words that people read instead of a number.

The same number means different things with different packs, so each pack says from which similarity on a word holds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from worker.recognition.packs.entries import Threshold

#: From the surest to the least sure. What is "unlikely" is no match.
Certainty = Literal["very_likely", "likely", "possible", "unlikely"]

#: A word holds from the similarity on that at most this share of pairs of strangers reaches.
LIKELY_RATE: Final = 1e-4
VERY_LIKELY_RATE: Final = 1e-5
#: Where nothing was measured: how far a word begins between the pack's match similarity and 1. These are the shares at
#: which the measured ones lie with the dlib pack, rounded.
LIKELY_SHARE: Final = 0.15
VERY_LIKELY_SHARE: Final = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Certainties:
    """The lowest similarity (-1..1, on the pack's scale) of each word; `possible` is the pack's match similarity."""

    possible: float
    likely: float
    very_likely: float

    def of(self, similarity: float) -> Certainty:
        """Return the word for a similarity."""
        if similarity >= self.very_likely:
            return "very_likely"
        if similarity >= self.likely:
            return "likely"
        return "possible" if similarity >= self.possible else "unlikely"


def certainties(match_similarity: float, thresholds: Sequence[Threshold] = ()) -> Certainties:
    """Return a pack's certainties, from its match similarity and what was measured of it; `thresholds` may be empty."""
    return Certainties(
        possible=match_similarity,
        likely=_begin(match_similarity, thresholds, LIKELY_RATE, LIKELY_SHARE),
        very_likely=_begin(match_similarity, thresholds, VERY_LIKELY_RATE, VERY_LIKELY_SHARE),
    )


def _begin(match_similarity: float, thresholds: Sequence[Threshold], rate: float, share: float) -> float:
    measured = [each.similarity for each in thresholds if each.false_match_rate <= rate]
    begin = min(measured) if measured else match_similarity + share * (1 - match_similarity)
    return max(match_similarity, begin)
