"""The index queue is short: what does not fit waits as rows, and every owner gets a turn as room appears."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection

from tasks.messages.base import ErrorInfo
from tasks.messages.indexing import IndexRequest
from tasks.queues import Priority
from tests.unit.webapp.conftest import WatchedQueue, add_photo, failed, indexed, record, upload
from tests.unit.webapp.indexing.test_services import age
from webapp.gallery import services
from webapp.gallery.models import Gallery, Photo
from webapp.generations.selectors import active_generation
from webapp.indexing import adding, feeding, recording, sweeping


@pytest.fixture(autouse=True)
def two_in_a_chunk(settings: Any) -> None:
    settings.INDEX_CHUNK_SIZE = 2
    settings.INDEX_QUEUE_BOUND = 2


def add_photos(gallery: Gallery, count: int, *, first: int = 0) -> list[str]:
    """Add photos as one job; `first` is the number of the first one, so that contents differ."""
    files = [upload(bytes([number])) for number in range(first, first + count)]
    added = adding.photos_add(gallery=gallery, files=files)
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


def test_removals_take_no_room_from_photos(gallery: Gallery, queue: WatchedQueue) -> None:
    queue.have_waiting(20, priority=Priority.FIRST)
    photo_ids = add_photos(gallery, 2)
    feeding.index_queue_feed()
    assert queue.indexed_ids == photo_ids


# -- whose turn it is -----------------------------------------------------------------------------------


def owners(queue: WatchedQueue) -> list[str]:
    """The owner of the photos of each index message, in the order they were sent."""
    galleries = {str(gallery.id): gallery.owner.get_username() for gallery in Gallery.objects.select_related("owner")}
    return [galleries[gallery_id] for gallery_id, _ in queue.indexed]


def overtaking(queue: WatchedQueue) -> list[bool]:
    """Whether each index message overtakes others."""
    return [each.priority == Priority.SOON for each in queue.sent if isinstance(each.message, IndexRequest)]


def test_owners_take_turns_however_many_photos_each_has(
    gallery: Gallery, their_gallery: Gallery, queue: WatchedQueue
) -> None:
    queue.have_waiting(4)
    add_photos(gallery, 20)
    add_photos(their_gallery, 3)
    assert queue.indexed == []
    for _ in range(6):
        queue.have_waiting(1)
        feeding.index_queue_feed()
    assert owners(queue)[:4] == ["ada", "eve", "ada", "eve"]
    assert set(owners(queue)[4:]) == {"ada"}


def test_an_owners_turn_is_remembered_beyond_the_job(
    gallery: Gallery, their_gallery: Gallery, queue: WatchedQueue, settings: Any
) -> None:
    """Somebody who begins a new job again and again gets no more turns than one with a single large job."""
    settings.INDEX_CHUNK_SIZE = 1
    queue.have_waiting(4)
    add_photos(gallery, 9)
    for number in range(6):
        queue.have_waiting(4)
        photo = add_photo(their_gallery, bytes([number]))
        queue.have_waiting(1)
        feeding.index_queue_feed()
        record(their_gallery, indexed(photo))
    assert abs(owners(queue).count("ada") - owners(queue).count("eve")) <= 1


def test_the_jobs_of_an_owner_take_turns(gallery: Gallery, queue: WatchedQueue) -> None:
    queue.have_waiting(4)
    large, small = add_photos(gallery, 20), add_photos(gallery, 4, first=100)
    for _ in range(4):
        queue.have_waiting(1)
        feeding.index_queue_feed()
    assert queue.indexed_ids[:8] == [*large[:2], *small[:2], *large[2:4], *small[2:]]


def test_many_uploads_of_one_photo_share_messages(gallery: Gallery, queue: WatchedQueue) -> None:
    queue.have_waiting(4)
    ids = [str(add_photo(gallery, bytes([number])).id) for number in range(4)]
    queue.have_waiting(0)
    feeding.index_queue_feed()
    assert [[photo.photo_id for photo in photos] for _, photos in queue.indexed] == [ids[:2], ids[2:]]


def test_a_small_upload_does_not_wait_for_a_large_import_even_of_the_same_owner(
    gallery: Gallery, their_gallery: Gallery, queue: WatchedQueue
) -> None:
    queue.are_workers_idle = False
    add_photos(gallery, 20)
    assert len(queue.indexed) == 2, "the queue is full"
    (own,), (theirs,) = add_photos(gallery, 1, first=100), add_photos(their_gallery, 1)
    assert queue.indexed_ids[4:] == [own, theirs]
    assert overtaking(queue) == [True, False, True, True]


def test_an_owner_has_two_jobs_that_overtake_at_most(gallery: Gallery, queue: WatchedQueue) -> None:
    queue.are_workers_idle = False
    for number in range(3):
        add_photos(gallery, 2, first=2 * number)
    assert overtaking(queue) == [True, True]
    assert waiting() == 2


def test_nobody_overtakes_a_message_that_has_waited_long(
    gallery: Gallery, their_gallery: Gallery, queue: WatchedQueue
) -> None:
    queue.are_workers_idle = False
    add_photos(gallery, 20)
    now = queue.clock()
    queue.clock = lambda: now + feeding.OVERTAKEN_SECONDS
    add_photos(their_gallery, 1)
    assert set(owners(queue)) == {"ada"}, "the queue is full"
    queue.take("index.dlib")
    feeding.index_queue_feed()
    assert (owners(queue)[-1], overtaking(queue)[-1]) == ("eve", False)


def test_messages_that_overtake_are_bounded_too(gallery: Gallery, queue: WatchedQueue, settings: Any) -> None:
    queue.are_workers_idle = False
    for number in range(9):
        owner = User.objects.create(username=f"user {number}")
        add_photos(services.gallery_create(owner=owner, name="Friends"), 1)
    assert len(queue.indexed) == 2 * settings.INDEX_QUEUE_BOUND


def test_each_outcome_makes_room_for_the_next_photos(gallery: Gallery, queue: WatchedQueue) -> None:
    queue.are_workers_idle = False
    ids = add_photos(gallery, 6)
    queue.take("index.dlib")
    record(gallery, *(indexed(Photo.objects.get(id=photo_id)) for photo_id in ids[:2]))
    assert (queue.indexed_ids, waiting()) == (ids, 0)


def test_photos_without_a_job_are_fed_too(gallery: Gallery, queue: WatchedQueue) -> None:
    (photo_id,) = add_photos(gallery, 1)
    Photo.objects.update(job=None, enqueued_at=None)
    queue.forget()
    feeding.index_queue_feed()
    assert queue.indexed_ids == [photo_id]


def test_feeding_reads_no_photo_that_waits_but_those_it_sends(
    gallery: Gallery, queue: WatchedQueue, django_assert_max_num_queries: Any
) -> None:
    """However many photos wait: each query finds its rows in an index."""
    if connection.vendor != "sqlite":
        pytest.skip("Other databases explain their plans in other words, and choose them by the number of rows.")
    queue.have_waiting(4)
    add_photos(gallery, 9)
    queue.have_waiting(0)
    with django_assert_max_num_queries(25) as queries:
        feeding.index_queue_feed()
    selects = [query["sql"] for query in queries.captured_queries if "gallery_photo" in query["sql"]]
    assert len(selects) >= 3
    with connection.cursor() as cursor:
        for sql in selects:
            cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
            plan = [row[3] for row in cursor.fetchall()]
            assert not [step for step in plan if step.startswith("SCAN") and "photo" in step], (sql, plan)


# -- what the sweep and a queue that is down do with it ----------------------------------------------------


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
