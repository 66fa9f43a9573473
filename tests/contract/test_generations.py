"""What generations need of every store: ranges of photos, copies from one collection into another, and an end."""

import uuid
from collections.abc import Callable

import numpy as np
import pytest

from tests.contract.conftest import DIMENSION, MakeStore
from tests.contract.test_vector_store import GALLERY, OTHER_GALLERY, face, faces, ids, search, unit
from worker.errors import NotOpen
from worker.vector_search.consistency import compare_faces, write_once
from worker.vector_search.copying import copy_faces
from worker.vector_search.exceptions import CollectionMissing
from worker.vector_search.interfaces import FaceRecord, StoredFace, VectorStore

NewId = Callable[[], str]

FIRST, LAST = str(uuid.UUID(int=0)), str(uuid.UUID(int=2**128 - 1))


def stored(store: VectorStore) -> set[str]:
    return {row.face_id for row in store.iterate()}


def photos_of_two(new_id: NewId, count: int) -> list[FaceRecord]:
    """Return two faces of each of `count` photos, whose ids ascend."""
    photo_ids = [new_id() for _ in range(count)]
    return [face(photo_id=photo_id) for photo_id in photo_ids for _ in range(2)]


# -- ranges of photos ----------------------------------------------------------------------------------------


def test_a_range_of_photos_includes_its_ends_and_nothing_beyond_them(store: VectorStore, new_id: NewId) -> None:
    records = photos_of_two(new_id, 5)
    store.upsert(records)
    wanted = records[2:8]
    photo_ids = (wanted[0].photo_id, wanted[-1].photo_id)

    rows = list(store.iterate(gallery_id=GALLERY, photo_ids=photo_ids))
    listed = store.list_faces(gallery_id=GALLERY, photo_ids=photo_ids)

    assert {row.face_id for row in rows} == {record.face_id for record in wanted}
    assert {(each.face_id, each.photo_id) for each in listed} == {(each.face_id, each.photo_id) for each in wanted}
    assert [row.photo_id for row in store.iterate(photo_ids=(photo_ids[0], photo_ids[0]))] == [photo_ids[0]] * 2


def test_a_range_of_photos_is_that_of_one_gallery(store: VectorStore) -> None:
    mine, theirs = face(), face(gallery_id=OTHER_GALLERY)
    store.upsert([mine, theirs])

    assert [row.face_id for row in store.iterate(gallery_id=GALLERY, photo_ids=(FIRST, LAST))] == [mine.face_id]
    assert store.list_faces(gallery_id=GALLERY, photo_ids=(FIRST, LAST)) == [
        StoredFace(face_id=mine.face_id, photo_id=mine.photo_id)
    ]
    assert len(list(store.iterate(photo_ids=(FIRST, LAST)))) == 2


def test_a_range_that_ends_before_it_begins_has_no_photos(store: VectorStore) -> None:
    store.upsert([face()])

    assert list(store.iterate(photo_ids=(LAST, FIRST))) == []
    assert store.list_faces(gallery_id=GALLERY, photo_ids=(LAST, FIRST)) == []


def test_ranges_that_follow_each_other_give_every_row_once(store: VectorStore, new_id: NewId) -> None:
    records = photos_of_two(new_id, 125)
    store.upsert(records)
    ranges = [(records[start].photo_id, records[start + 49].photo_id) for start in range(0, 250, 50)]

    found = [row.face_id for photo_ids in ranges for row in store.iterate(gallery_id=GALLERY, photo_ids=photo_ids)]

    assert sorted(found) == sorted(record.face_id for record in records)


def test_what_is_written_without_waiting_is_found_after_it_has_been_listed(store: VectorStore) -> None:
    records = faces(250)
    store.upsert(records, wait_until_found=False)

    assert len(store.list_faces(gallery_id=GALLERY, photo_ids=(FIRST, LAST))) == 250
    found = search(store, *[record.embedding for record in records], limit=1)
    assert [ids(hits) for hits in found] == [[record.face_id] for record in records]


# -- copies --------------------------------------------------------------------------------------------------


def test_a_range_is_copied_whole_and_nothing_else_is(
    make_store: MakeStore, make_other: MakeStore, new_id: NewId
) -> None:
    source, target = opened(make_store), opened(make_other)
    photo_ids = [new_id() for _ in range(3)]
    before, wanted, after = [faces(300, photo_id=photo_id, seed=n) for n, photo_id in enumerate(photo_ids)]
    source.upsert([*before, *wanted, *after, face(photo_id=photo_ids[1], gallery_id=OTHER_GALLERY)])

    copied = copy_faces(source, target, gallery_id=GALLERY, first=photo_ids[1], last=photo_ids[1])

    assert copied == 300
    rows = {row.face_id: row for row in target.iterate()}
    assert rows.keys() == {record.face_id for record in wanted}
    for record in wanted:
        row = rows[record.face_id]
        assert (row.photo_id, row.gallery_id) == (record.photo_id, record.gallery_id)
        np.testing.assert_array_equal(row.embedding, record.embedding)


