"""A similarity is a monotone map of the cosine, and can be undone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.errors import ConfigError
from worker.recognition.similarity import SimilarityScale

COSINES = st.floats(-1, 1)
SPREADS = st.floats(0.01, 1)


@given(COSINES)
def test_with_a_spread_of_one_it_is_the_cosine(cosine: float) -> None:
    assert SimilarityScale().of_cosine(cosine) == pytest.approx(cosine, abs=1e-15)
    assert SimilarityScale().cosine_of(cosine) == pytest.approx(cosine, abs=1e-15)


@given(SPREADS, COSINES, COSINES)
def test_the_more_alike_by_cosine_the_more_alike_by_similarity(spread: float, one: float, other: float) -> None:
    less, more = sorted((one, other))
    scale = SimilarityScale(spread)

    assert -1 <= scale.of_cosine(less) <= scale.of_cosine(more) <= 1
    assert -1 <= scale.cosine_of(less) <= scale.cosine_of(more) <= 1


@given(SPREADS, COSINES)
def test_a_similarity_leads_back_to_its_cosine(spread: float, similarity: float) -> None:
    scale = SimilarityScale(spread)
    cosine = scale.cosine_of(similarity)

    assert scale.of_cosine(cosine) == pytest.approx(similarity, abs=1e-12) or similarity == -1
    assert similarity == -1 or cosine >= 1 - 2 * spread


@given(SPREADS)
def test_its_ends_are_the_same_face_and_everything(spread: float) -> None:
    scale = SimilarityScale(spread)

    assert scale.of_cosine(1) == scale.cosine_of(1) == 1
    assert scale.of_cosine(-1) == scale.cosine_of(-1) == -1
    assert scale.cosine_of(-1.5) == -1
    assert scale.of_cosine(1.000001) == scale.cosine_of(1.5) == 1


def test_a_spread_of_0_35_puts_close_cosines_apart() -> None:
    scale = SimilarityScale(0.35)

    assert scale.of_cosine(0.825) == pytest.approx(0.5)
    assert scale.of_cosine(0.65) == pytest.approx(0)
    assert scale.of_cosine(0.2) == -1


@pytest.mark.parametrize("spread", [0, -0.1, 1.01, float("nan"), float("inf")])
def test_another_spread_is_refused(spread: float) -> None:
    with pytest.raises(ConfigError, match="over 0 and at most 1"):
        SimilarityScale(spread)
