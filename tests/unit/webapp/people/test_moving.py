"""Moving photos: out of the source at once, into the target under the same ids, with names; and what comes between."""

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import User
from django.core.files.storage import default_storage
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tests.unit.webapp.conftest import (
    WatchedQueue,
    add_indexed_photo,
    add_photo,
    face_info,
    failed,
    indexed,
    record,
)
from webapp.accounts.callers import Caller
from webapp.accounts.models import Quota
from webapp.gallery import selectors, services
from webapp.gallery.models import Face, Gallery, Photo, Tombstone, Usage
from webapp.generations.models import Entry, Generation
from webapp.http.problems import Problem
from webapp.indexing import consistency, deleting, retrying, sweeping
from webapp.indexing.moving import PhotosMoved
from webapp.jobs import services as jobs
from webapp.jobs.models import Job
from webapp.jobs.selectors import progress_of
from webapp.people.models import Person
from webapp.people.moving import photos_move
from webapp.people.services import face_name

State = Photo.State


@pytest.fixture
def target(user: User) -> Gallery:
    return services.gallery_create(owner=user, name="Family")


def move(source: Gallery, target: Gallery, *photos: Photo) -> PhotosMoved:
    return photos_move(source=source, target=target, photo_ids=[photo.id for photo in photos])


def removed(gallery: Gallery, *photos: Photo) -> None:
    """Record what a worker reports once it has removed the photos' vectors from the gallery."""
    deleting.removals_record(gallery_id=gallery.id, photo_ids=[str(photo.id) for photo in photos])


def long_ago() -> Any:
    return timezone.now() - timedelta(days=2)


def settle_long_ago() -> None:
    """Make every message about photos too old to come back."""
    Photo.objects.filter(enqueued_at__isnull=False).update(enqueued_at=long_ago())
    Entry.objects.filter(enqueued_at__isnull=False).update(enqueued_at=long_ago())


def state_of(photo: Photo) -> str:
    return Photo.objects.get(id=photo.id).state


# -- the way --------------------------------------------------------------------------------------------------


def test_a_moved_photo_is_indexed_in_the_target_once_its_vectors_are_gone(
    gallery: Gallery, target: Gallery, queue: WatchedQueue, user: User
) -> None:
    photo = add_indexed_photo(gallery)
    face = photo.faces.get()
    queue.forget()
    moved = move(gallery, target, photo)
    assert ([each.result for each in moved.photos], moved.warning) == (["moving"], "")
    photo.refresh_from_db()
    assert (photo.gallery, photo.state, queue.indexed) == (target, "moving", [])
    assert queue.removed == [(str(gallery.id), [str(photo.id)])]

    removed(gallery, photo)
    assert state_of(photo) == "pending"
    [(gallery_id, [sent])] = queue.indexed
    assert (gallery_id, sent.photo_id) == (str(target.id), str(photo.id))
    assert [known.face_id for known in sent.known_faces] == [str(face.id)], "faces keep their ids"

    record(target, indexed(photo, face_info(str(face.id))))
    photo.refresh_from_db()
    assert (photo.state, photo.moved_from) == ("indexed", None)
    assert photo.faces.get() == face
    assert selectors.photo_for(Caller(user=user), photo.id).gallery == target


def test_a_move_is_a_job_of_the_target_that_ends_with_the_last_outcome(
    gallery: Gallery, target: Gallery, user: User
) -> None:
    photos = [add_indexed_photo(gallery, face_info(left=left), content=bytes([left])) for left in (1, 90)]
    ids = [photo.id for photo in photos]
    job = photos_move(source=gallery, target=target, photo_ids=ids, requested_by_id=user.pk).job
    assert job is not None
    assert (job.kind, job.gallery, job.owner, job.requested_by, job.total) == ("move", target, user, user, 2)
    removed(gallery, photos[0])
    record(target, indexed(photos[0], face_info()))
    assert progress_of(Job.objects.get(id=job.id)).pending == 1
    removed(gallery, photos[1])
    record(target, failed(photos[1], "photo_missing"))
    job.refresh_from_db()
    assert job.state == "finished"
    assert (progress_of(job).indexed, progress_of(job).failed) == (1, 1)
    assert retrying.job_retry(job=job)[0] is not None


