"""A settled photo shows the outcome of its entry in the active generation, whichever generation that is."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from tasks.errors import QueueUnavailable
from tasks.health.reports import WorkerReport
from tasks.messages.base import ErrorInfo
from tasks.messages.generations import Copied
from tasks.messages.indexing import IndexRequest, PhotoOutcomeInfo
from tests.unit.webapp.conftest import WatchedQueue, add_indexed_photo, add_photo, face_info, failed, indexed
from webapp.gallery.models import Gallery, Photo
from webapp.generations import gates, selectors, services
from webapp.generations.models import Entry, Generation
from webapp.indexing import deleting, filling, recording, retrying
from webapp.jobs.services import job_cancel

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def other(reports: list[WorkerReport], db: None) -> Generation:
    """A generation that is built beside the active one."""
    selectors.active_generation()
    return Generation.objects.create(pack="other", collection="faces_other", fingerprint="f" * 64)


def record(generation: Generation, *outcomes: PhotoOutcomeInfo) -> None:
    gallery_id = Photo.objects.get(id=outcomes[0].photo_id).gallery_id
    recording.outcomes_record(gallery_id=gallery_id, outcomes=outcomes, collection=generation.collection)


def activate(generation: Generation) -> None:
    services.generation_activate(generation=generation, actor="ada", override=gates.GATES)


def roll_back() -> None:
    services.generation_rollback(actor="ada", override=gates.GATES)


def shown(photo: Photo) -> tuple[str, str, str]:
    photo.refresh_from_db()
    return photo.state, photo.code, photo.message


def picture_of(photo: Photo) -> tuple[int | None, int | None, str]:
    photo.refresh_from_db()
    return photo.width, photo.height, photo.image_format


def add_failed_photo(gallery: Gallery, code: str = "not_an_image") -> Photo:
    photo = add_photo(gallery)
    record(selectors.active_generation(), failed(photo, code))
    return photo


# -- activation and rollback ------------------------------------------------------------------------------------


def test_activation_and_rollback_show_the_code_and_message_of_the_active_generation(
    gallery: Gallery, other: Generation
) -> None:
    photo = add_failed_photo(gallery)
    before = shown(photo)
    record(other, failed(photo, "capacity_reached").model_copy(update={"message": "The gallery is full."}))
    assert shown(photo) == before
    activate(other)
    assert shown(photo) == ("failed", "capacity_reached", "The gallery is full.")
    roll_back()
    assert shown(photo) == before == ("failed", "not_an_image", "This file is not a picture.")


def test_the_list_of_failed_photos_is_that_of_the_active_generation(
    gallery: Gallery, other: Generation, admin_client: Client
) -> None:
    photo = add_failed_photo(gallery)
    record(other, failed(photo, "capacity_reached"))
    listed = []
    for step in (lambda: None, lambda: activate(other), roll_back):
        step()
        page = admin_client.get("/admin/gallery/failedphoto/").content.decode()
        listed.append(photo.filename in page)
    assert listed == [False, True, False]


def test_size_and_format_of_a_picture_are_kept_once_any_generation_has_decoded_it(
    gallery: Gallery, other: Generation
) -> None:
    photo = add_failed_photo(gallery)
    assert picture_of(photo) == (None, None, "")
    record(other, indexed(photo, face_info()))
    assert (shown(photo)[0], picture_of(photo)) == ("failed", (640, 480, "JPEG"))
    activate(other)
    assert (shown(photo)[0], picture_of(photo)) == ("indexed", (640, 480, "JPEG"))
    roll_back()
    assert (shown(photo)[0], picture_of(photo)) == ("failed", (640, 480, "JPEG"))


def test_a_later_failure_does_not_erase_the_size_of_a_picture(gallery: Gallery) -> None:
    photo = add_photo(gallery)
    record(selectors.active_generation(), failed(photo, "gave_up").model_copy(update={"width": 640, "height": 480}))
    retrying.failed_photos_retry(gallery=gallery)
    record(selectors.active_generation(), failed(photo, "photo_missing"))
    assert (shown(photo)[1], picture_of(photo)[:2]) == ("photo_missing", (640, 480))


def test_a_copied_generation_shows_the_same_codes_and_messages(gallery: Gallery, other: Generation) -> None:
    photo = add_failed_photo(gallery)
    before = shown(photo)
    Entry.objects.create(generation=other, photo=photo)
    ends = {"first": str(photo.id), "last": str(photo.id)}
    source = selectors.active_generation().collection
    copied = Copied(collection=other.collection, source=source, gallery_id=str(gallery.id), face_count=0, **ends)
    filling.copy_record(copied=copied)
    entry = other.entries.get()
    assert (entry.state, entry.code, entry.message) == before
    activate(other)
    assert shown(photo) == before


def test_a_cancelled_photo_stays_cancelled(gallery: Gallery, other: Generation) -> None:
    photo = add_photo(gallery)
    assert photo.job is not None
    Entry.objects.create(generation=other, photo=photo, state="indexed")
    job_cancel(job=photo.job)
    activate(other)
    assert shown(photo)[:2] == ("cancelled", "cancelled")


def test_a_photo_that_the_new_generation_has_not_indexed_yet_keeps_its_outcome(
    gallery: Gallery, other: Generation
) -> None:
    without, pending = add_indexed_photo(gallery), add_indexed_photo(gallery, content=b"2")
    Entry.objects.create(generation=other, photo=pending)
    activate(other)
    assert shown(without)[0] == shown(pending)[0] == "indexed"
    record(other, failed(pending))
    assert shown(pending)[:2] == ("failed", "not_an_image")


# -- the active generation --------------------------------------------------------------------------------------


def test_a_rebuild_that_fails_is_shown(gallery: Gallery, reports: list[WorkerReport]) -> None:
    photo, active = add_indexed_photo(gallery), selectors.active_generation()
    services.gallery_rebuild(actor="ada", gallery=gallery)
    record(active, failed(photo))
    assert shown(photo)[:2] == ("failed", "not_an_image")


def test_a_rebuild_that_is_given_up_is_shown_with_its_last_cause(gallery: Gallery, settings: Any) -> None:
    photo, active = add_indexed_photo(gallery), selectors.active_generation()
    sent = timezone.now() - timedelta(days=1)
    active.entries.update(state="pending", attempts=settings.INDEX_MAX_ATTEMPTS, enqueued_at=sent)
    error = ErrorInfo(code="busy", message="Busy.")
    recording.index_failure_record(photo_ids=[photo.id], error=error, collection=active.collection)
    filling.generation_feed(active, [])
    state, code, message = shown(photo)
    assert (state, code) == ("failed", "gave_up")
    assert message.endswith("the last one: Busy. (busy)")


def test_a_retried_photo_that_the_generation_has_indexed_is_indexed_whatever_a_late_run_says(
    gallery: Gallery, other: Generation
) -> None:
    photo = add_failed_photo(gallery, "gave_up")
    record(other, indexed(photo, face_info()))
    retrying.failed_photos_retry(gallery=gallery)
    activate(other)
    record(other, failed(photo))
    assert shown(photo) == ("indexed", "", "")


def test_a_wanted_photo_whose_faces_were_removed_is_indexed_again_in_every_generation(
    gallery: Gallery, other: Generation, queue: WatchedQueue
) -> None:
    photo, face = add_photo(gallery), face_info()
    for generation in (selectors.active_generation(), other):
        record(generation, indexed(photo, face))
    deleting.removals_record(gallery_id=gallery.id, photo_ids=[photo.id])
    record(selectors.active_generation(), indexed(photo, face))
    assert queue.indexed_ids == [str(photo.id)] * 2
    assert [each.pk for each in selectors.missing_photos(other)] == [photo.pk]


# -- poison photos ----------------------------------------------------------------------------------------------


def test_a_photo_that_may_kill_a_reindex_worker_travels_alone(
    gallery: Gallery, other: Generation, queue: WatchedQueue
) -> None:
    photos = [add_indexed_photo(gallery, content=b"%d" % number) for number in range(3)]
    for photo in photos:
        Entry.objects.create(generation=other, photo=photo, attempts=1 if photo == photos[1] else 0)
    queue.forget()
    filling.generation_feed(other, [])
    sent = {each.alone: {ref.photo_id for ref in each.photos} for each in queue.messages(IndexRequest)}
    assert sent == {True: {str(photos[1].id)}, False: {str(photos[0].id), str(photos[2].id)}}


def test_only_what_was_not_sent_is_given_back(
    gallery: Gallery, other: Generation, queue: WatchedQueue, settings: Any
) -> None:
    settings.INDEX_CHUNK_SIZE = 1
    for number in range(3):
        add_indexed_photo(gallery, content=b"%d" % number)
    queue.forget()
    queue.sends_until_down = 1
    with pytest.raises(QueueUnavailable):
        filling.generation_feed(other, [])
    assert sorted(other.entries.values_list("attempts", flat=True)) == [0, 0, 1]
    assert other.entries.filter(enqueued_at=None).count() == 2
