"""Which files of a folder or an archive count as photos of people."""

import io
import os
import tarfile
from pathlib import Path

import pytest

from benchmarks.accuracy.photos import Letters, Photo, PhotosUnusable, chosen, opened_photos

FILES = {"Ada/1.jpg": b"one", "Ada/2.jpg": b"two", "bob/1.png": b"three", "Émile/1.jpg": b"four"}


def archive(path: Path, files: dict[str, bytes], *, mode: str = "w", links: tuple[tuple[str, bytes], ...] = ()) -> Path:
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        for name, kind in links:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/hostname"
            tar.addfile(member)
    return path


def folder(path: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


def contents(source: Path, *, max_bytes: int = 1000) -> dict[str, bytes]:
    with opened_photos(source, max_bytes=max_bytes) as photos:
        return {f"{photo.person}/{photo.name}": photo.read() for photo in photos}


@pytest.mark.parametrize("prefix", ["", "./", "lfw/"])
@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_the_folder_above_a_file_of_an_archive_names_the_person(tmp_path: Path, prefix: str, mode: str) -> None:
    files = {prefix + name: content for name, content in FILES.items()}
    assert contents(archive(tmp_path / "photos.tar", files, mode=mode)) == FILES


def test_the_folder_above_a_file_names_the_person(tmp_path: Path) -> None:
    assert contents(folder(tmp_path, FILES | {"lost.jpg": b"", "Ada/.DS_Store": b"", ".cache/1.jpg": b""})) == FILES


def test_an_archive_leads_nowhere_else(tmp_path: Path) -> None:
    tricks = {"/Eve/1.jpg": b"", "../Eve/1.jpg": b"", "Eve/../../1.jpg": b"", "Eve/.hidden": b"", "1.jpg": b""}
    links = (
        ("Eve/symbolic.jpg", tarfile.SYMTYPE),
        ("Eve/hard.jpg", tarfile.LNKTYPE),
        ("Eve/pipe.jpg", tarfile.FIFOTYPE),
        ("Eve/device.jpg", tarfile.CHRTYPE),
    )
    before = sorted(tmp_path.rglob("*"))
    source = archive(tmp_path / "photos.tar", FILES | tricks, links=links)

    assert contents(source) == FILES
    assert sorted(tmp_path.rglob("*")) == [*before, source]


def test_a_folder_leads_nowhere_else(tmp_path: Path) -> None:
    people = folder(tmp_path / "people", FILES)
    outside = folder(tmp_path / "outside", {"1.jpg": b"secret"})
    (people / "Ada" / "link.jpg").symlink_to(outside / "1.jpg")
    (people / "Eve").symlink_to(outside)
    os.mkfifo(people / "Ada" / "pipe.jpg")

    assert contents(people) == FILES


def test_no_more_of_a_photo_is_read_than_the_decoder_needs_to_refuse_it(tmp_path: Path) -> None:
    large = {"Ada/1.jpg": bytes(5000)}

    assert len(contents(archive(tmp_path / "photos.tar", large), max_bytes=100)["Ada/1.jpg"]) == 101
    assert len(contents(folder(tmp_path / "people", large), max_bytes=100)["Ada/1.jpg"]) == 101


def test_an_archive_cut_short_is_refused(tmp_path: Path) -> None:
    source = archive(tmp_path / "photos.tar", {"Ada/1.jpg": bytes(5000), "Ada/2.jpg": bytes(5000)})
    source.write_bytes(source.read_bytes()[:7000])

    with pytest.raises(PhotosUnusable, match="cannot be read"):
        contents(source)


@pytest.mark.parametrize("name", ["nothing", "file.tar", "cut.tar.gz"])
def test_what_is_no_archive_is_refused_with_a_sentence(tmp_path: Path, name: str) -> None:
    (tmp_path / "file.tar").write_bytes(b"not an archive" * 100)
    whole = archive(tmp_path / "photos.tar.gz", {"Ada/1.jpg": os.urandom(5000)}, mode="w:gz").read_bytes()
    (tmp_path / "cut.tar.gz").write_bytes(whole[:2000])

    with pytest.raises(PhotosUnusable, match=rf"{name} .*cannot be read|Ada.*cannot be read"):
        contents(tmp_path / name)


def test_a_folder_without_photos_is_refused_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(PhotosUnusable, match="must hold folders named after people"):
        contents(folder(tmp_path, {"1.jpg": b""}))


@pytest.mark.parametrize(("text", "people"), [("A-E", ["Ada", "bob"]), ("b", ["bob"]), ("C-Z", []), ("É", ["Émile"])])
def test_letters_choose_people(text: str, people: list[str]) -> None:
    photos = [Photo(person=person, name="1.jpg", read=bytes) for person in ("Ada", "bob", "Émile")]

    assert [photo.person for photo in chosen(photos, people=[Letters.parse(text)])] == people
    assert str(Letters.parse(text)) == text.upper()


@pytest.mark.parametrize("text", ["", "E-A", "AB", "A-", "A-BC", "-"])
def test_what_is_no_range_of_letters_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a letter or a range of letters"):
        Letters.parse(text)


def test_a_limit_takes_whole_people_from_all_over() -> None:
    photos = [
        Photo(person=f"{letter}{n}", name=f"{i}.jpg", read=bytes)
        for letter in "ABCDE"
        for n in range(20)
        for i in range(3)
    ]

    some = chosen(photos, limit=31)

    assert len(some) == 31
    assert len({photo.person for photo in some}) == 11
    assert len({photo.person[0] for photo in some}) > 2
    assert [photos.index(photo) for photo in some] == sorted(photos.index(photo) for photo in some)
    assert chosen(photos, limit=31) == some
    assert set(map(id, some)) < set(map(id, chosen(photos, limit=60)))
