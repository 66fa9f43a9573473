"""A search covers a set of galleries: the best hits of all of them together, and nothing from any other."""

import uuid
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.contract.conftest import DIMENSION
from tests.contract.test_vector_store import GALLERY, OTHER_GALLERY, at_similarity, face, faces, ids, unit
from worker.vector_search.exceptions import InvalidId, StoreRejected
from worker.vector_search.interfaces import Embedding, Match, SearchQuery, VectorStore
from worker.vector_search.milvus.filters import IDS_PER_FILTER

THIRD_GALLERY = str(uuid.uuid4())

Search = Callable[..., list[list[Match]]]


@pytest.fixture(params=["search", "exact_search"])
def searched(request: pytest.FixtureRequest, store: VectorStore) -> Search:
    """Search the galleries for the embeddings, in one of both ways."""

    def searched(gallery_ids: Any, *embeddings: Embedding, **options: Any) -> list[list[Match]]:
        query = SearchQuery(gallery_ids=gallery_ids, embeddings=np.stack(embeddings), **options)
        found: list[list[Match]] = getattr(store, request.param)(query)
        return found

    return searched


def test_hits_come_from_each_of_the_galleries_and_from_no_other(store: VectorStore, searched: Search) -> None:
    mine, other, strange = (face(gallery_id=gallery) for gallery in (GALLERY, OTHER_GALLERY, THIRD_GALLERY))
    store.upsert([mine, other, strange])

    (hits,) = searched((GALLERY, OTHER_GALLERY), unit(1))

    assert set(ids(hits)) == {mine.face_id, other.face_id}


def test_the_best_hits_of_all_galleries_together_come_first(store: VectorStore, searched: Search) -> None:
    galleries = (GALLERY, OTHER_GALLERY, THIRD_GALLERY)
    similarities = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3]
    records = [
        face(embedding=at_similarity(similarity), gallery_id=galleries[number % 3])
        for number, similarity in enumerate(similarities)
    ]
    store.upsert(records[::-1])

    (hits,) = searched(galleries, unit(1), limit=5, min_similarity=0.55)

    assert ids(hits) == [record.face_id for record in records[:4]]
    assert ids(searched(galleries, unit(1), limit=2)[0]) == [record.face_id for record in records[:2]]


def test_ties_across_galleries_are_broken_by_face_id(
    store: VectorStore, searched: Search, new_id: Callable[[], str]
) -> None:
    twins = [
        face(face_id=new_id(), embedding=at_similarity(0.5), gallery_id=(GALLERY, OTHER_GALLERY)[number % 2])
        for number in range(20)
    ]
    store.upsert(twins[::-1])

    (hits,) = searched((OTHER_GALLERY, GALLERY), unit(1), limit=20)

    assert ids(hits) == [twin.face_id for twin in twins]


def test_the_limit_counts_hits_of_all_galleries_together(store: VectorStore, searched: Search) -> None:
    store.upsert([*faces(600), *faces(600, seed=1, gallery_id=OTHER_GALLERY)])

    (hits,) = searched((GALLERY, OTHER_GALLERY), unit(1), limit=1000)

    assert len(hits) == len(set(ids(hits))) == 1000


def test_each_embedding_has_its_own_hits_from_the_set(store: VectorStore, searched: Search) -> None:
    mine, other = face(embedding=unit(1)), face(embedding=unit(0, 1), gallery_id=OTHER_GALLERY)
    store.upsert([mine, other])

    found = searched((GALLERY, OTHER_GALLERY), unit(0, 1), unit(1), limit=1)

    assert [ids(hits) for hits in found] == [[other.face_id], [mine.face_id]]


def test_repeats_and_order_in_the_set_change_nothing(store: VectorStore, searched: Search) -> None:
    store.upsert([*faces(30), *faces(30, seed=1, gallery_id=OTHER_GALLERY)])

    found = searched((GALLERY, OTHER_GALLERY), unit(1), limit=50)

    assert searched((OTHER_GALLERY, GALLERY), unit(1), limit=50) == found
    assert searched((GALLERY, OTHER_GALLERY, GALLERY, GALLERY), unit(1), limit=50) == found


def test_an_empty_gallery_in_the_set_takes_nothing_away(store: VectorStore, searched: Search) -> None:
    record = face()
    store.upsert([record])

    assert [ids(hits) for hits in searched((GALLERY, OTHER_GALLERY), unit(1))] == [[record.face_id]]
    assert searched((OTHER_GALLERY, THIRD_GALLERY), unit(1)) == [[]]


def test_more_galleries_than_fit_one_filter_are_all_searched(store: VectorStore, searched: Search) -> None:
    galleries = tuple(str(uuid.UUID(int=number)) for number in range(IDS_PER_FILTER + 2))
    records = [
        face(gallery_id=galleries[number], embedding=at_similarity(similarity))
        for number, similarity in ((IDS_PER_FILTER + 1, 0.9), (0, 0.8), (IDS_PER_FILTER, 0.7), (1, 0.6))
    ]
    store.upsert([*records, face()])

    (hits,) = searched(galleries, unit(1), limit=3)

    assert ids(hits) == [record.face_id for record in records[:3]]


def test_a_search_of_no_gallery_is_refused_and_never_one_of_all(store: VectorStore, searched: Search) -> None:
    store.upsert([face()])

    with pytest.raises(StoreRejected, match="at least one gallery"):
        searched((), unit(1))


@pytest.mark.parametrize(
    "galleries",
    [
        pytest.param(GALLERY, id="one id that is no set"),
        pytest.param((GALLERY, "x"), id="one that is no id"),
        pytest.param((GALLERY, None), id="nothing"),
        pytest.param((GALLERY, f'{GALLERY}", "{OTHER_GALLERY}'), id="two in one"),
    ],
)
def test_a_set_that_holds_anything_but_ids_is_refused(searched: Search, galleries: Any) -> None:
    with pytest.raises(InvalidId):
        searched(galleries, np.eye(1, DIMENSION, dtype=np.float32)[0])
