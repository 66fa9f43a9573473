"""Exact search, deleting by face, capacity, and what is not made: the same promises for every store."""

import uuid
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.contract.conftest import DIMENSION, MakeStore
from tests.contract.test_vector_store import GALLERY, OTHER_GALLERY, at_similarity, face, faces, ids, search, unit
from worker.errors import NotOpen
from worker.vector_search.exceptions import (
    CapacityReached,
    CollectionMissing,
    InvalidEmbedding,
    InvalidId,
    StoreRejected,
)
from worker.vector_search.interfaces import Embedding, Match, SearchQuery, VectorStore
from worker.vector_search.milvus.filters import IDS_PER_FILTER

NewId = Callable[[], str]


def exact(store: VectorStore, *embeddings: Embedding, gallery_id: str = GALLERY, **options: Any) -> list[list[Match]]:
    return store.exact_search(SearchQuery(gallery_ids=(gallery_id,), embeddings=np.stack(embeddings), **options))


def stored(store: VectorStore) -> set[str]:
    return {row.face_id for row in store.iterate()}


# -- exact search --------------------------------------------------------------------------------------------


def test_exact_search_is_the_brute_force_over_the_gallery(store: VectorStore) -> None:
    records = faces(1200, seed=1)
    queries = [record.embedding for record in faces(5, seed=2)]
    store.upsert([*records, *faces(30, seed=3, gallery_id=OTHER_GALLERY)])

    found = exact(store, *queries, limit=7, min_similarity=0.2)

    cosines = np.stack(queries) @ np.stack([record.embedding for record in records]).T
    for hits, of_query in zip(found, cosines, strict=True):
        best = [index for index in np.argsort(-of_query)[:7] if of_query[index] >= 0.2]
        assert ids(hits) == [records[index].face_id for index in best]
        assert [hit.photo_id for hit in hits] == [records[index].photo_id for index in best]
        assert [hit.similarity for hit in hits] == pytest.approx([of_query[index] for index in best], abs=1e-5)


def test_exact_search_breaks_ties_by_face_id_across_all_of_its_pages(store: VectorStore, new_id: NewId) -> None:
    twins = [face(face_id=new_id(), embedding=at_similarity(0.5)) for _ in range(1150)]
    store.upsert(twins[::-1])

    (hits,) = exact(store, unit(1), limit=5)

    assert ids(hits) == [twin.face_id for twin in twins[:5]]


def test_exact_search_gives_what_search_gives_when_nothing_is_lost(store: VectorStore) -> None:
    store.upsert(faces(300))
    queries = [record.embedding for record in faces(3, seed=9)]

    plain, brute = search(store, *queries, limit=20), exact(store, *queries, limit=20)

    assert [ids(hits) for hits in plain] == [ids(hits) for hits in brute]


def test_exact_search_in_an_empty_gallery_answers_each_embedding_with_no_hits(store: VectorStore) -> None:
    assert exact(store, unit(1), unit(0, 1)) == [[], []]


def test_exact_search_refuses_what_search_refuses(store: VectorStore) -> None:
    refusals: list[tuple[type[Exception], Callable[[], object]]] = [
        (StoreRejected, lambda: exact(store, unit(1), limit=0)),
        (InvalidId, lambda: exact(store, unit(1), gallery_id="x")),
        (InvalidEmbedding, lambda: exact(store, np.full(DIMENSION, np.nan, dtype=np.float32))),
    ]
    for error, use in refusals:
        with pytest.raises(error):
            use()


# -- deleting faces ------------------------------------------------------------------------------------------


def test_deleted_faces_are_gone_and_the_other_faces_of_their_photo_stay(store: VectorStore) -> None:
    photo_id = str(uuid.uuid4())
    gone, stays = face(photo_id=photo_id), face(photo_id=photo_id)
    store.upsert([gone, stays])

    store.delete_faces(gallery_id=GALLERY, face_ids=[gone.face_id])

    assert stored(store) == {stays.face_id}
    assert [ids(hits) for hits in search(store, unit(1))] == [[stays.face_id]]


