"""What every VectorStore promises, told to the in-memory one and to Milvus alike."""

import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import pytest

from tests.contract.conftest import DIMENSION, FINGERPRINT, MakeStore
from worker.errors import ModelMismatch, NotOpen
from worker.vector_search.exceptions import InvalidEmbedding, InvalidId, StoreRejected
from worker.vector_search.interfaces import Embedding, FaceRecord, Match, SearchQuery, VectorStore

NewId = Callable[[], str]

GALLERY = str(uuid.uuid4())
OTHER_GALLERY = str(uuid.uuid4())


def unit(*values: float) -> Embedding:
    """Return a unit vector that starts like this."""
    vector = np.zeros(DIMENSION, dtype=np.float32)
    vector[: len(values)] = values
    return vector / np.linalg.norm(vector)


def at_similarity(similarity: float) -> Embedding:
    """Return a unit vector with this cosine to `unit(1)`."""
    return unit(similarity, float(np.sqrt(1 - similarity**2)))


def face(**values: Any) -> FaceRecord:
    made = {"face_id": str(uuid.uuid4()), "photo_id": str(uuid.uuid4()), "gallery_id": GALLERY, "embedding": unit(1)}
    return FaceRecord(**{**made, **values})


def faces(count: int, *, seed: int = 0, **values: Any) -> list[FaceRecord]:
    vectors = np.random.default_rng(seed).normal(size=(count, DIMENSION)).astype(np.float32)
    return [face(embedding=vector / np.linalg.norm(vector), **values) for vector in vectors]


def search(store: VectorStore, *embeddings: Embedding, gallery_id: str = GALLERY, **options: Any) -> list[list[Match]]:
    return store.search(SearchQuery(gallery_ids=(gallery_id,), embeddings=np.stack(embeddings), **options))


def ids(hits: list[Match]) -> list[str]:
    return [hit.face_id for hit in hits]


# -- searching -----------------------------------------------------------------------------------------------


def test_the_most_similar_face_comes_first_with_its_photo_and_its_cosine(store: VectorStore) -> None:
    near, far, opposite = (
        face(embedding=at_similarity(0.9)),
        face(embedding=at_similarity(0.2)),
        face(embedding=-unit(1)),
    )
    store.upsert([far, opposite, near])

    (hits,) = search(store, unit(1))

    assert ids(hits) == [near.face_id, far.face_id, opposite.face_id]
    assert [hit.photo_id for hit in hits] == [near.photo_id, far.photo_id, opposite.photo_id]
    assert [hit.similarity for hit in hits] == pytest.approx([0.9, 0.2, -1.0], abs=1e-5)


def test_equally_similar_faces_come_in_the_order_of_their_ids(store: VectorStore, new_id: NewId) -> None:
    twins = [face(face_id=new_id(), embedding=at_similarity(0.5)) for _ in range(20)]
    store.upsert(twins[::-1])

    (hits,) = search(store, unit(1), limit=20)

    assert ids(hits) == [twin.face_id for twin in twins]


def test_a_similarity_is_the_cosine_also_when_a_length_is_off_by_a_rounding(store: VectorStore) -> None:
    store.upsert([face(embedding=at_similarity(0.5) * np.float32(1.0005))])

    (hits,) = search(store, unit(1) * np.float32(0.9995))

    assert hits[0].similarity == pytest.approx(0.5, abs=1e-5)


def test_an_empty_gallery_answers_each_embedding_with_no_hits(store: VectorStore) -> None:
    assert search(store, unit(1), unit(0, 1)) == [[], []]


def test_no_embeddings_have_no_answers(store: VectorStore) -> None:
    query = SearchQuery(gallery_ids=(GALLERY,), embeddings=np.zeros((0, DIMENSION), dtype=np.float32))

    assert store.search(query) == []


def test_a_limit_of_one_gives_the_best_hit_only(store: VectorStore) -> None:
    best = face(embedding=at_similarity(0.99))
    store.upsert([*faces(30), best])

    (hits,) = search(store, unit(1), limit=1)

    assert ids(hits) == [best.face_id]


