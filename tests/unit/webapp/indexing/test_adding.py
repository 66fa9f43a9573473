"""photos_add: streaming, hashing, refusing, and never losing an accepted photo."""

import errno
import hashlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.files import File
from django.core.files.storage import FileSystemStorage, default_storage
from django.db import connection

from tests.stored_files import stored_keys
from tests.unit.webapp.conftest import WatchedQueue, add_photo, face_info, indexed, record, upload
from webapp.gallery.models import Gallery, Photo
from webapp.http.problems import Problem
from webapp.indexing import adding, deleting, retrying
from webapp.indexing.adding import display_folder, display_name


def test_a_photo_is_stored_under_a_name_the_server_made(gallery: Gallery) -> None:
    photo = add_photo(gallery, b"bytes", "../../etc/passwd")
    assert photo.file.name == f"{str(photo.id)[:2]}/{photo.id}/original"
    assert photo.filename == "passwd"
    assert photo.file.read() == b"bytes"
    assert photo.sha256 == hashlib.sha256(b"bytes").hexdigest()
    assert photo.byte_size == 5
    assert photo.state == Photo.State.PENDING


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        pytest.param("a\x1b[31mb.png", "a[31mb.png", id="terminal escape"),
        pytest.param("C:\\photos\\ada.png", "ada.png", id="folders of Windows"),
        pytest.param("\n", "photo", id="nothing printable"),
        pytest.param("caf\udce9.jpg", "café.jpg", id="not UTF-8 on the disk"),
        pytest.param("cafe\u0301.jpg", "café.jpg", id="an accent of its own, as on a Mac"),
        pytest.param("\udc81.jpg", "\ufffd.jpg", id="no letter in any encoding"),
        pytest.param("Re\u202egpj.exe", "Regpj.exe", id="text direction"),
        pytest.param("👩\u200d🚀.jpg", "👩\u200d🚀.jpg", id="joined emoji"),
        pytest.param("x" * 300 + ".jpg", "x" * 251 + ".jpg", id="too long"),
        pytest.param(None, "photo", id="no name"),
    ],
)
def test_a_file_name_is_made_fit_for_showing(name: str | None, shown: str) -> None:
    assert display_name(name) == shown


@pytest.mark.parametrize(
    ("folder", "shown"),
    [
        pytest.param("", "", id="none"),
        pytest.param("2019/Rome", "2019/Rome", id="two"),
        pytest.param("2019\\Rome\\", "2019/Rome", id="of Windows"),
        pytest.param("/../2019/./ Rome ", "2019/Rome", id="steps that lead elsewhere"),
        pytest.param("caf\udce9/e\u0301", "café/é", id="names of any bytes"),
        pytest.param("a\x1b[31m/\u200b/b", "a[31m/folder/b", id="what cannot be seen"),
        pytest.param("x" * 999 + "/y", "x" * 999, id="too long"),
        pytest.param("/" * 20_000, "", id="far too long"),
    ],
)
def test_a_folder_is_made_fit_for_showing(folder: str, shown: str) -> None:
    assert display_folder(folder) == shown
    assert display_folder(shown) == shown


def test_a_photo_remembers_its_folder(gallery: Gallery) -> None:
    files = [adding.IncomingFile(file=upload(b"1"), folder="2019/Rome"), upload(b"2")]
    added = adding.photos_add(gallery=gallery, files=files)
    assert [Photo.objects.get(id=photo.id).folder for photo in added.added] == ["2019/Rome", ""]


def test_photos_are_sent_in_chunks_after_they_are_saved(gallery: Gallery, queue: WatchedQueue, settings: Any) -> None:
    settings.INDEX_CHUNK_SIZE = 2
    added = adding.photos_add(gallery=gallery, files=[upload(bytes([number])) for number in range(5)])
    assert [len(photos) for _, photos in queue.indexed] == [2, 2, 1]
    assert sorted(queue.indexed_ids) == sorted(str(photo.id) for photo in added.added)
    assert {gallery_id for gallery_id, _ in queue.indexed} == {str(gallery.id)}


def test_the_same_content_is_added_once(gallery: Gallery, queue: WatchedQueue) -> None:
    first = add_photo(gallery, name="one.jpg")
    again = adding.photos_add(gallery=gallery, files=[upload(name="two.jpg")])
    assert not again.added
    assert [file.photo for file in again.already_there] == [first]
    assert queue.indexed_ids == [str(first.id)]
    assert stored_keys() == {first.file.name}, "the second copy must be gone"
    folders = [path.name for path in Path(default_storage.path("")).glob("*/*")]
    assert folders == [str(first.id)], "and its folder: an import that is run again would leave one per photo"


def test_two_galleries_may_hold_the_same_photo(gallery: Gallery, their_gallery: Gallery) -> None:
    assert add_photo(gallery).id != add_photo(their_gallery).id