def test_a_face_of_another_gallery_is_not_deleted(store: VectorStore) -> None:
    theirs = face(gallery_id=OTHER_GALLERY)
    store.upsert([theirs])

    store.delete_faces(gallery_id=GALLERY, face_ids=[theirs.face_id])

    assert stored(store) == {theirs.face_id}


def test_more_faces_than_one_filter_names_are_deleted_in_one_call(store: VectorStore) -> None:
    records = faces(IDS_PER_FILTER + 20)
    store.upsert(records)

    store.delete_faces(gallery_id=GALLERY, face_ids=[record.face_id for record in records[1:]])

    assert stored(store) == {records[0].face_id}


def test_deleting_faces_that_are_not_there_is_no_error(store: VectorStore) -> None:
    store.delete_faces(gallery_id=GALLERY, face_ids=[str(uuid.uuid4())])
    store.delete_faces(gallery_id=GALLERY, face_ids=[])


@pytest.mark.parametrize("bad", ["x", "a" * 36, "é" * 36, '" or face_id != "'])
def test_deleting_by_an_id_that_is_none_is_refused(store: VectorStore, bad: str) -> None:
    for arguments in ({"gallery_id": bad, "face_ids": []}, {"gallery_id": GALLERY, "face_ids": [bad]}):
        with pytest.raises(InvalidId):
            store.delete_faces(**arguments)  # type: ignore[arg-type]


def test_the_new_calls_need_an_open_store_as_the_others_do(make_store: MakeStore) -> None:
    closed = make_store()
    with pytest.raises(NotOpen):
        exact(closed, unit(1))
    with pytest.raises(NotOpen):
        closed.delete_faces(gallery_id=GALLERY, face_ids=[])
    opened = make_store()  # so that there is a collection to drop
    opened.open()


# -- capacity ------------------------------------------------------------------------------------------------


def test_a_write_beyond_the_capacity_is_refused_and_nothing_of_it_is_written(make_store: MakeStore) -> None:
    store = make_store(max_capacity=150)
    store.open()
    there = faces(100)
    store.upsert(there)

    with pytest.raises(CapacityReached, match="holds 100 of at most 150 faces; 120 more do not fit"):
        store.upsert([*there[:10], *faces(120, seed=1)])

    assert stored(store) == {record.face_id for record in there}


def test_a_full_collection_still_takes_new_embeddings_for_the_faces_it_holds(make_store: MakeStore) -> None:
    store = make_store(max_capacity=3)
    store.open()
    first, *others = [face() for _ in range(3)]
    store.upsert([first, *others])

    store.upsert([face(face_id=first.face_id, embedding=unit(0, 1))])

    assert np.allclose(store.fetch([first.face_id])[first.face_id], unit(0, 1))
    with pytest.raises(CapacityReached):
        store.upsert([face()])


def test_the_same_face_twice_in_one_write_takes_one_place(make_store: MakeStore) -> None:
    store = make_store(max_capacity=1)
    store.open()
    only = face()

    store.upsert([only, only])

    assert store.count() == 1


def test_deleting_makes_room_in_a_full_collection(make_store: MakeStore) -> None:
    store = make_store(max_capacity=2)
    store.open()
    gone, stays, new = face(), face(), face()
    store.upsert([gone, stays])

    store.delete_photos(gallery_id=GALLERY, photo_ids=[gone.photo_id])
    store.upsert([new])

    assert stored(store) == {stays.face_id, new.face_id}


def test_a_collection_that_is_over_a_lowered_capacity_can_still_be_emptied(make_store: MakeStore) -> None:
    roomy, tight = make_store(), make_store(max_capacity=1)
    roomy.open()
    tight.open()
    gone, stays = face(), face()
    roomy.upsert([gone, stays])

    tight.upsert([stays])
    tight.delete_faces(gallery_id=GALLERY, face_ids=[gone.face_id])

    assert stored(tight) == {stays.face_id}


# -- what is not made --------------------------------------------------------------------------------------


def test_a_missing_collection_that_may_not_be_created_stops_the_opening(make_store: MakeStore) -> None:
    with pytest.raises(CollectionMissing, match="AUTO_CREATE"):
        make_store(auto_create=False).open()

    make_store().open()
    store = make_store(auto_create=False)
    store.open()
    assert store.count() == 0