def test_a_limit_of_a_thousand_gives_a_thousand_hits_in_order(store: VectorStore) -> None:
    store.upsert(faces(1100))

    (hits,) = search(store, unit(1), limit=1000)

    similarities = [hit.similarity for hit in hits]
    assert len(hits) == len(set(ids(hits))) == 1000
    assert similarities == sorted(similarities, reverse=True)


@pytest.mark.parametrize("limit", [0, -1, 1001])
def test_a_limit_out_of_bounds_is_refused(store: VectorStore, limit: int) -> None:
    with pytest.raises(StoreRejected, match=r"1\.\.1000"):
        search(store, unit(1), limit=limit)


def test_hits_below_the_least_similarity_are_left_out(store: VectorStore) -> None:
    near = face(embedding=at_similarity(0.8))
    store.upsert([near, face(embedding=at_similarity(0.3))])

    assert [ids(hits) for hits in search(store, unit(1), min_similarity=0.5)] == [[near.face_id]]


def test_many_embeddings_are_answered_in_one_search_in_their_order(store: VectorStore) -> None:
    records = faces(250)
    store.upsert(records)

    found = search(store, *[record.embedding for record in records], limit=1)

    assert [ids(hits) for hits in found] == [[record.face_id] for record in records]


def test_a_gallery_never_sees_the_same_face_of_another(store: VectorStore) -> None:
    mine, theirs = face(), face(gallery_id=OTHER_GALLERY)
    store.upsert([mine, theirs])

    assert [ids(hits) for hits in search(store, unit(1))] == [[mine.face_id]]
    assert [ids(hits) for hits in search(store, unit(1), gallery_id=OTHER_GALLERY)] == [[theirs.face_id]]
    assert [row.face_id for row in store.iterate(gallery_id=GALLERY)] == [mine.face_id]
    assert store.count(gallery_id=OTHER_GALLERY) == 1


# -- writing -------------------------------------------------------------------------------------------------


def test_a_face_that_is_written_twice_is_there_once_as_it_was_written_last(store: VectorStore) -> None:
    first = face(embedding=unit(1))
    second = face(face_id=first.face_id, embedding=unit(0, 1))
    store.upsert([first])
    store.upsert([second])

    (hits,) = search(store, unit(0, 1))

    assert [(hit.face_id, hit.photo_id, hit.similarity) for hit in hits] == [(first.face_id, second.photo_id, 1.0)]
    assert store.count() == store.count(gallery_id=GALLERY) == 1


def test_of_two_records_with_one_id_in_one_call_the_last_wins(store: VectorStore) -> None:
    first = face(embedding=unit(1))
    second = face(face_id=first.face_id, embedding=unit(0, 1))
    store.upsert([first, *faces(150), second])

    assert np.allclose(store.fetch([first.face_id])[first.face_id], unit(0, 1))
    assert store.count() == 151


def test_a_face_that_moves_to_another_gallery_leaves_no_trace(store: VectorStore) -> None:
    first = face()
    store.upsert([first])
    store.upsert([face(face_id=first.face_id, gallery_id=OTHER_GALLERY)])

    assert search(store, unit(1)) == [[]]
    assert (store.count(gallery_id=GALLERY), store.count(gallery_id=OTHER_GALLERY), store.count()) == (0, 1, 1)


def test_many_rows_are_written_in_several_batches(store: VectorStore) -> None:
    store.upsert(faces(1234))

    assert store.count() == store.count(gallery_id=GALLERY) == 1234


def test_writing_nothing_is_no_error(store: VectorStore) -> None:
    store.upsert([])

    assert store.count() == 0


def test_a_caller_may_reuse_its_array_after_writing(store: VectorStore) -> None:
    record = face(embedding=unit(1))
    store.upsert([record])
    record.embedding[:] = unit(0, 1)

    assert np.allclose(store.fetch([record.face_id])[record.face_id], unit(1))


