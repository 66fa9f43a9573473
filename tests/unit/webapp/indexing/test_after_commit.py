"""Nothing is sent before the rows that it is about are committed: a worker is faster than a transaction."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from tasks.messages.base import Message
from tasks.web.memory import MemoryWorkQueue
from tasks.work_queue import use_work_queue
from tests.unit.webapp.conftest import add_indexed_photo, add_photo, face_info, failed, indexed, record
from webapp.gallery.models import Gallery, Photo
from webapp.indexing import deleting, retrying

pytestmark = pytest.mark.django_db(transaction=True)


def send_late_outcome(gallery: Gallery) -> None:
    photo = add_photo(gallery)
    outcome = indexed(photo, face_info())
    Photo.objects.filter(id=photo.id).delete()
    record(gallery, outcome)


def retry_failed(gallery: Gallery) -> None:
    photo = add_photo(gallery)
    record(gallery, failed(photo, "gave_up"))
    retrying.failed_photos_retry(gallery=gallery)


def record_unwanted_removal(gallery: Gallery) -> None:
    deleting.removals_record(gallery_id=gallery.id, photo_ids=[add_indexed_photo(gallery).id])


@pytest.mark.parametrize(
    ("act", "sends"),
    [
        pytest.param(add_photo, 1, id="an upload"),
        pytest.param(
            lambda gallery: deleting.photos_delete(gallery=gallery, photo_ids=[add_photo(gallery).id]),
            2,
            id="a deletion",
        ),
        pytest.param(
            lambda gallery: (add_photo(gallery), deleting.gallery_delete(gallery=gallery)), 2, id="a gallery goes"
        ),
        pytest.param(retry_failed, 2, id="a retry"),
        pytest.param(send_late_outcome, 2, id="faces of a photo that is gone"),
        pytest.param(record_unwanted_removal, 2, id="a removal of a photo that is wanted"),
    ],
)
def test_what_is_sent_is_committed(gallery: Gallery, act: Callable[[Gallery], object], sends: int) -> None:
    inside: list[bool] = []

    class NotingQueue(MemoryWorkQueue):
        def send(self, message: Message, **options: Any) -> None:
            inside.append(connection.in_atomic_block)
            super().send(message, **options)

    with use_work_queue(NotingQueue(are_workers_idle=True)):
        act(gallery)
    assert inside == [False] * sends
