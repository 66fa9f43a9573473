"""Match recall tells how much of exact search an index returns, and blames it for nothing else."""

import uuid
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from benchmarks.vectors import DIMENSION, MATCH_SIMILARITY, clustered_faces
from worker.vector_search.interfaces import FaceRecord, Match, SearchQuery
from worker.vector_search.memory import InMemoryVectorStore
from worker.vector_search.recall.measured import (
    QUERIES_PER_SEARCH,
    gate_match_recall,
    nearby,
)

GALLERIES = [str(uuid.UUID(int=number)) for number in (1, 2, 3)]


class LossyStore(InMemoryVectorStore):
    """Loses every hit whose face id ends in one of the digits, as an approximate index loses some."""

    lost_digits = ""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.asked: list[int] = []  # embeddings, by search
        self.asked_in: Counter[str] = Counter()  # embeddings, by gallery

    def search(self, query: SearchQuery) -> list[list[Match]]:
        self.asked.append(len(query.embeddings))
        self.asked_in.update({gallery_id: len(query.embeddings) for gallery_id in query.gallery_ids})
        return [[hit for hit in hits if hit.face_id[-1] not in self.lost_digits] for hits in super().search(query)]

    def exact_search(self, query: SearchQuery) -> list[list[Match]]:
        return super().search(query)


@pytest.fixture
def store() -> Iterator[LossyStore]:
    store = LossyStore(name="faces", dimension=DIMENSION, fingerprint="f" * 64)
    store.open()
    yield store
    store.close()


def fill(store: InMemoryVectorStore, embeddings: np.ndarray, *, galleries: list[str] = GALLERIES) -> None:
    """Write the faces, five in a row into one gallery."""
    store.upsert(
        [
            FaceRecord(
                face_id=str(uuid.UUID(int=row)),
                photo_id=str(uuid.UUID(int=row)),
                gallery_id=galleries[row // 5 % len(galleries)],
                embedding=embedding,
            )
            for row, embedding in enumerate(embeddings)
        ]
    )


def test_the_pictures_asked_for_are_at_the_cosine_given():
    embeddings = clustered_faces(50, queries=1).embeddings
    near = nearby(embeddings, cosine=0.6, generator=np.random.default_rng(1))
    np.testing.assert_allclose(np.sum(near * embeddings, axis=1), 0.6, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(near, axis=1), 1, atol=1e-5)


def gate(store: InMemoryVectorStore, **options: Any) -> float | None:
    return gate_match_recall(store, min_similarity=MATCH_SIMILARITY, **options)


def test_the_gate_finds_no_loss_in_exact_search_and_nothing_in_an_empty_store(store: LossyStore):
    assert gate(store) is None
    fill(store, clustered_faces(600, queries=1).embeddings)
    assert gate(store) == 1.0


@pytest.mark.parametrize("min_similarity", [-1.0, 0.3, 0.75, 0.82, 0.99])
def test_the_gate_has_something_to_measure_with_whatever_counts_as_a_match(store: LossyStore, min_similarity: float):
    fill(store, clustered_faces(600, queries=1).embeddings)
    assert gate_match_recall(store, min_similarity=min_similarity) == 1.0
    store.lost_digits = "0123456789abcdef"
    assert gate_match_recall(store, min_similarity=min_similarity) == 0.0


@pytest.mark.parametrize(
    ("lost_digits", "recall"),
    [pytest.param("0", 15 / 16, id="one in sixteen"), pytest.param("02468ace", 0.5, id="every other")],
)
def test_the_gate_tells_what_the_index_loses_and_tells_it_again(store: LossyStore, lost_digits: str, recall: float):
    fill(store, clustered_faces(600, queries=1).embeddings)
    store.lost_digits = lost_digits
    lossy = gate(store)
    assert lossy == pytest.approx(recall, abs=0.04)
    assert gate(store) == lossy


def test_the_gate_asks_in_every_gallery_before_it_asks_in_one_again(store: LossyStore):
    """Of three galleries two are small; they are asked for all that they hold, and the large one for the rest."""
    small, large = clustered_faces(30, queries=1).embeddings, clustered_faces(300, queries=1, seed=1).embeddings
    rows = [(embedding, GALLERIES[number % 2]) for number, embedding in enumerate(small)]
    rows += [(embedding, GALLERIES[2]) for embedding in large]
    store.upsert(
        [
            FaceRecord(face_id=str(uuid.UUID(int=n)), photo_id=str(uuid.UUID(int=n)), gallery_id=gallery, embedding=e)
            for n, (e, gallery) in enumerate(rows)
        ]
    )
    assert gate(store, queries=60) == 1.0
    assert store.asked_in == {GALLERIES[0]: 15, GALLERIES[1]: 15, GALLERIES[2]: 30}
    assert max(store.asked) <= QUERIES_PER_SEARCH


def test_the_gate_asks_no_more_than_it_is_told_however_many_galleries_there_are(store: LossyStore):
    galleries = [str(uuid.UUID(int=100 + number)) for number in range(20)]
    fill(store, clustered_faces(600, queries=1).embeddings, galleries=galleries)
    assert gate(store, queries=7) == 1.0
    assert store.asked_in == dict.fromkeys(galleries[:7], 1)


def test_the_gate_leaves_out_the_galleries_that_it_is_told_to(store: LossyStore):
    fill(store, clustered_faces(60, queries=1).embeddings, galleries=GALLERIES[:1])
    assert gate(store, ignored={GALLERIES[0]}) is None


def test_a_match_that_is_deleted_while_the_gate_measures_is_not_lost(store: LossyStore):
    fill(store, clustered_faces(60, queries=1).embeddings, galleries=GALLERIES[:1])
    exact_search = store.exact_search

    def exact_search_and_delete(query: SearchQuery) -> list[list[Match]]:
        found = exact_search(query)
        store.delete_photos(gallery_id=GALLERIES[0], photo_ids=[found[0][0].photo_id])
        return found

    store.exact_search = exact_search_and_delete  # type: ignore[method-assign]
    assert gate(store) == 1.0
