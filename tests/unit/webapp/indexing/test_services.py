"""Outcomes, removals, sweeping: guarded by the state they expect, harmless when they run twice."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.core.files.storage import default_storage
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tasks import clock
from tasks.errors import QueueUnavailable
from tasks.messages.indexing import IndexRequest, RemoveRequest
from tests.unit.webapp.conftest import (
    WatchedQueue,
    add_indexed_photo,
    add_photo,
    face_info,
    failed,
    indexed,
    record,
    upload,
)
from webapp.gallery import services
from webapp.gallery.models import Face, Gallery, Photo, Tombstone
from webapp.http.problems import Problem
from webapp.indexing import adding, deleting, retrying, sweeping
from webapp.jobs.models import Job

State = Photo.State


def age(photo: Photo, *, attempts: int = 1) -> None:
    """Make the photo one that was sent long ago."""
    long_ago = timezone.now() - timedelta(hours=1)
    Photo.objects.filter(id=photo.id).update(enqueued_at=long_ago, attempts=attempts)


def state_of(photo: Photo) -> str:
    return Photo.objects.get(id=photo.id).state


# -- galleries ----------------------------------------------------------------------------------------------


def test_a_name_is_taken_once_per_owner(gallery: Gallery, user: User, stranger: User) -> None:
    with pytest.raises(Problem, match="already have a gallery"):
        services.gallery_create(owner=user, name="  Fri\u200bends ")
    assert services.gallery_create(owner=stranger, name="Friends").owner == stranger


@pytest.mark.parametrize("name", ["", "  ", "x" * 101, "\u202e", "\x00"])
def test_a_gallery_needs_a_name(user: User, name: str) -> None:
    with pytest.raises(Problem, match="1 to 100 characters"):
        services.gallery_create(owner=user, name=name)


def test_an_empty_gallery_goes_at_once(gallery: Gallery) -> None:
    deleting.gallery_delete(gallery=gallery)
    assert not Gallery.objects.exists()


def test_a_gallery_goes_with_its_last_photo(gallery: Gallery, queue: WatchedQueue) -> None:
    photos = [add_indexed_photo(gallery, content=b"1"), add_photo(gallery, b"2")]
    deleting.gallery_delete(gallery=gallery)
    assert sorted(queue.removed_ids) == sorted(str(photo.id) for photo in photos)
    deleting.removals_record(gallery_id=gallery.id, photo_ids=[str(photos[0].id)])
    assert Gallery.objects.exists()
    deleting.removals_record(gallery_id=gallery.id, photo_ids=[str(photos[1].id)])
    assert not Gallery.objects.exists()


# -- outcomes -----------------------------------------------------------------------------------------------


def test_an_outcome_is_written_with_its_faces(gallery: Gallery) -> None:
    photo, face = add_photo(gallery), face_info()
    record(gallery, indexed(photo, face))
    photo.refresh_from_db()
    assert (photo.state, photo.width, photo.height, photo.image_format) == ("indexed", 640, 480, "JPEG")
    row = photo.faces.get()
    assert (str(row.id), row.left, row.bottom, row.landmarks[0]) == (face.face_id, 10.5, 60, [1, 2])


def test_an_outcome_may_come_twice(gallery: Gallery) -> None:
    photo = add_photo(gallery)
    outcome = indexed(photo, face_info(), face_info(left=100))
    record(gallery, outcome)
    record(gallery, outcome)
    assert photo.faces.count() == 2


def test_a_later_outcome_replaces_the_faces_and_keeps_ids(gallery: Gallery) -> None:
    photo, kept, gone, new = add_photo(gallery), face_info(), face_info(left=100), face_info(left=200)
    record(gallery, indexed(photo, kept, gone))
    record(gallery, indexed(photo, face_info(kept.face_id, left=11), new))
    assert {str(face.id): face.left for face in photo.faces.all()} == {kept.face_id: 11, new.face_id: 200}


def test_a_failure_has_its_code_and_sentence(gallery: Gallery) -> None:
    bad, good = add_photo(gallery, b"1"), add_photo(gallery, b"2")
    record(gallery, failed(bad), indexed(good, face_info()))
    bad.refresh_from_db()
    assert (bad.state, bad.code, bad.message) == ("failed", "not_an_image", "This file is not a picture.")
    assert state_of(good) == State.INDEXED


def test_a_late_failure_does_not_undo_a_success(gallery: Gallery) -> None:
    photo = add_indexed_photo(gallery)
    record(gallery, failed(photo))
    assert state_of(photo) == State.INDEXED
    assert photo.faces.count() == 1


def test_an_outcome_does_not_bring_a_deleted_photo_back(gallery: Gallery, queue: WatchedQueue) -> None:
    photo = add_photo(gallery)
    deleting.photos_delete(gallery=gallery, photo_ids=[photo.id])
    record(gallery, indexed(photo, face_info()))
    assert state_of(photo) == State.DELETING
    assert Face.objects.count() == 0
    assert queue.removed_ids == [str(photo.id)] * 2, "faces indexed after the removal are removed again"


def test_faces_of_a_photo_that_is_gone_are_removed_again(gallery: Gallery, queue: WatchedQueue) -> None:
    photo = add_photo(gallery)
    deleting.photos_delete(gallery=gallery, photo_ids=[photo.id])
    deleting.removals_record(gallery_id=gallery.id, photo_ids=[photo.id])
    record(gallery, indexed(photo, face_info()))
    assert queue.removed[-1] == (str(gallery.id), [str(photo.id)])


# -- removals -----------------------------------------------------------------------------------------------


def test_a_photo_goes_only_when_its_faces_are_gone(gallery: Gallery, queue: WatchedQueue) -> None:
    photo = add_indexed_photo(gallery)
    deleting.photos_delete(gallery=gallery, photo_ids=[photo.id])
    assert queue.removed == [(str(gallery.id), [str(photo.id)])]
    assert default_storage.exists(photo.file.name)
    deleting.removals_record(gallery_id=gallery.id, photo_ids=[str(photo.id)])
    assert not Photo.objects.exists()
    assert not Face.objects.exists()
    assert not default_storage.exists(photo.file.name)
    deleting.removals_record(gallery_id=gallery.id, photo_ids=[str(photo.id)])


def test_a_removal_nobody_asked_for_deletes_nothing_and_has_the_photo_indexed_again(
    gallery: Gallery, queue: WatchedQueue
) -> None:
    photo = add_indexed_photo(gallery)
    deleting.removals_record(gallery_id=gallery.id, photo_ids=[str(photo.id)])
    assert state_of(photo) == State.PENDING
    assert default_storage.exists(photo.file.name)
    assert queue.indexed_ids == [str(photo.id)] * 2


def test_photos_of_another_gallery_are_not_deleted(
    gallery: Gallery, their_gallery: Gallery, queue: WatchedQueue
) -> None:
    photo = add_photo(their_gallery)
    deleting.photos_delete(gallery=gallery, photo_ids=[photo.id])
    assert state_of(photo) == State.PENDING
    assert queue.removed == []


def test_a_large_gallery_does_not_hold_up_the_removals_of_others(
    gallery: Gallery, their_gallery: Gallery, queue: WatchedQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deleting, "REMOVALS_AT_ONCE", 2)
    for number in range(5):
        add_photo(gallery, bytes([number]))
    theirs = add_photo(their_gallery)
    deleting.gallery_delete(gallery=gallery)
    deleting.photos_delete(gallery=their_gallery, photo_ids=[theirs.id])
    assert [len(photo_ids) for _, photo_ids in queue.removed] == [2, 1]
    assert queue.removed_ids[2] == str(theirs.id)
    removed = 0
    while removed < len(queue.removed):
        gallery_id, photo_ids = queue.removed[removed]
        deleting.removals_record(gallery_id=UUID(gallery_id), photo_ids=photo_ids)
        removed += 1
    assert [len(photo_ids) for _, photo_ids in queue.removed] == [2, 1, 2, 1]
    assert not Photo.objects.exists()


def test_deleting_many_photos_takes_no_query_for_each_of_them(gallery: Gallery, their_gallery: Gallery) -> None:
    def queries(gallery: Gallery, count: int) -> int:
        photos = [add_photo(gallery, bytes([number])) for number in range(count)]
        with CaptureQueriesContext(connection) as captured:
            deleting.photos_delete(gallery=gallery, photo_ids=[photo.id for photo in photos])
        return len(captured)

    assert queries(gallery, 12) == queries(their_gallery, 2)


def test_what_is_deleted_is_withdrawn_from_the_workers(gallery: Gallery, queue: WatchedQueue) -> None:
    sent, other = add_photo(gallery, b"1"), add_indexed_photo(gallery, content=b"2")
    deleting.photos_delete(gallery=gallery, photo_ids=[sent.id, other.id])
    assert queue.withdrawn == {str(sent.id)}, "no worker is about to index the other one"
    deleting.gallery_delete(gallery=gallery)
    assert queue.withdrawn == {str(sent.id), str(gallery.id)}


def test_removals_travel_ahead_of_photos_and_last_removals_behind_them(
    gallery: Gallery, queue: WatchedQueue, settings: Any
) -> None:
    gone = add_photo(gallery, b"1")
    deleting.photos_delete(gallery=gallery, photo_ids=[gone.id])
    deleting.removals_record(gallery_id=gallery.id, photo_ids=[gone.id])
    Tombstone.objects.update(deleted_at=timezone.now() - timedelta(days=1))
    queue.are_workers_idle = False
    sweeping.stale_photos_requeue()
    settings.INDEX_CHUNK_SIZE = 1
    photos = adding.photos_add(gallery=gallery, files=[upload(b"2"), upload(b"3")]).added
    deleting.photos_delete(gallery=gallery, photo_ids=[photos[1].id])
    taken = [queue.take("index.dlib") for _ in range(4)]
    kinds = [(type(each), each.photo_ids if isinstance(each, RemoveRequest) else ()) for each in taken if each]
    assert kinds == [
        (RemoveRequest, (str(photos[1].id),)),
        (IndexRequest, ()),
        (RemoveRequest, (str(gone.id),)),
        (IndexRequest, ()),
    ]


def test_the_last_removals_of_one_sweep_are_few(
    gallery: Gallery, their_gallery: Gallery, queue: WatchedQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "SWEEP_GALLERIES", 1)
    for each in (gallery, their_gallery):
        photo = add_photo(each)
        deleting.photos_delete(gallery=each, photo_ids=[photo.id])
        deleting.removals_record(gallery_id=each.id, photo_ids=[photo.id])
    Tombstone.objects.update(deleted_at=timezone.now() - timedelta(days=1))
    queue.forget()
    sweeping.stale_photos_requeue()
    assert len(queue.removed) == 1
    sweeping.stale_photos_requeue()
    assert len(queue.removed) == 2


def test_deleting_while_the_queue_is_down_is_finished_later(gallery: Gallery, queue: WatchedQueue) -> None:
    photo = add_photo(gallery)
    queue.is_down = True
    assert deleting.photos_delete(gallery=gallery, photo_ids=[photo.id]).warning
    queue.is_down = False
    age(photo)
    sweeping.stale_photos_requeue()
    assert queue.removed_ids == [str(photo.id)]


# -- the sweep ----------------------------------------------------------------------------------------------


def test_a_stale_photo_is_sent_again_once_per_lease(gallery: Gallery, queue: WatchedQueue) -> None:
    photo = add_photo(gallery)
    age(photo)
    sweeping.stale_photos_requeue()
    sweeping.stale_photos_requeue()
    photo.refresh_from_db()
    assert queue.indexed_ids == [str(photo.id)] * 2, "once when it was added, once by the sweeps"
    assert photo.attempts == 2


def test_what_may_still_wait_is_not_stale(gallery: Gallery, queue: WatchedQueue) -> None:
    photo = add_photo(gallery)
    age(photo)
    queue.have_waiting(1)
    sweeping.stale_photos_requeue()
    assert len(queue.indexed) == 1


def test_a_photo_is_stale_once_it_has_left_a_queue_that_never_gets_empty(gallery: Gallery, queue: WatchedQueue) -> None:
    lost, waiting = (add_photo(gallery, bytes([number])) for number in range(2))
    age(lost)
    queue.forget()
    queue.have_waiting(1, sent_at=clock.now())
    sweeping.stale_photos_requeue()
    assert queue.indexed_ids == [str(lost.id)]
    waiting.refresh_from_db()
    assert waiting.attempts == 1


def test_a_photo_sent_a_moment_ago_is_not_stale(gallery: Gallery, queue: WatchedQueue) -> None:
    add_photo(gallery)
    sweeping.stale_photos_requeue()
    assert len(queue.indexed) == 1


def test_a_photo_sent_too_often_has_failed(gallery: Gallery, queue: WatchedQueue, settings: Any) -> None:
    photo = add_photo(gallery)
    age(photo, attempts=settings.INDEX_MAX_ATTEMPTS)
    Photo.objects.note_cause(code="busy", message="Busy.")
    sweeping.stale_photos_requeue()
    photo.refresh_from_db()
    assert (photo.state, photo.code) == ("failed", "gave_up")
    assert "attempts" in photo.message
    assert len(queue.indexed) == 1


def test_photos_that_may_kill_a_worker_travel_alone(gallery: Gallery, queue: WatchedQueue) -> None:
    photos = [add_photo(gallery, bytes([number])) for number in range(4)]
    for photo in photos:
        age(photo)
    Photo.objects.filter(id__in=[photos[0].id, photos[2].id]).note_cause(code="busy", message="Busy.")
    queue.forget()
    sweeping.stale_photos_requeue()
    assert sorted((each.alone, len(each.photos)) for each in queue.messages(IndexRequest)) == [
        (False, 2),
        (True, 1),
        (True, 1),
    ]


@pytest.mark.parametrize("state", [State.INDEXED, State.NO_FACES, State.FAILED])
def test_final_photos_are_left_alone(gallery: Gallery, queue: WatchedQueue, state: str) -> None:
    photo = add_photo(gallery)
    age(photo, attempts=99)
    Photo.objects.update(state=state)
    sweeping.stale_photos_requeue()
    assert state_of(photo) == state
    assert len(queue.indexed) == 1


def test_a_queue_that_is_down_costs_no_attempt(gallery: Gallery, queue: WatchedQueue) -> None:
    photo = add_photo(gallery)
    age(photo)
    queue.is_down = True
    with pytest.raises(QueueUnavailable):
        sweeping.stale_photos_requeue()
    photo.refresh_from_db()
    assert photo.attempts == 1


# -- retry --------------------------------------------------------------------------------------------------


def test_failed_photos_are_sent_again(gallery: Gallery, queue: WatchedQueue) -> None:
    bad, good = add_photo(gallery, b"1"), add_indexed_photo(gallery, content=b"2")
    record(gallery, failed(bad, "gave_up"))
    queue.forget()
    assert retrying.failed_photos_retry(gallery=gallery) == (Job.objects.get(kind="retry"), "")
    bad.refresh_from_db()
    assert (bad.state, bad.code, bad.message, bad.attempts) == ("pending", "", "", 1)
    assert queue.indexed_ids == [str(bad.id)]
    assert state_of(good) == State.INDEXED


def test_a_photo_that_has_killed_workers_is_retried_alone(gallery: Gallery, queue: WatchedQueue) -> None:
    bad, killer = add_photo(gallery, b"1"), add_photo(gallery, b"2")
    record(gallery, failed(bad, "gave_up"))
    record(gallery, failed(killer, code="kills_workers"))
    queue.forget()
    retrying.failed_photos_retry(gallery=gallery)
    sent = {each.photos[0].photo_id: each.alone for each in queue.messages(IndexRequest)}
    assert sent == {str(bad.id): False, str(killer.id): True}


def test_what_is_wrong_with_the_file_itself_is_not_tried_again(gallery: Gallery, queue: WatchedQueue) -> None:
    broken, large, cancelled = (add_photo(gallery, bytes([number])) for number in range(3))
    record(gallery, failed(broken), failed(large, "image_too_large"))
    Photo.objects.filter(id=cancelled.id).update(state=State.CANCELLED)
    queue.forget()
    broken.refresh_from_db()
    with pytest.raises(Problem) as caught:
        retrying.photo_retry(photo=broken)
    assert caught.value.code == "would_fail_again"
    everything = [broken.id, large.id, cancelled.id]
    job, _ = retrying.photos_retry(gallery=gallery, photo_ids=everything)
    assert job is not None
    assert job.total == 2
    assert sorted(queue.indexed_ids) == sorted([str(large.id), str(cancelled.id)])
    assert state_of(broken) == State.FAILED


def test_photos_that_were_too_large_are_tried_again_after_a_limit_was_raised(
    gallery: Gallery, queue: WatchedQueue
) -> None:
    broken, large = add_photo(gallery, b"1"), add_photo(gallery, b"2")
    record(gallery, failed(broken), failed(large, "image_too_large"))
    queue.forget()
    retrying.failed_photos_retry(gallery=gallery)
    assert queue.indexed_ids == [str(large.id)]


# -- the database tasks -------------------------------------------------------------------------------------


def test_the_database_tasks_only_call_services(monkeypatch: pytest.MonkeyPatch, gallery: Gallery) -> None:
    from tasks.messages.base import ErrorInfo
    from tasks.messages.indexing import IndexFailure, Outcomes, Removals
    from webapp.indexing import tasks

    photo = add_photo(gallery)
    calls: list[Any] = []
    written = {
        "outcomes_record": tasks.recording,
        "removals_record": tasks.deleting,
        "index_failure_record": tasks.recording,
        "stale_photos_requeue": tasks.sweeping,
        "index_queue_feed": tasks.feeding,
    }
    for name, room in written.items():
        monkeypatch.setattr(room, name, lambda name=name, **arguments: calls.append((name, arguments)))
    outcome = indexed(photo, face_info())
    outcomes = Outcomes(gallery_id=str(gallery.id), outcomes=(outcome,), collection="c")
    tasks.record_outcomes(message=outcomes.to_json())
    tasks.record_removals(message=Removals(gallery_id=str(gallery.id), photo_ids=(str(photo.id),)).to_json())
    error = ErrorInfo(code="busy", message="Busy.")
    failure = IndexFailure(photo_ids=(str(photo.id),), error=error, collection="c")
    tasks.record_index_failure(message=failure.to_json())
    tasks.requeue_stale_photos()
    tasks.feed_index_queue()
    assert calls == [
        ("outcomes_record", {"gallery_id": gallery.id, "outcomes": (outcome,), "collection": "c"}),
        ("removals_record", {"gallery_id": gallery.id, "photo_ids": (str(photo.id),)}),
        ("index_failure_record", {"photo_ids": (str(photo.id),), "error": error, "collection": "c"}),
        ("stale_photos_requeue", {}),
        ("index_queue_feed", {}),
    ]


def test_the_database_tasks_have_the_names_that_are_sent() -> None:
    from tasks import names
    from webapp.indexing import tasks

    assert tasks.record_outcomes.name == names.RECORD_OUTCOMES
    assert tasks.record_removals.name == names.RECORD_REMOVALS
    assert tasks.record_index_failure.name == names.RECORD_INDEX_FAILURE
    assert tasks.feed_index_queue.name == names.FEED_INDEX_QUEUE
    assert tasks.requeue_stale_photos.name == names.REQUEUE_STALE_PHOTOS
