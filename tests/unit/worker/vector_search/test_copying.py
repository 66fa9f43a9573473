"""A chunk ends up right whatever happens to its photos while it is being copied."""

import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from worker.vector_search.copying import ROWS_PER_WRITE, copy_faces
from worker.vector_search.exceptions import StoreUnavailable
from worker.vector_search.interfaces import FaceRecord, PhotoRange, StoredFace
from worker.vector_search.memory import InMemoryVectorStore

GALLERY = str(uuid.UUID(int=1))
FIRST, LAST = str(uuid.UUID(int=0)), str(uuid.UUID(int=2**128 - 1))
DIMENSION = 4


class WatchedStore(InMemoryVectorStore):
    """Lets a test act as rows are read, when all were read, before rows are written, and around their listing."""

    def __init__(self, name: str) -> None:
        super().__init__(name=name, dimension=DIMENSION, fingerprint="f" * 64)
        self.rows_read = 0
        self.writes: list[int] = []
        self.on_row: Callable[[], None] = lambda: None
        self.after_reading: Callable[[], None] = lambda: None
        self.before_writing: Callable[[], None] = lambda: None
        self.before_listing: Callable[[], None] = lambda: None
        self.after_listing: Callable[[], None] = lambda: None
        self.open()

    def iterate(self, *, gallery_id: str | None = None, photo_ids: PhotoRange | None = None) -> Iterator[FaceRecord]:
        for row in super().iterate(gallery_id=gallery_id, photo_ids=photo_ids):
            self.rows_read += 1
            self.on_row()
            yield row
        self.after_reading()

    def upsert(self, records: Sequence[FaceRecord], **options: bool) -> None:
        self.before_writing()
        self.writes.append(len(records))
        super().upsert(records, **options)

    def list_faces(self, *, gallery_id: str, photo_ids: PhotoRange) -> list[StoredFace]:
        self.before_listing()
        listed = super().list_faces(gallery_id=gallery_id, photo_ids=photo_ids)
        self.after_listing()
        return listed


@pytest.fixture
def source() -> WatchedStore:
    return WatchedStore("source")


@pytest.fixture
def target() -> WatchedStore:
    return WatchedStore("target")


def face(number: int) -> FaceRecord:
    face_id = str(uuid.UUID(int=number))
    return FaceRecord(
        face_id=face_id, photo_id=face_id, gallery_id=GALLERY, embedding=np.eye(DIMENSION, dtype=np.float32)[0]
    )


def copy(source: WatchedStore, target: WatchedStore) -> int:
    return copy_faces(source, target, gallery_id=GALLERY, first=FIRST, last=LAST)


def face_ids(store: InMemoryVectorStore) -> set[str]:
    return {row.face_id for row in InMemoryVectorStore.iterate(store)}


def test_a_photo_that_is_erased_while_it_is_being_copied_does_not_come_back(
    source: WatchedStore, target: WatchedStore
) -> None:
    """Erased from the source, then from the target, after it was read and before it is written."""
    erased, kept = face(1), face(2)
    source.upsert([erased, kept])

    def erase() -> None:
        for store in (source, target):
            store.delete_photos(gallery_id=GALLERY, photo_ids=[erased.photo_id])

    source.after_reading = erase
    assert copy(source, target) == 2
    assert face_ids(target) == {kept.face_id}


def test_a_photo_that_is_added_while_its_range_is_being_copied_stays(
    source: WatchedStore, target: WatchedStore
) -> None:
    """Added to the source, then to the target, after the source was read or after the target was listed."""
    source.upsert([face(1)])

    def add(number: int) -> None:
        for store in (source, target):
            InMemoryVectorStore.upsert(store, [face(number)])

    source.after_reading = lambda: add(2)
    target.after_listing = lambda: add(3)
    copy(source, target)
    assert face_ids(target) == {face(number).face_id for number in (1, 2, 3)}


def test_what_is_added_between_the_listings_stays_whichever_is_first(
    source: WatchedStore, target: WatchedStore
) -> None:
    """Both are listed at the same time. Added when only the source was listed, it looks stale in the target."""
    source.upsert([face(1)])
    source_was_listed = threading.Event()

    def add_once_the_source_was_listed() -> None:
        assert source_was_listed.wait(30)
        for store in (source, target):
            InMemoryVectorStore.upsert(store, [face(2)])

    source.after_listing = source_was_listed.set
    target.before_listing = add_once_the_source_was_listed
    assert copy(source, target) == 1
    assert face_ids(target) == {face(1).face_id, face(2).face_id}


def test_what_the_source_does_not_have_goes_from_the_target(source: WatchedStore, target: WatchedStore) -> None:
    source.upsert([face(1)])
    target.upsert([face(1), face(2)])
    copy(source, target)
    assert face_ids(target) == {face(1).face_id}


def test_a_chunk_that_two_workers_copy_at_the_same_time_is_there_once(
    source: WatchedStore, target: WatchedStore
) -> None:
    records = [face(number) for number in range(2 * ROWS_PER_WRITE)]
    source.upsert(records)
    together = threading.Barrier(2)

    def copy_one(_number: int) -> int:
        together.wait()
        return copy(source, target)

    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(copy_one, range(2))) == [len(records)] * 2
    assert target.count() == len(records)


def test_a_chunk_that_broke_off_is_made_whole_by_the_next_try(source: WatchedStore, target: WatchedStore) -> None:
    source.upsert([face(number) for number in range(2 * ROWS_PER_WRITE + 1)])

    def go_away_for_the_second_write() -> None:
        if len(target.writes) == 1:
            raise StoreUnavailable("away")

    target.before_writing = go_away_for_the_second_write
    with pytest.raises(StoreUnavailable):
        copy(source, target)
    assert target.count() == ROWS_PER_WRITE

    target.before_writing = lambda: None
    assert copy(source, target) == 2 * ROWS_PER_WRITE + 1
    assert face_ids(target) == face_ids(source)


def test_the_next_rows_are_read_while_the_last_are_written_and_no_more_than_that(
    source: WatchedStore, target: WatchedStore
) -> None:
    source.upsert([face(number) for number in range(6 * ROWS_PER_WRITE)])
    is_ahead = threading.Event()
    read_at_first_write: list[int] = []

    def wait_for_reading() -> None:
        if not target.writes:
            assert is_ahead.wait(30)
            read_at_first_write.append(source.rows_read)

    source.on_row = lambda: is_ahead.set() if source.rows_read > ROWS_PER_WRITE else None
    target.before_writing = wait_for_reading
    copy(source, target)

    assert ROWS_PER_WRITE < read_at_first_write[0] <= 3 * ROWS_PER_WRITE
