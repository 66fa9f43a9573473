"""Photos in folders named after the people they show, from a folder or a tar archive; nothing is unpacked."""

import hashlib
import lzma
import os
import tarfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

#: What reading an archive, compressed or not, may raise.
_ARCHIVE_ERRORS = (OSError, EOFError, tarfile.TarError, zlib.error, lzma.LZMAError)


class PhotosUnusable(Exception):
    """The photos cannot be read; the text is one sentence that says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Photo:
    """One file in a person's folder. `read()` returns its bytes, or its beginning when it is larger than is decoded."""

    person: str
    name: str
    read: Callable[[], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Letters:
    """The people whose names begin with one of these letters, both ends included; case does not matter."""

    first: str
    last: str

    @classmethod
    def parse(cls, text: str) -> "Letters":
        """Read "A-E" or "A". Raises ValueError."""
        first, dash, last = text.upper().partition("-")
        last = last if dash else first
        if len(first) != 1 or len(last) != 1 or first > last:
            raise ValueError(f"{text!r} is not a letter or a range of letters like A-E")
        return cls(first=first, last=last)

    def __str__(self) -> str:
        return self.first if self.first == self.last else f"{self.first}-{self.last}"

    def include(self, person: str) -> bool:
        return self.first <= person[:1].upper() <= self.last


@contextmanager
def opened_photos(source: Path, *, max_bytes: int) -> Iterator[list[Photo]]:
    """Yield the photos of a folder or an archive, which stays open for them to be read from.

    The folder right above a file names the person. Only regular files count: no links, nothing hidden, no path that
    leaves the archive. At most `max_bytes` + 1 bytes of a photo are read, enough for the decoder to refuse it.
    Raises PhotosUnusable, here and when a photo is read.
    """
    if source.is_dir():
        yield _some(_in_folder(source, max_bytes), source)
        return
    try:
        archive = tarfile.open(source, "r:*")  # noqa: SIM115 - closed below, and only opening may fail this way
    except _ARCHIVE_ERRORS as error:
        raise _unreadable(source, error) from error
    with archive:
        try:
            photos = _in_archive(archive, max_bytes)
        except _ARCHIVE_ERRORS as error:
            raise _unreadable(source, error) from error
        yield _some(photos, source)


def chosen(photos: Sequence[Photo], *, people: Sequence[Letters] = (), limit: int | None = None) -> list[Photo]:
    """Return the photos of these people (all when no letters are given), in their order, `limit` at most.

    People are drawn whole, or hardly anybody would be left to be recognised: at most the last one is cut. The draw
    depends on nothing but the names.
    """
    wanted = [photo for photo in photos if not people or any(each.include(photo.person) for each in people)]
    if limit is None or limit >= len(wanted):
        return wanted
    by_draw = sorted(range(len(wanted)), key=lambda at: (_draw(wanted[at].person), wanted[at].name))
    return [wanted[at] for at in sorted(by_draw[:limit])]


def _draw(person: str) -> str:
    return hashlib.sha256(person.encode("utf-8", "surrogateescape")).hexdigest()


def _in_folder(root: Path, max_bytes: int) -> list[Photo]:
    found = []
    for parent, subfolders, files in os.walk(root):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        folder = Path(parent)
        if folder == root:
            continue
        for name in sorted(files):
            path = folder / name
            if not name.startswith(".") and path.is_file() and not path.is_symlink():
                found.append(Photo(person=folder.name, name=name, read=partial(_read_file, path, max_bytes)))
    return found


def _read_file(path: Path, max_bytes: int) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(max_bytes + 1)
    except OSError as error:
        raise _unreadable(path, error) from error


def _in_archive(archive: tarfile.TarFile, max_bytes: int) -> list[Photo]:
    # A later member of the same name replaces an earlier one, as it would when unpacked.
    members = {PurePosixPath(member.name): member for member in archive if member.isreg()}
    return [
        Photo(person=path.parent.name, name=path.name, read=partial(_read_member, archive, member, max_bytes))
        for path, member in members.items()
        if _is_photo(path)
    ]


def _is_photo(path: PurePosixPath) -> bool:
    return len(path.parts) > 1 and not path.is_absolute() and not any(part.startswith(".") for part in path.parts)


def _read_member(archive: tarfile.TarFile, member: tarfile.TarInfo, max_bytes: int) -> bytes:
    try:
        file = archive.extractfile(member)
        return file.read(max_bytes + 1) if file else b""
    except _ARCHIVE_ERRORS as error:
        raise _unreadable(repr(member.name), error) from error


def _some(photos: list[Photo], source: Path) -> list[Photo]:
    if not photos:
        raise PhotosUnusable(f"{source} holds no photos: it must hold folders named after people, with their photos.")
    return photos


def _unreadable(source: Path | str, error: BaseException) -> PhotosUnusable:
    return PhotosUnusable(f"{source} cannot be read as a folder of photos, a tar archive or a photo in one: {error}.")
