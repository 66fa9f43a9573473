"""The files of photos, in a storage with folders and in one that has only keys."""

import errno
import os
import uuid
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile, File
from django.core.files.storage import Storage, default_storage

from tasks.storage.photo_files import (
    digest_of,
    original_key,
    photo_files_delete,
    rendition_key,
    rendition_save,
    renditions_stored,
)
from tests.stored_files import stored_keys

PHOTO = str(uuid.uuid4())


class KeysOnly(Storage):
    """A storage as S3 is: no folders, so there is none that is missing, and deleting what is not there is no error."""

    files: dict[str, bytes]

    def __init__(self) -> None:
        self.files = {}

    def _open(self, name: str, mode: str = "rb") -> Any:
        return ContentFile(self.files[name], name=name)

    def _save(self, name: str, content: "File[bytes]") -> str:
        self.files[name] = content.read()
        return name

    def exists(self, name: str) -> bool:
        return name in self.files

    def delete(self, name: str) -> None:
        self.files.pop(name, None)

    def listdir(self, path: str) -> tuple[list[str], list[str]]:
        inside = [key.removeprefix(f"{path}/" if path else "") for key in self.files if key.startswith(path)]
        folders = {name.partition("/")[0] for name in inside if "/" in name}
        return sorted(folders), [name for name in inside if "/" not in name]


@pytest.fixture(autouse=True, params=["folders", "keys"])
def storage(request: pytest.FixtureRequest, settings: Any, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path
    backends = {"folders": "django.core.files.storage.FileSystemStorage", "keys": f"{__name__}.KeysOnly"}
    settings.STORAGES = settings.STORAGES | {"default": {"BACKEND": backends[request.param]}}


def test_a_photos_files_lie_together_and_are_deleted_together() -> None:
    other = str(uuid.uuid4())
    for photo_id in (PHOTO, other):
        default_storage.save(original_key(photo_id), ContentFile(b"file"))
        rendition_save(photo_id, "thumbnail", "d1", b"small")
        rendition_save(photo_id, "face", "d2", b"face")
    assert renditions_stored(PHOTO) == {rendition_key(PHOTO, "thumbnail", "d1"), rendition_key(PHOTO, "face", "d2")}
    photo_files_delete(PHOTO)
    photo_files_delete(PHOTO)
    assert len(stored_keys()) == 3
    assert all(f"/{other}/" in key for key in stored_keys())
    assert renditions_stored(PHOTO) == set()


def test_a_rendition_is_written_once_and_again_if_a_part_of_it_was() -> None:
    content = b"the whole picture"
    digest, key = digest_of(content), rendition_key(PHOTO, "preview", digest_of(content))
    default_storage.save(key, ContentFile(content[:5]))
    for _ in range(2):
        rendition_save(PHOTO, "preview", digest, content)
        assert stored_keys() == {key}
        with default_storage.open(key) as file:
            assert file.read() == content


def test_digests_tell_contents_apart() -> None:
    assert digest_of(b"a") != digest_of(b"b")
    assert digest_of(b"a", b"b") != digest_of(b"ab"), "where one content ends and the next begins counts"
    assert len(digest_of(b"a")) == 16


@pytest.mark.parametrize("storage", ["folders"], indirect=True)
def test_a_file_that_a_worker_writes_while_the_folder_is_deleted_goes_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    rendition_save(PHOTO, "thumbnail", "d1", b"small")
    real, late = os.rmdir, ["d2", "d3"]

    def rmdir(path: str) -> None:
        if late:
            rendition_save(PHOTO, "preview", late.pop(), b"late")
        real(path)

    monkeypatch.setattr(os, "rmdir", rmdir)
    photo_files_delete(PHOTO)
    assert not late
    assert stored_keys() == set()


@pytest.mark.parametrize("storage", ["folders"], indirect=True)
def test_a_folder_that_cannot_be_deleted_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    rendition_save(PHOTO, "thumbnail", "d1", b"small")

    def rmdir(path: str) -> None:
        raise OSError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "rmdir", rmdir)
    with pytest.raises(PermissionError):
        photo_files_delete(PHOTO)