def test_a_move_cannot_be_cancelled(gallery: Gallery, target: Gallery) -> None:
    job = move(gallery, target, add_indexed_photo(gallery)).job
    assert job is not None
    with pytest.raises(Problem) as refused:
        jobs.job_cancel(job=job)
    assert refused.value.code == "job_cannot_stop"


def test_an_import_whose_last_photo_is_moved_away_is_over(gallery: Gallery, target: Gallery) -> None:
    photo = add_photo(gallery)
    move(gallery, target, photo)
    assert Job.objects.get(kind="import").state == "finished"


def test_the_removal_goes_to_every_live_generation_and_no_entry_stays(
    gallery: Gallery, target: Gallery, queue: WatchedQueue
) -> None:
    photo = add_indexed_photo(gallery)
    Generation.objects.create(pack="other", collection="other", state=Generation.State.RETIRED)
    move(gallery, target, photo)
    assert queue.removal_targets == [["faces_dlib", "other"]]
    assert not photo.entries.exists(), "it is sent to the other generations once it is settled again"


@pytest.mark.parametrize("state", ["failed", "cancelled", "no_faces"])
def test_a_photo_without_faces_moves_too_and_is_tried_again(gallery: Gallery, target: Gallery, state: str) -> None:
    photo = add_photo(gallery)
    Photo.objects.filter(id=photo.id).update(state=state, code=state, attempts=3)
    move(gallery, target, photo)
    removed(gallery, photo)
    photo.refresh_from_db()
    assert (photo.gallery, photo.state, photo.code, photo.attempts) == (target, "pending", "", 1)


# -- names ----------------------------------------------------------------------------------------------------


def test_names_go_along_to_the_person_of_the_same_name(gallery: Gallery, target: Gallery) -> None:
    photo = add_indexed_photo(gallery, face_info(left=1), face_info(left=90))
    stays = add_indexed_photo(gallery, content=b"stays")
    there = add_indexed_photo(target, content=b"there")
    ada, bob = photo.faces.all()
    face_name(face=ada, name="Ada")
    face_name(face=stays.faces.get(), name="Ada")
    face_name(face=bob, name="Bob")
    known = face_name(face=there.faces.get(), name="Ada")
    move(gallery, target, photo)
    assert Face.objects.get(id=ada.id).person == known
    assert Face.objects.get(id=bob.id).person == Person.objects.get(gallery=target, name="Bob")
    assert list(gallery.people.values_list("name", flat=True)) == ["Ada"], "Bob has no face there any more"


# -- what is refused ------------------------------------------------------------------------------------------


def test_each_photo_has_its_own_result(gallery: Gallery, target: Gallery, their_gallery: Gallery) -> None:
    good, same = add_photo(gallery, b"good"), add_photo(gallery, b"same")
    theirs, going = add_photo(their_gallery, b"theirs"), add_photo(gallery, b"going")
    add_photo(target, b"same")
    deleting.photos_delete(gallery=gallery, photo_ids=[going.id])
    moved = move(gallery, target, theirs, same, good, going, good)
    assert [(each.photo_id, each.code) for each in moved.photos] == [
        (theirs.id, "not_found"),
        (same.id, "already_there"),
        (good.id, ""),
        (going.id, "not_found"),
    ]
    assert moved.job is not None
    assert moved.job.total == 1
    same.refresh_from_db()
    assert same.gallery == gallery


def test_nothing_to_move_is_no_job(gallery: Gallery, target: Gallery, queue: WatchedQueue) -> None:
    add_photo(target)
    assert move(gallery, target, add_photo(gallery)).job is None
    assert not Job.objects.filter(kind="move").exists()


def test_the_same_gallery_is_no_target(gallery: Gallery) -> None:
    with pytest.raises(Problem) as refused:
        move(gallery, gallery, add_photo(gallery))
    assert refused.value.code == "same_gallery"


def test_a_gallery_that_is_being_deleted_is_no_target(gallery: Gallery, target: Gallery) -> None:
    photo = add_photo(gallery)
    Gallery.objects.filter(id=target.id).update(deleting=True)
    with pytest.raises(Problem) as refused:
        move(gallery, target, photo)
    assert refused.value.code == "not_found"
    assert Photo.objects.get().gallery == gallery