def test_a_range_that_is_copied_again_changes_nothing(make_store: MakeStore, make_other: MakeStore) -> None:
    source, target = opened(make_store), opened(make_other)
    source.upsert(faces(150))
    for _ in range(2):
        assert copy_faces(source, target, gallery_id=GALLERY, first=FIRST, last=LAST) == 150

    assert target.count() == 150
    assert stored(target) == stored(source)


def test_what_the_source_no_longer_has_goes_from_the_target_within_the_range_only(
    make_store: MakeStore, make_other: MakeStore, new_id: NewId
) -> None:
    source, target = opened(make_store), opened(make_other)
    photo_ids = [new_id() for _ in range(2)]
    kept, beyond = face(photo_id=photo_ids[0]), face(photo_id=photo_ids[1])
    stale = [face(photo_id=photo_ids[0]), face(photo_id=photo_ids[0])]
    theirs = face(photo_id=photo_ids[0], gallery_id=OTHER_GALLERY)
    source.upsert([kept])
    target.upsert([*stale, beyond, theirs])

    assert copy_faces(source, target, gallery_id=GALLERY, first=photo_ids[0], last=photo_ids[0]) == 1

    assert stored(target) == {kept.face_id, beyond.face_id, theirs.face_id}


def test_an_empty_range_copies_nothing(make_store: MakeStore, make_other: MakeStore) -> None:
    assert copy_faces(opened(make_store), opened(make_other), gallery_id=GALLERY, first=FIRST, last=LAST) == 0


# -- what the database says ----------------------------------------------------------------------------------


def test_missing_and_orphaned_faces_of_a_range_are_told(store: VectorStore, new_id: NewId) -> None:
    known, orphan, beyond = [face(photo_id=new_id()) for _ in range(3)]
    missing = str(uuid.uuid4())
    store.upsert([known, orphan, beyond])

    found = compare_faces(
        store, gallery_id=GALLERY, first=known.photo_id, last=orphan.photo_id, known=[known.face_id, missing]
    )

    assert found.missing == (missing,)
    assert found.orphaned == (StoredFace(face_id=orphan.face_id, photo_id=orphan.photo_id),)
    assert found.duplicated == ()


def test_a_face_that_is_written_once_stays_as_it_is_and_a_deleted_one_stays_away(store: VectorStore) -> None:
    there, gone = face(embedding=unit(0, 1)), face()
    store.upsert([there])
    listed = [StoredFace(face_id=each.face_id, photo_id=each.photo_id, copies=2) for each in (there, gone)]

    write_once(store, gallery_id=GALLERY, faces=listed)

    (row,) = store.iterate()
    assert (row.face_id, row.photo_id, row.gallery_id) == (there.face_id, there.photo_id, GALLERY)
    np.testing.assert_allclose(row.embedding, there.embedding)


# -- the end -------------------------------------------------------------------------------------------------


def test_a_dropped_collection_is_gone_and_a_new_one_of_its_name_is_empty(make_store: MakeStore) -> None:
    store = opened(make_store)
    store.upsert(faces(20))

    store.drop()

    with pytest.raises(NotOpen):
        store.count()
    with pytest.raises(CollectionMissing):
        make_store(auto_create=False).open()
    store.open()
    assert store.count() == 0


def test_a_collection_is_dropped_without_being_opened_whichever_pack_filled_it(make_store: MakeStore) -> None:
    opened(make_store).upsert(faces(3))

    make_store(dimension=2 * DIMENSION, fingerprint="b" * 64).drop()

    with pytest.raises(CollectionMissing):
        make_store(auto_create=False).open()


def test_dropping_what_is_not_there_is_no_error(make_store: MakeStore) -> None:
    store = make_store()
    store.drop()
    store.drop()
    with pytest.raises(NotOpen):
        store.count()


def test_a_store_whose_collection_another_one_has_dropped_says_that_it_is_missing(make_store: MakeStore) -> None:
    store, other = opened(make_store), opened(make_store)
    store.upsert(faces(3))

    other.drop()

    with pytest.raises(CollectionMissing):
        search(store, unit(1))
    with pytest.raises(CollectionMissing):
        store.upsert(faces(3))
    with pytest.raises(CollectionMissing):
        store.delete_photos(gallery_id=GALLERY, photo_ids=[str(uuid.uuid4())])
    assert store.health().collection_status == "missing"


# -- generations of other packs ------------------------------------------------------------------------------


def test_a_worker_of_another_pack_removes_photos_from_a_collection_that_it_cannot_fill(make_store: MakeStore) -> None:
    """Erasure reaches every live generation: told its dimension and fingerprint, any worker can open and delete."""
    gone, stays = face(), face()
    opened(make_store).upsert([gone, stays])

    eraser = make_store(auto_create=False)
    eraser.open()
    eraser.delete_photos(gallery_id=GALLERY, photo_ids=[gone.photo_id])

    assert stored(eraser) == {stays.face_id}


def opened(make: MakeStore) -> VectorStore:
    store = make()
    store.open()
    return store