# -- deleting ------------------------------------------------------------------------------------------------


def test_the_faces_of_a_deleted_photo_are_never_found_again(store: VectorStore) -> None:
    photo_id = str(uuid.uuid4())
    kept = face()
    store.upsert([*faces(5, photo_id=photo_id), kept])

    store.delete_photos(gallery_id=GALLERY, photo_ids=[photo_id])

    assert [ids(hits) for hits in search(store, unit(1))] == [[kept.face_id]]
    assert store.count() == 1


def test_deleting_what_is_not_there_is_no_error(store: VectorStore) -> None:
    store.upsert([face()])

    store.delete_photos(gallery_id=GALLERY, photo_ids=[str(uuid.uuid4())])
    store.delete_photos(gallery_id=GALLERY, photo_ids=[])
    store.delete_stale_faces(gallery_id=GALLERY, kept={str(uuid.uuid4()): []})

    assert store.count() == 1


def test_a_photo_is_deleted_in_its_own_gallery_only(store: VectorStore) -> None:
    record = face()
    store.upsert([record])

    store.delete_photos(gallery_id=OTHER_GALLERY, photo_ids=[record.photo_id])

    assert store.count() == 1


def test_more_photos_than_fit_one_filter_are_deleted(store: VectorStore) -> None:
    records = faces(700)
    store.upsert(records)

    store.delete_photos(gallery_id=GALLERY, photo_ids={record.photo_id for record in records[1:]})

    assert [row.face_id for row in store.iterate()] == [records[0].face_id]


def test_a_deleted_face_can_be_written_again(store: VectorStore) -> None:
    record = face()
    store.upsert([record])
    store.delete_photos(gallery_id=GALLERY, photo_ids=[record.photo_id])
    store.upsert([record])

    assert [ids(hits) for hits in search(store, unit(1))] == [[record.face_id]]


def test_stale_faces_go_and_kept_faces_and_other_photos_stay(store: VectorStore) -> None:
    photo_id, emptied_id = str(uuid.uuid4()), str(uuid.uuid4())
    kept, *stale = faces(3, photo_id=photo_id)
    elsewhere = face()
    store.upsert([kept, *stale, *faces(2, photo_id=emptied_id), elsewhere])

    store.delete_stale_faces(gallery_id=GALLERY, kept={photo_id: [kept.face_id], emptied_id: []})

    assert {row.face_id for row in store.iterate()} == {kept.face_id, elsewhere.face_id}


# -- reading -------------------------------------------------------------------------------------------------


def test_fetch_gives_the_embeddings_of_those_faces_that_exist(store: VectorStore) -> None:
    records = faces(3)
    store.upsert(records)

    found = store.fetch([records[0].face_id, records[2].face_id, str(uuid.uuid4())])

    assert set(found) == {records[0].face_id, records[2].face_id}
    assert np.allclose(found[records[2].face_id], records[2].embedding)
    assert found[records[2].face_id].dtype == np.float32
    assert store.fetch([]) == {}


def test_iterate_yields_every_row_once_and_whole(store: VectorStore) -> None:
    records = faces(550)
    store.upsert([*records, *faces(3, gallery_id=OTHER_GALLERY)])

    rows = {row.face_id: row for row in store.iterate(gallery_id=GALLERY)}

    assert set(rows) == {record.face_id for record in records}
    assert all(rows[record.face_id].photo_id == record.photo_id for record in records)
    assert all(np.allclose(rows[record.face_id].embedding, record.embedding) for record in records)
    assert len(list(store.iterate())) == 553


def test_iterate_over_nothing_yields_nothing(store: VectorStore) -> None:
    assert list(store.iterate()) == list(store.iterate(gallery_id=GALLERY)) == []


def test_info_says_what_stands_on_the_server(store: VectorStore) -> None:
    store.upsert(faces(7))

    info = store.info()

    assert (info.dimension, info.fingerprint, info.index_type, info.row_count) == (DIMENSION, FINGERPRINT, "FLAT", 7)