def test_a_move_to_another_owner_takes_their_room_and_gives_back_the_room_of_the_old(
    gallery: Gallery, their_gallery: Gallery, user: User, stranger: User
) -> None:
    photos = [add_photo(gallery, bytes([number])) for number in range(3)]
    Quota.objects.create(user=stranger, photos=2)
    moved = move(gallery, their_gallery, *photos)
    assert [each.code for each in moved.photos].count("quota_photos") == 1
    usage = {each.owner_id: (each.photos, each.byte_size) for each in Usage.objects.all()}
    assert usage == {user.pk: (1, 1), stranger.pk: (2, 2)}
    assert {photo.job.owner for photo in their_gallery.photos.all() if photo.job} == {stranger}


def test_what_fits_into_the_room_of_another_owner_takes_it_at_once(
    gallery: Gallery, their_gallery: Gallery, django_assert_max_num_queries: Any
) -> None:
    few = [add_photo(gallery, bytes([number])).id for number in range(3)]
    many = [add_photo(gallery, bytes([number])).id for number in range(3, 23)]
    with CaptureQueriesContext(connection) as queries:
        photos_move(source=gallery, target=their_gallery, photo_ids=few)
    with django_assert_max_num_queries(len(queries)):
        photos_move(source=gallery, target=their_gallery, photo_ids=many)


# -- what comes in between ------------------------------------------------------------------------------------


def test_a_move_whose_removal_is_lost_is_continued(gallery: Gallery, target: Gallery, queue: WatchedQueue) -> None:
    photo = add_indexed_photo(gallery)
    queue.is_down = True
    assert move(gallery, target, photo).warning
    queue.is_down = False
    sweeping.stale_photos_requeue()
    assert queue.removed == [(str(gallery.id), [str(photo.id)])]
    Photo.objects.update(enqueued_at=timezone.now() - timedelta(hours=1))  # no worker answered
    sweeping.stale_photos_requeue()
    assert len(queue.removed) == 2
    removed(gallery, photo)
    removed(gallery, photo)
    assert state_of(photo) == "pending"


def test_a_moving_photo_is_sent_to_no_worker(gallery: Gallery, target: Gallery, queue: WatchedQueue) -> None:
    photo = add_photo(gallery)
    move(gallery, target, photo)
    queue.forget()
    sweeping.stale_photos_requeue()
    assert queue.indexed == []
    assert retrying.failed_photos_retry(gallery=target)[0] is None


def test_the_removal_from_another_gallery_does_not_end_a_move(gallery: Gallery, target: Gallery) -> None:
    photo = add_indexed_photo(gallery)
    move(gallery, target, photo)
    removed(target, photo)
    assert state_of(photo) == "moving"


def test_a_late_outcome_of_the_source_is_ignored_and_its_vectors_are_removed(
    gallery: Gallery, target: Gallery, queue: WatchedQueue
) -> None:
    photo = add_indexed_photo(gallery)
    face_name(face=photo.faces.get(), name="Ada")
    move(gallery, target, photo)
    removed(gallery, photo)
    record(target, indexed(photo, face_info(str(photo.faces.get().id))))
    queue.forget()
    record(gallery, indexed(photo, face_info(str(photo.faces.get().id))))
    assert queue.removed == [(str(gallery.id), [str(photo.id)])]
    assert photo.faces.get().person == Person.objects.get(gallery=target, name="Ada"), "no name is lost"
    removed(gallery, photo)
    # The late message has taken the face out of the target: it is written there once more.
    assert (state_of(photo), queue.indexed_ids) == ("pending", [str(photo.id)])
    assert queue.indexed[0][0] == str(target.id)


def test_a_late_outcome_while_the_removal_is_under_way_changes_nothing(gallery: Gallery, target: Gallery) -> None:
    photo = add_photo(gallery)
    move(gallery, target, photo)
    record(gallery, indexed(photo, face_info()))
    record(target, indexed(photo, face_info()))
    assert state_of(photo) == "moving"


