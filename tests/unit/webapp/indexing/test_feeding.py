"""The index queue is bounded: what does not fit waits as rows and is sent in order as room appears."""

from typing import Any

import pytest

from tasks.messages.base import ErrorInfo
from tests.unit.webapp.conftest import WatchedQueue, add_photo, failed, record, upload
from tests.unit.webapp.indexing.test_services import age
from webapp.gallery.models import Gallery, Photo
from webapp.generations.selectors import active_generation
from webapp.indexing import adding, feeding, recording, sweeping


@pytest.fixture(autouse=True)
def two_in_a_chunk(settings: Any) -> None:
    settings.INDEX_CHUNK_SIZE = 2
    settings.INDEX_QUEUE_BOUND = 2


def add_photos(gallery: Gallery, count: int) -> list[str]:
    added = adding.photos_add(gallery=gallery, files=[upload(bytes([number])) for number in range(count)])
    return [str(photo.id) for photo in added.added]


def waiting() -> int:
    return Photo.objects.filter(state="pending", enqueued_at=None).count()


def test_an_upload_sends_no_more_than_fits(gallery: Gallery, queue: WatchedQueue) -> None:
    ids = add_photos(gallery, 7)
    assert (queue.indexed_ids, waiting()) == (ids[:4], 3)


def test_a_full_queue_is_sent_nothing_and_that_is_no_warning(gallery: Gallery, queue: WatchedQueue) -> None:
    queue.have_waiting(2)
    added = adding.photos_add(gallery=gallery, files=[upload()])
    assert (added.warning, queue.indexed, waiting()) == ("", [], 1)


def test_what_waits_is_sent_in_order_as_room_appears(gallery: Gallery, queue: WatchedQueue) -> None:
    queue.have_waiting(2)
    ids = add_photos(gallery, 5)
    queue.have_waiting(1)
    feeding.index_queue_feed()
    assert queue.indexed_ids == ids[:2]
    queue.have_waiting(0)
    feeding.index_queue_feed()
    feeding.index_queue_feed()
    assert (queue.indexed_ids, waiting()) == (ids, 0)
    assert set(Photo.objects.values_list("attempts", flat=True)) == {1}


def test_photos_of_many_galleries_are_as_many_messages_as_fit(
    gallery: Gallery, their_gallery: Gallery, queue: WatchedQueue
) -> None:
    queue.have_waiting(2)
    for number in range(3):
        add_photo(gallery, bytes([number]))
        add_photo(their_gallery, bytes([number]))
    queue.have_waiting(1)
    feeding.index_queue_feed()
    assert [len(photos) for _, photos in queue.indexed] == [1]
    queue.have_waiting(0)
    feeding.index_queue_feed()
    assert [len(photos) for _, photos in queue.indexed] == [1, 2, 2]
    assert waiting() == 1


def test_photos_that_wait_for_room_are_not_stale_and_cost_no_attempt(gallery: Gallery, queue: WatchedQueue) -> None:
    queue.have_waiting(2)
    add_photos(gallery, 1)
    sweeping.stale_photos_requeue()
    assert Photo.objects.get().attempts == 0


def test_the_sweep_respects_the_bound(gallery: Gallery, queue: WatchedQueue) -> None:
    add_photos(gallery, 8)
    for photo in Photo.objects.all():
        age(photo)
    Photo.objects.note_cause(code="busy", message="Busy.")
    queue.forget()
    sweeping.stale_photos_requeue()
    assert (len(queue.indexed), waiting()) == (2, 4)


def test_a_queue_that_dies_while_it_is_fed_costs_no_attempt(gallery: Gallery, queue: WatchedQueue) -> None:
    queue.have_waiting(2)
    ids = add_photos(gallery, 4)
    queue.have_waiting(0)
    queue.sends_until_down = 1
    assert feeding.index_queue_feed()
    assert queue.indexed_ids == ids[:2]
    assert waiting() == 2
    assert sorted(Photo.objects.values_list("attempts", flat=True)) == [0, 0, 1, 1]


# -- why a photo was given up ---------------------------------------------------------------------------------


def test_a_photo_that_is_given_up_says_what_the_last_attempt_died_of(
    gallery: Gallery, queue: WatchedQueue, settings: Any
) -> None:
    photo = add_photo(gallery)
    error = ErrorInfo(code="store_unavailable", message="Milvus does not answer.")
    recording.index_failure_record(photo_ids=[photo.id], error=error, collection=active_generation().collection)
    photo.refresh_from_db()
    assert (photo.state, photo.code) == ("pending", "store_unavailable")
    age(photo, attempts=settings.INDEX_MAX_ATTEMPTS)
    sweeping.stale_photos_requeue()
    photo.refresh_from_db()
    assert (photo.state, photo.code) == ("failed", "gave_up")
    assert photo.message.endswith("in 10 attempts; the last one: Milvus does not answer. (store_unavailable)")


def test_a_late_cause_does_not_change_a_final_photo(gallery: Gallery) -> None:
    photo = add_photo(gallery)
    record(gallery, failed(photo))
    error = ErrorInfo(code="busy", message="Busy.")
    recording.index_failure_record(photo_ids=[photo.id], error=error, collection=active_generation().collection)
    photo.refresh_from_db()
    assert photo.code == "not_an_image"
