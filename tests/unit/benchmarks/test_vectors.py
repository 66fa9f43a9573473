"""The faces of the benchmarks are spread as they say, or the recall measured on them means nothing."""

import numpy as np
import pytest

from benchmarks.vectors import (
    DIMENSION,
    FACES_PER_IDENTITY,
    MATCH_SIMILARITY,
    clustered_faces,
    exact_answers,
    share_found,
)
from worker.vector_search.recall.measured import QUERY_COSINE

COUNT = 2_000
FACES = clustered_faces(COUNT, queries=50)
COSINES = FACES.embeddings @ FACES.embeddings.T
IS_SAME_IDENTITY = np.equal.outer(np.arange(COUNT) // FACES_PER_IDENTITY, np.arange(COUNT) // FACES_PER_IDENTITY)


def test_all_are_float32_of_unit_length():
    assert FACES.embeddings.shape == (COUNT, DIMENSION)
    assert FACES.queries.shape == (50, DIMENSION)
    for vectors in (FACES.embeddings, FACES.queries):
        assert vectors.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_faces_of_one_identity_are_apart_by_cosines_that_fill_the_range_from_0_4_to_0_8():
    within = COSINES[IS_SAME_IDENTITY & ~np.eye(COUNT, dtype=bool)]
    assert within.min() == pytest.approx(0.4, abs=0.02)
    assert within.max() == pytest.approx(0.8, abs=0.02)
    assert within.min() >= 0.4 - 1e-5
    assert within.max() <= 0.8 + 1e-5
    assert within.std() > 0.05


def test_strangers_are_no_matches():
    assert COSINES[~IS_SAME_IDENTITY].max() < MATCH_SIMILARITY


def test_each_query_is_at_cosine_0_77_to_a_face_of_its_own():
    cosines = FACES.queries @ FACES.embeddings.T
    np.testing.assert_allclose(cosines.max(axis=1), QUERY_COSINE, atol=1e-5)
    assert len(set(cosines.argmax(axis=1))) == len(FACES.queries)


def test_the_same_seed_makes_the_same_faces_and_another_makes_others():
    again, other = clustered_faces(COUNT, queries=50), clustered_faces(COUNT, queries=50, seed=1)
    np.testing.assert_array_equal(again.embeddings, FACES.embeddings)
    np.testing.assert_array_equal(again.queries, FACES.queries)
    assert not np.allclose(other.embeddings, FACES.embeddings)


def test_a_count_that_leaves_an_identity_incomplete_is_refused():
    with pytest.raises(ValueError, match="multiple of 5, not 7"):
        clustered_faces(7, queries=1)


def test_exact_answers_are_those_of_a_plain_sort_whatever_the_blocks(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("benchmarks.vectors.ROWS_PER_BLOCK", 300)
    exact = exact_answers(FACES)

    cosines = FACES.queries @ FACES.embeddings.T
    best = np.argsort(-cosines, axis=1)[:, :10]
    np.testing.assert_array_equal(exact.rows, best)
    np.testing.assert_allclose(exact.cosines, np.take_along_axis(cosines, best, axis=1), atol=1e-6)
    assert exact.top() == best.tolist()


def test_matches_are_the_close_ones_of_the_best_ten_some_five_of_the_same_identity():
    exact = exact_answers(FACES)
    for matches, rows, cosines in zip(exact.matches(), exact.rows, exact.cosines, strict=True):
        assert matches == rows[cosines >= MATCH_SIMILARITY].tolist()
        assert len({row // FACES_PER_IDENTITY for row in matches}) == 1
    assert 4 < np.mean([len(matches) for matches in exact.matches()]) <= 5


@pytest.mark.parametrize(
    ("found", "wanted", "share"),
    [
        pytest.param([[1, 2, 9]], [[2, 1]], 1.0, id="more than was wanted"),
        pytest.param([[1], []], [[1, 2], [3, 4]], 0.25, id="one of four"),
        pytest.param([[7]], [[]], 1.0, id="nothing was wanted"),
    ],
)
def test_the_share_found_is_that_of_all_queries_together(found, wanted, share):
    assert share_found(found, wanted) == share
