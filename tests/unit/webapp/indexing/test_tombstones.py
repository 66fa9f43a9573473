"""A deleted photo leaves a tombstone until no message about it can come back, and its faces stay away."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from tasks.storage import photo_files
from tests.stored_files import stored_keys
from tests.unit.webapp.conftest import (
    WatchedQueue,
    add_indexed_photo,
    add_photo,
    face_info,
    indexed,
    record,
    rendered,
    upload,
)
from webapp.gallery.models import Gallery, Photo, Tombstone
from webapp.gallery.services import gallery_create
from webapp.indexing import adding, deleting, retrying, sweeping
from webapp.jobs import services as jobs


@pytest.fixture
def deleted(gallery: Gallery, queue: WatchedQueue) -> Photo:
    photo = add_photo(gallery)
    deleting.photos_delete(gallery=gallery, photo_ids=[photo.id])
    deleting.removals_record(gallery_id=gallery.id, photo_ids=[photo.id])
    queue.forget()
    return photo


def age(settings: Any) -> None:
    Tombstone.objects.update(deleted_at=timezone.now() - timedelta(seconds=settings.VISIBILITY_TIMEOUT_SECONDS + 1))


def test_a_row_goes_and_a_tombstone_comes(deleted: Photo, gallery: Gallery) -> None:
    tombstone = Tombstone.objects.get()
    assert (tombstone.photo_id, tombstone.gallery_id) == (deleted.id, gallery.id)
    assert not Photo.objects.exists()


def test_once_no_message_can_come_back_the_faces_are_removed_one_last_time(
    deleted: Photo, gallery: Gallery, queue: WatchedQueue, settings: Any
) -> None:
    sweeping.stale_photos_requeue()
    assert queue.removed == [], "too early: a dead worker's message may still run"
    age(settings)
    sweeping.stale_photos_requeue()
    sweeping.stale_photos_requeue()
    assert queue.removed == [(str(gallery.id), [str(deleted.id)])]
    deleting.removals_record(gallery_id=gallery.id, photo_ids=[str(deleted.id)])
    assert not Tombstone.objects.exists()


def test_a_repeated_first_removal_does_not_end_the_tombstone(deleted: Photo) -> None:
    deleting.removals_record(gallery_id=deleted.gallery_id, photo_ids=[str(deleted.id)])
    assert Tombstone.objects.exists()


def test_a_last_removal_that_nobody_recorded_is_sent_again(deleted: Photo, queue: WatchedQueue, settings: Any) -> None:
    age(settings)
    sweeping.stale_photos_requeue()
    Tombstone.objects.update(removal_sent_at=timezone.now() - timedelta(hours=1))
    queue.have_waiting(1)
    sweeping.stale_photos_requeue()
    assert len(queue.removed) == 1, "it may still be waiting in the queue"
    queue.have_waiting(0)
    sweeping.stale_photos_requeue()
    assert len(queue.removed) == 2


def test_a_late_outcome_is_removed_at_once_and_renews_the_tombstone(
    deleted: Photo, gallery: Gallery, queue: WatchedQueue, settings: Any
) -> None:
    age(settings)
    sweeping.stale_photos_requeue()
    record(gallery, indexed(deleted, face_info()))
    assert queue.removed_ids == [str(deleted.id)] * 2
    deleting.removals_record(gallery_id=gallery.id, photo_ids=[str(deleted.id)])
    tombstone = Tombstone.objects.get()
    assert tombstone.removal_sent_at is None
    assert not Photo.objects.exists()


def test_one_sweep_takes_a_bounded_number(
    gallery: Gallery, queue: WatchedQueue, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webapp.indexing.sweeping.SWEEP_SIZE", 2)
    photos = [add_photo(gallery, bytes([number])) for number in range(3)]
    deleting.photos_delete(gallery=gallery, photo_ids=[photo.id for photo in photos])
    deleting.removals_record(gallery_id=gallery.id, photo_ids=[photo.id for photo in photos])
    queue.forget()
    age(settings)
    sweeping.stale_photos_requeue()
    assert [len(ids) for _, ids in queue.removed] == [2]
    sweeping.stale_photos_requeue()
    assert sorted(queue.removed_ids) == sorted(str(photo.id) for photo in photos)


def test_the_tombstone_of_a_gallery_that_is_gone_still_works(
    gallery: Gallery, queue: WatchedQueue, settings: Any
) -> None:
    photo = add_photo(gallery)
    deleting.gallery_delete(gallery=gallery)
    deleting.removals_record(gallery_id=gallery.id, photo_ids=[photo.id])
    assert not Gallery.objects.exists()
    age(settings)
    queue.forget()
    sweeping.stale_photos_requeue()
    assert queue.removed == [(str(gallery.id), [str(photo.id)])]


def test_a_cancelled_photo_that_is_retried_loses_its_tombstone(gallery: Gallery) -> None:
    photo = add_photo(gallery)
    assert photo.job is not None
    jobs.job_cancel(job=photo.job)
    record(gallery, indexed(photo, face_info()))
    assert Tombstone.objects.exists()
    retrying.job_retry(job=photo.job)
    assert not Tombstone.objects.exists()


def test_cancelling_leaves_tombstones_for_what_was_sent(gallery: Gallery, queue: WatchedQueue, settings: Any) -> None:
    settings.INDEX_QUEUE_BOUND = settings.INDEX_CHUNK_SIZE = 1
    files = [upload(bytes([number])) for number in range(2)]
    job = adding.photos_add(gallery=gallery, files=files).job
    jobs.job_cancel(job=job)
    [photo_id] = queue.indexed_ids
    assert str(Tombstone.objects.get().photo_id) == photo_id
    age(settings)
    sweeping.stale_photos_requeue()
    assert queue.removed_ids == [photo_id]
    deleting.removals_record(gallery_id=gallery.id, photo_ids=[photo_id])
    assert not Tombstone.objects.exists()
    assert Photo.objects.filter(state="cancelled").count() == 2


# -- files --------------------------------------------------------------------------------------------------


def last_removal(deleted: Photo, settings: Any) -> None:
    age(settings)
    sweeping.stale_photos_requeue()
    deleting.removals_record(gallery_id=deleted.gallery_id, photo_ids=[str(deleted.id)])


def test_what_a_late_worker_writes_goes_with_the_last_removal(deleted: Photo, settings: Any) -> None:
    photo_files.rendition_save(deleted.id, "preview", "d1", b"late")
    assert len(stored_keys()) == 1
    last_removal(deleted, settings)
    assert stored_keys() == set()


def test_a_late_outcomes_renditions_go_at_once(deleted: Photo, gallery: Gallery) -> None:
    late = rendered(indexed(deleted, face_info()))
    assert len(stored_keys()) == 3
    record(gallery, late)
    assert stored_keys() == set()


def test_a_moved_photo_keeps_its_files_when_the_gallery_it_left_forgets_it(gallery: Gallery, settings: Any) -> None:
    photo = add_indexed_photo(gallery)
    files = stored_keys()
    Photo.objects.update(gallery=gallery_create(owner=gallery.owner, name="Family"))
    Tombstone.objects.create(photo_id=photo.id, gallery_id=gallery.id, deleted_at=timezone.now())
    last_removal(photo, settings)
    assert not Tombstone.objects.exists()
    assert stored_keys() == files


def test_files_that_cannot_be_deleted_keep_back_their_own_photo_only(
    gallery: Gallery, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck, other = add_indexed_photo(gallery, content=b"1"), add_indexed_photo(gallery, content=b"2")
    real = photo_files.photo_files_delete

    def delete(photo_id: Any) -> None:
        if photo_id == stuck.id:
            raise OSError(5, "Input/output error")
        real(photo_id)

    deleting.photos_delete(gallery=gallery, photo_ids=[stuck.id, other.id])
    with monkeypatch.context() as patched:
        patched.setattr(deleting, "photo_files_delete", delete)
        deleting.removals_record(gallery_id=gallery.id, photo_ids=[str(stuck.id), str(other.id)])
    assert list(Photo.objects.values_list("id", "state")) == [(stuck.id, Photo.State.DELETING)]
    deleting.removals_record(gallery_id=gallery.id, photo_ids=[str(stuck.id)])
    assert not Photo.objects.exists()
    assert stored_keys() == set()