def test_a_tombstone_removes_what_a_dead_worker_may_have_written_and_the_photo_is_indexed_again(
    gallery: Gallery, target: Gallery, queue: WatchedQueue
) -> None:
    photo = add_photo(gallery)  # a worker has it in hand
    move(gallery, target, photo)
    removed(gallery, photo)
    record(target, indexed(photo, face_info()))
    Tombstone.objects.update(deleted_at=long_ago())
    queue.forget()
    sweeping.stale_photos_requeue()
    assert queue.removed == [(str(gallery.id), [str(photo.id)])]
    removed(gallery, photo)
    assert not Tombstone.objects.exists()
    assert (state_of(photo), queue.indexed[0][0]) == ("pending", str(target.id))


def test_a_photo_about_which_no_message_can_come_back_needs_no_tombstone(gallery: Gallery, target: Gallery) -> None:
    photo = add_indexed_photo(gallery)
    settle_long_ago()
    move(gallery, target, photo)
    assert not Tombstone.objects.exists()


def test_a_range_that_may_be_copied_leaves_a_tombstone(gallery: Gallery, target: Gallery) -> None:
    photo = add_indexed_photo(gallery)
    settle_long_ago()
    Generation.objects.create(pack="dlib", collection="next", state=Generation.State.BUILDING)
    move(gallery, target, photo)
    assert Tombstone.objects.get().gallery_id == gallery.id


def test_a_photo_that_moves_on_is_first_removed_where_its_vectors_are(
    gallery: Gallery, target: Gallery, user: User, queue: WatchedQueue
) -> None:
    third = services.gallery_create(owner=user, name="Third")
    photo = add_indexed_photo(gallery)
    move(gallery, target, photo)
    move(target, third, photo)
    assert {gallery_id for gallery_id, _ in queue.removed} == {str(gallery.id)}
    removed(gallery, photo)
    assert queue.indexed[-1][0] == str(third.id)
    move(third, target, photo)  # a worker has it in hand
    removed(third, photo)
    assert set(Tombstone.objects.values_list("gallery_id", flat=True)) == {gallery.id, third.id}


def test_a_photo_may_move_back(gallery: Gallery, target: Gallery, queue: WatchedQueue) -> None:
    photo = add_indexed_photo(gallery)
    move(gallery, target, photo)
    move(target, gallery, photo)
    removed(gallery, photo)
    assert (Photo.objects.get().gallery, state_of(photo), queue.indexed[-1][0]) == (gallery, "pending", str(gallery.id))
    assert not Tombstone.objects.filter(gallery_id=gallery.id).exists(), "it is wanted there"


def test_a_photo_deleted_on_its_way_is_removed_from_both_before_its_row_goes(
    gallery: Gallery, target: Gallery, queue: WatchedQueue
) -> None:
    photo = add_indexed_photo(gallery)
    move(gallery, target, photo)
    queue.forget()
    deleting.photos_delete(gallery=target, photo_ids=[photo.id])
    assert [gallery_id for gallery_id, _ in queue.removed] == [str(gallery.id)]
    removed(gallery, photo)
    assert state_of(photo) == "deleting"
    assert queue.removed[-1][0] == str(target.id)
    removed(target, photo)
    assert not Photo.objects.exists()
    assert not default_storage.exists(str(photo.file.name))


def test_the_deletion_of_the_source_does_not_take_moved_photos_along(gallery: Gallery, target: Gallery) -> None:
    photo = add_indexed_photo(gallery)
    move(gallery, target, photo)
    deleting.gallery_delete(gallery=gallery)
    assert not Gallery.objects.filter(id=gallery.id).exists()
    removed(gallery, photo)
    assert state_of(photo) == "pending"
    assert default_storage.exists(str(photo.file.name))


def test_the_deletion_of_the_target_takes_them_along(gallery: Gallery, target: Gallery, queue: WatchedQueue) -> None:
    photo = add_indexed_photo(gallery)
    move(gallery, target, photo)
    deleting.gallery_delete(gallery=target)
    removed(gallery, photo)
    removed(target, photo)
    assert not Gallery.objects.filter(id=target.id).exists()
    assert not Photo.objects.exists()