def test_a_photo_may_come_back_while_it_is_deleted(gallery: Gallery) -> None:
    first = add_photo(gallery)
    deleting.photos_delete(gallery=gallery, photo_ids=[first.id])
    assert add_photo(gallery).id != first.id


def test_an_empty_file_is_accepted_and_left_to_the_worker(gallery: Gallery, queue: WatchedQueue) -> None:
    photo = add_photo(gallery, b"")
    assert photo.byte_size == 0
    assert default_storage.exists(photo.file.name or "")
    assert queue.indexed_ids == [str(photo.id)]


def test_a_file_that_is_too_large_is_refused_alone(gallery: Gallery, settings: Any) -> None:
    settings.FACE_CONFIG = settings.FACE_CONFIG | {"MAX_IMAGE_BYTES": 4}
    added = adding.photos_add(gallery=gallery, files=[upload(b"12345", "big.jpg"), upload(b"1234", "ok.jpg")])
    (refused,) = added.refused
    assert (refused.filename, refused.code) == ("big.jpg", "image_too_large")
    assert refused.message.endswith("the limit is 0 MiB.")
    assert [photo.filename for photo in added.added] == ["ok.jpg"]


class GrowingFile(File):  # type: ignore[type-arg]
    """A file that is written to for ever."""

    @property
    def size(self) -> int:
        return 1

    def chunks(self, chunk_size: int | None = None) -> Iterator[bytes]:
        while True:
            yield b"12345678"


class BrokenFile(GrowingFile):
    """A file on a disk that fails in the middle of it."""

    def chunks(self, chunk_size: int | None = None) -> Iterator[bytes]:
        yield b"1234"
        raise OSError(errno.EIO, "Input/output error")


@pytest.mark.parametrize(("kind", "code"), [(GrowingFile, "image_too_large"), (BrokenFile, "file_unreadable")])
def test_a_file_that_cannot_be_read_to_its_end_is_refused_alone(
    gallery: Gallery, settings: Any, kind: type[File], code: str
) -> None:
    settings.FACE_CONFIG = settings.FACE_CONFIG | {"MAX_IMAGE_BYTES": 100}
    added = adding.photos_add(gallery=gallery, files=[kind(None, name="bad.jpg"), upload(b"2", "good.jpg")])
    assert [(file.filename, file.code) for file in added.files] == [("bad.jpg", code), ("good.jpg", "")]
    stored = [name for _, _, names in os.walk(default_storage.path("")) for name in names]
    assert len(stored) == 1, "nothing is left of the file that was refused"


def test_a_disk_that_is_full_refuses_one_file(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    real = FileSystemStorage._save

    def save(storage: FileSystemStorage, name: str, content: Any) -> str:
        if content.name == "bad.jpg":
            raise OSError(28, "No space left on device")
        return real(storage, name, content)

    monkeypatch.setattr(FileSystemStorage, "_save", save)
    added = adding.photos_add(gallery=gallery, files=[upload(b"1", "bad.jpg"), upload(b"2", "good.jpg")])
    assert [file.result for file in added.files] == ["refused", "added"]
    assert added.files[0].code == "storage_full"


def test_a_queue_that_is_down_is_a_warning_and_loses_nothing(gallery: Gallery, queue: WatchedQueue) -> None:
    queue.is_down = True
    added = adding.photos_add(gallery=gallery, files=[upload()])
    assert added.warning
    assert added.added[0].state == Photo.State.PENDING
    assert Photo.objects.count() == 1


def test_known_faces_travel_with_a_photo_that_is_sent_again(gallery: Gallery, queue: WatchedQueue) -> None:
    photo, face = add_photo(gallery), face_info()
    record(gallery, indexed(photo, face))
    Photo.objects.update(state=Photo.State.FAILED, code="gave_up")
    retrying.failed_photos_retry(gallery=gallery)
    known = queue.indexed[-1][1][0].known_faces
    assert [(k.face_id, k.box) for k in known] == [(face.face_id, face.box)]


def test_a_gallery_that_is_being_deleted_takes_no_photo(gallery: Gallery) -> None:
    Gallery.objects.update(deleting=True)
    with pytest.raises(Problem) as caught:
        adding.photos_add(gallery=gallery, files=[upload()])
    assert caught.value.code == "not_found"
    assert stored_keys() == set()


@pytest.mark.django_db(transaction=True)
def test_the_same_file_uploaded_by_many_at_once_is_one_photo(gallery: Gallery) -> None:
    together, results = threading.Barrier(4), []

    def add() -> None:
        together.wait()
        try:
            results.extend(adding.photos_add(gallery=gallery, files=[upload()]).files)
        finally:
            connection.close()

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(file.result for file in results) == ["added", *["already_there"] * 3]
    assert len({file.photo.id for file in results}) == 1
    assert len(stored_keys()) == 1