def test_an_open_store_is_healthy(store: VectorStore) -> None:
    health = store.health()

    assert (health.is_healthy, health.connection_status, health.collection_status) == (True, "connected", "loaded")
    assert health.latency_ms is not None
    assert health.detail == ""


# -- what is refused -----------------------------------------------------------------------------------------

BAD_IDS = [
    pytest.param("", id="empty"),
    pytest.param("1", id="not a UUID"),
    pytest.param(str(uuid.uuid4()).upper(), id="upper case"),
    pytest.param(uuid.uuid4().hex, id="without dashes"),
    pytest.param(f"{uuid.uuid4()}\n", id="with a line end"),
    pytest.param(str(uuid.UUID(int=0)).replace("0", "٠"), id="not ASCII"),  # noqa: RUF001
    pytest.param('" or face_id != "', id="a filter"),
    pytest.param(None, id="nothing"),
]


@pytest.mark.parametrize("bad", BAD_IDS)
def test_an_id_that_facequeue_did_not_make_is_refused_everywhere(store: VectorStore, bad: Any) -> None:
    good = str(uuid.uuid4())
    attempts: list[Callable[[], object]] = [
        lambda: store.upsert([face(face_id=bad)]),
        lambda: store.upsert([face(photo_id=bad)]),
        lambda: store.upsert([face(gallery_id=bad)]),
        lambda: search(store, unit(1), gallery_id=bad),
        lambda: store.delete_photos(gallery_id=bad, photo_ids=[]),
        lambda: store.delete_photos(gallery_id=good, photo_ids=[bad]),
        lambda: store.delete_stale_faces(gallery_id=bad, kept={}),
        lambda: store.delete_stale_faces(gallery_id=good, kept={bad: []}),
        lambda: store.delete_stale_faces(gallery_id=good, kept={good: [bad]}),
        lambda: store.fetch([bad]),
    ]
    if bad is not None:  # None means every gallery to these two
        attempts += [lambda: store.count(gallery_id=bad), lambda: store.iterate(gallery_id=bad)]
    for photo_ids in ((bad, GALLERY), (GALLERY, bad)):
        attempts += [
            partial(store.iterate, photo_ids=photo_ids),
            partial(store.list_faces, gallery_id=GALLERY, photo_ids=photo_ids),
        ]
    attempts.append(lambda: store.list_faces(gallery_id=bad, photo_ids=(GALLERY, GALLERY)))
    for attempt in attempts:
        with pytest.raises(InvalidId):
            attempt()


BAD_EMBEDDINGS = [
    pytest.param(np.full(DIMENSION, np.nan, dtype=np.float32), id="not a number"),
    pytest.param(np.full(DIMENSION, np.inf, dtype=np.float32), id="infinite"),
    pytest.param(np.zeros(DIMENSION, dtype=np.float32), id="zero"),
    pytest.param(np.ones(DIMENSION, dtype=np.float32), id="not of unit length"),
    pytest.param(np.array([1.0], dtype=np.float32), id="too short"),
    pytest.param(np.eye(1, DIMENSION + 1, dtype=np.float32)[0], id="too long"),
]


@pytest.mark.parametrize("bad", BAD_EMBEDDINGS)
def test_a_bad_embedding_is_refused_and_nothing_of_the_call_is_written(store: VectorStore, bad: Embedding) -> None:
    with pytest.raises(InvalidEmbedding):
        store.upsert([*faces(3), face(embedding=bad)])
    with pytest.raises(InvalidEmbedding):
        search(store, bad)

    assert store.count() == 0


def test_a_bad_record_is_refused_also_when_a_later_one_has_its_id(store: VectorStore) -> None:
    bad = face(embedding=np.zeros(DIMENSION, dtype=np.float32))

    with pytest.raises(InvalidEmbedding):
        store.upsert([bad, face(face_id=bad.face_id)])


# -- opening and closing -------------------------------------------------------------------------------------