def test_many_photos_are_removed_a_few_messages_at_a_time(
    gallery: Gallery, target: Gallery, queue: WatchedQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deleting, "REMOVALS_AT_ONCE", 2)
    photos = [add_indexed_photo(gallery, content=bytes([number])) for number in range(5)]
    move(gallery, target, *photos)
    done = 0
    while done < len(queue.removed):
        gallery_id, photo_ids = queue.removed[done]
        deleting.removals_record(gallery_id=UUID(gallery_id), photo_ids=photo_ids)
        done += 1
    assert [len(photo_ids) for _, photo_ids in queue.removed] == [2, 2, 1]
    assert not Photo.objects.filter(state="moving").exists()


def test_the_content_may_be_added_to_the_source_again_and_not_to_the_target(gallery: Gallery, target: Gallery) -> None:
    photo = add_indexed_photo(gallery)
    move(gallery, target, photo)
    again = add_photo(gallery)
    assert again.id != photo.id
    assert move(gallery, target, again).photos[0].code == "already_there"


def test_a_check_leaves_faces_of_moving_photos_alone_and_finds_those_left_behind(
    gallery: Gallery, target: Gallery
) -> None:
    from tasks.messages.consistency import Checked, OrphanInfo

    photo = add_indexed_photo(gallery)
    settle_long_ago()
    left_behind = OrphanInfo(face_id=str(uuid4()), photo_id=str(photo.id), gallery_id=str(gallery.id))
    generation = Generation.objects.get()
    answer = Checked(collection="faces_dlib", run_id="", known_at=timezone.now().timestamp(), orphaned=(left_behind,))
    move(gallery, target, photo)
    found = consistency._confirmed(generation, answer)
    assert (found.lost, found.stale) == ([], [])
    removed(gallery, photo)
    record(target, indexed(photo, face_info()))
    found = consistency._confirmed(generation, answer)
    assert (found.lost, found.stale) == ([left_behind], [])


# -- at the same time -----------------------------------------------------------------------------------------


def at_once(*actions: Callable[[], object]) -> list[object]:
    """Do all this at the same time, each on a connection of its own; return what came of each: a result or an error."""
    together, results = threading.Barrier(len(actions)), list[object](actions)

    def do(number: int) -> None:
        together.wait()
        try:
            results[number] = actions[number]()
        except Exception as error:
            results[number] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=do, args=(number,)) for number in range(len(actions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


@pytest.mark.django_db(transaction=True)
def test_of_two_moves_of_a_photo_one_finds_it(gallery: Gallery, target: Gallery, their_gallery: Gallery) -> None:
    photo = add_indexed_photo(gallery)
    moves = at_once(lambda: move(gallery, target, photo), lambda: move(gallery, their_gallery, photo))
    assert sorted(each.photos[0].code for each in moves if isinstance(each, PhotosMoved)) == ["", "not_found"]
    assert Usage.objects.get(owner=Photo.objects.get().gallery.owner).photos == 1
    assert sum(Usage.objects.values_list("photos", flat=True)) == 1


@pytest.mark.django_db(transaction=True)
def test_moves_in_both_directions_deletions_and_uploads_do_not_wait_for_each_other_for_ever(
    gallery: Gallery, their_gallery: Gallery, user: User, stranger: User
) -> None:
    ours, theirs = services.gallery_create(owner=user, name="O"), services.gallery_create(owner=stranger, name="T")
    photos = {
        each.id: [add_indexed_photo(each, content=f"{each.id}{number}".encode()) for number in range(4)]
        for each in (gallery, their_gallery, ours, theirs)
    }
    some = [photo.id for photo in photos[gallery.id]]
    results = at_once(
        lambda: move(gallery, their_gallery, *photos[gallery.id]),
        lambda: move(their_gallery, gallery, *photos[their_gallery.id]),
        lambda: move(ours, theirs, *photos[ours.id]),
        lambda: move(theirs, ours, *photos[theirs.id]),
        lambda: deleting.photos_delete(gallery=gallery, photo_ids=some),
        lambda: add_photo(gallery, b"new"),
        lambda: removed(gallery, *photos[gallery.id]),
    )
    assert [each for each in results if isinstance(each, Exception)] == []
    counted = {user.pk: 0, stranger.pk: 0}
    for owner_id in Photo.objects.values_list("gallery__owner_id", flat=True):
        counted[owner_id] += 1
    assert dict(Usage.objects.values_list("owner_id", "photos")) == counted
