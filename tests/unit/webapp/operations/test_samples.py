"""The photos that the demo and the tests use: from one pinned archive, and nothing else of it."""

import errno
import hashlib
import io
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
from django.conf import settings

from tests.carriers import photos_of_people, samples_archive
from webapp.operations import samples
from worker.errors import PackDamaged, PackError


def archive_of(path: Path, members: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a source archive with these members, and take it for the published one."""
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr(samples, "ARCHIVE", replace(samples.ARCHIVE, sha256=digest))
    return path


def test_the_list_of_samples_pins_the_same_archive() -> None:
    lines = (settings.BASE_DIR / "requirements" / "samples.txt").read_text().splitlines()

    assert [line for line in lines if not line.startswith("#")] == [samples.REQUIREMENT]


def test_the_photos_are_taken_from_an_archive_that_is_there(tmp_path: Path) -> None:
    (tmp_path / samples.ARCHIVE.name).symlink_to(samples_archive())
    assert not samples.are_fetched(tmp_path)

    samples.fetch_people(tmp_path)

    assert samples.are_fetched(tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == {*photos_of_people(), samples.ARCHIVE.name}
    photos = samples.gallery_photos(tmp_path)
    assert samples.QUERY not in [photo.name for photo in photos]
    assert all(photo.read_bytes()[:2] in (b"\xff\xd8", b"\x89P") for photo in photos)
    assert {*samples.OTHERS_OF_SUBJECT, "biden.jpg"} <= {photo.name for photo in photos}


def test_a_fetch_that_ends_early_leaves_no_part_of_a_photo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / samples.ARCHIVE.name).symlink_to(samples_archive())
    written: list[Path] = []

    def full_at_the_second(path: Path, content: bytes) -> int:
        written.append(path)
        with path.open("wb") as file:
            file.write(content[: len(content) // len(written)])
        if len(written) == 2:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return len(content)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full_at_the_second)
        with pytest.raises(PackError, match=r"cannot be written: No space left on device\.$"):
            samples.fetch_people(tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == [samples.ARCHIVE.name, samples.QUERY]

    samples.fetch_people(tmp_path)

    assert {name: (tmp_path / name).read_bytes() for name in photos_of_people()} == photos_of_people()


def test_another_archive_is_refused_with_both_sums(tmp_path: Path) -> None:
    (tmp_path / samples.ARCHIVE.name).write_bytes(samples_archive().read_bytes()[:-1])

    with pytest.raises(PackDamaged, match=rf"its SHA-256 is [0-9a-f]{{64}}, expected is {samples.ARCHIVE.sha256}"):
        samples.fetch_people(tmp_path)

    assert [file.name for file in tmp_path.iterdir()] == [samples.ARCHIVE.name]


@pytest.mark.parametrize("member", ["../obama.jpg", "face_recognition-1.3.0/tests/test_images/other.jpg"])
def test_an_archive_without_the_photos_writes_nothing(
    tmp_path: Path, member: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = archive_of(tmp_path / "archive.tar.gz", {member: b"photo"}, monkeypatch)
    folder = tmp_path / "samples"
    folder.mkdir()
    (folder / samples.ARCHIVE.name).symlink_to(archive)

    with pytest.raises(PackDamaged, match="cannot be read"):
        samples.fetch_people(folder)

    assert [file.name for file in folder.iterdir()] == [samples.ARCHIVE.name]
    assert not (tmp_path / "obama.jpg").exists()


def test_without_a_network_pip_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CACHE_DIR", str(tmp_path / "cache"))

    with pytest.raises(PackError, match=r"could not download face_recognition 1\.3\.0"):
        samples.fetch_people(tmp_path / "samples")