def use_everything(store: VectorStore) -> list[Callable[[], object]]:
    return [
        lambda: store.upsert([face()]),
        lambda: search(store, unit(1)),
        lambda: store.delete_photos(gallery_id=GALLERY, photo_ids=[]),
        lambda: store.delete_stale_faces(gallery_id=GALLERY, kept={}),
        lambda: store.count(),
        lambda: store.fetch([]),
        lambda: store.iterate(),
        lambda: store.list_faces(gallery_id=GALLERY, photo_ids=(GALLERY, GALLERY)),
        lambda: store.info(),
    ]


def test_a_store_says_what_to_write_when_it_is_used_before_open(make_store: MakeStore) -> None:
    store = make_store()
    for use in use_everything(store):
        with pytest.raises(NotOpen, match=r"call open\(\)"):
            use()
    assert not store.health().is_healthy


def test_a_closed_store_is_not_open_and_can_be_opened_again_with_its_rows(make_store: MakeStore) -> None:
    store = make_store()
    store.close()
    store.open()
    store.open()
    store.upsert([face()])
    store.close()
    store.close()
    for use in use_everything(store):
        with pytest.raises(NotOpen):
            use()

    store.open()

    assert store.count() == 1


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"fingerprint": "b" * 64}, id="fingerprint"),
        pytest.param({"dimension": 2 * DIMENSION}, id="dimension"),
    ],
)
def test_a_collection_of_another_pack_is_refused_at_open(
    make_store: MakeStore, store: VectorStore, other: dict[str, Any]
) -> None:
    stranger = make_store(**other)

    with pytest.raises(ModelMismatch, match="was filled by the pack"):
        stranger.open()
    with pytest.raises(NotOpen):
        stranger.count()


def test_several_workers_may_open_a_new_collection_at_once(make_store: MakeStore) -> None:
    stores = [make_store() for _ in range(6)]
    together = threading.Barrier(len(stores))

    def open_one(number: int) -> None:
        together.wait()
        stores[number].open()
        stores[number].upsert(faces(50, seed=number))

    with ThreadPoolExecutor(len(stores)) as threads:
        list(threads.map(open_one, range(len(stores))))

    assert [store.count() for store in stores] == [300] * len(stores)


# -- together ------------------------------------------------------------------------------------------------


def test_what_one_client_writes_and_deletes_every_other_one_sees_at_once(
    make_store: MakeStore, store: VectorStore
) -> None:
    reader = make_store()
    reader.open()

    for _ in range(5):
        photo, other = str(uuid.uuid4()), str(uuid.uuid4())
        kept, stale, deleted = face(photo_id=photo), face(photo_id=photo), face(photo_id=other)
        store.upsert([kept, stale, deleted])
        assert set(ids(search(reader, unit(1))[0])) == {kept.face_id, stale.face_id, deleted.face_id}

        store.delete_stale_faces(gallery_id=GALLERY, kept={photo: [kept.face_id]})
        assert set(ids(search(reader, unit(1))[0])) == {kept.face_id, deleted.face_id}

        store.delete_photos(gallery_id=GALLERY, photo_ids=[photo, other])
        assert search(reader, unit(1)) == [[]]


def test_eight_readers_beside_a_writer_always_see_the_faces_that_were_there_before(store: VectorStore) -> None:
    settled = faces(40, gallery_id=OTHER_GALLERY)
    store.upsert(settled)
    written = threading.Event()

    def read() -> int:
        rounds = 0
        while not written.is_set() or rounds == 0:
            probe = settled[rounds % len(settled)]
            (hits,) = search(store, probe.embedding, gallery_id=OTHER_GALLERY, limit=1)
            assert ids(hits) == [probe.face_id]
            rounds += 1
        return rounds

    with ThreadPoolExecutor(8) as threads:
        readers = [threads.submit(read) for _ in range(8)]
        try:
            for seed in range(5):
                store.upsert(faces(40, seed=seed))
        finally:
            written.set()
        assert all(reader.result() > 0 for reader in readers)

    assert store.count(gallery_id=GALLERY) == 200
