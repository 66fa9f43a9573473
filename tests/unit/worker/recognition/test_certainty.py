"""The words for similarities: where each begins, for packs with and without measured thresholds."""

import pytest

from worker.recognition.certainty import LIKELY_RATE, VERY_LIKELY_RATE, certainties
from worker.recognition.packs.catalogue import KNOWN_PACKS


def test_words_begin_where_the_measured_rates_of_false_matches_are_low_enough() -> None:
    [dlib] = [pack for pack in KNOWN_PACKS if pack.name == "dlib"]
    measured = {each.false_match_rate: each.similarity for each in dlib.thresholds}
    begins = certainties(dlib.match_similarity, dlib.thresholds)
    assert (begins.possible, begins.likely, begins.very_likely) == (
        dlib.match_similarity,
        measured[LIKELY_RATE],
        measured[VERY_LIKELY_RATE],
    )


@pytest.mark.parametrize("pack", KNOWN_PACKS, ids=lambda pack: pack.name)
def test_every_pack_has_all_words_in_order(pack: object) -> None:
    begins = certainties(pack.match_similarity, pack.thresholds)  # type: ignore[attr-defined]
    assert -1 < begins.possible < begins.likely < begins.very_likely < 1


def test_a_similarity_has_the_surest_word_that_it_reaches() -> None:
    begins = certainties(0.4)
    reached = [begins.of(each) for each in (1.0, begins.very_likely, begins.likely, 0.4, 0.39, -1.0)]
    assert reached == ["very_likely", "very_likely", "likely", "possible", "unlikely", "unlikely"]


def test_what_is_no_match_is_never_likely() -> None:
    [dlib] = [pack for pack in KNOWN_PACKS if pack.name == "dlib"]
    begins = certainties(0.9, dlib.thresholds)
    assert (begins.possible, begins.likely, begins.very_likely) == (0.9, 0.9, 0.9)
