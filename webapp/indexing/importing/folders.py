"""Finding the pictures in a folder, without hiding anything else that is in it.

Whatever stands in a folder becomes exactly one item, and nothing is opened that could wait for somebody: a pipe, a
device. Links are followed. A folder is read once, however many ways lead there: first all that really are in the
imported folder, so that these keep their own names, and then those that only links lead to.
"""

import os
import stat
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO, Final

#: File names that suggest a picture. The worker decides whether the file really is one of a supported format.
PICTURE_SUFFIXES: Final = frozenset(
    {".avif", ".bmp", ".dng", ".gif", ".heic", ".heif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".mpo", ".png"}
    | {".svg", ".tif", ".tiff", ".webp"}
    # camera raws: many hold a JPEG of full size
    | {".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".erf", ".fff", ".iiq", ".kdc", ".mef", ".mos", ".mrw", ".nef"}
    | {".nrw", ".orf", ".pef", ".raf", ".rw2", ".rwl", ".sr2", ".srf", ".srw", ".x3f"}
)
#: How pictures begin, for files whose names say nothing.
_BEGINNINGS: Final = (
    b"\xff\xd8\xff",
    b"\x89PNG\r\n\x1a\n",
    b"GIF87a",
    b"GIF89a",
    b"II*\0",
    b"MM\0*",
    b"II+\0",
    b"MM\0+",
)
#: Of ISO media files, which have it at byte 8, after "ftyp"; videos have others.
_PICTURE_BRANDS: Final = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1", b"avif", b"avis")
_BEGINNING_BYTES: Final = 12


class Result(StrEnum):
    """What became of an item. The first three are those of `adding.AddedFile`."""

    ADDED = "added"
    ALREADY_THERE = "already_there"
    REFUSED = "refused"
    #: It is no picture, or hidden.
    SKIPPED = "skipped"
    #: It could not be read, or must not be.
    LEFT_OUT = "left_out"
    #: A folder that was read: what is in it are items of their own.
    FOLDER = "folder"


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """Why an item is not imported: a code and a sentence. `may_be_missed`: there may be a picture in it."""

    code: str
    message: str
    may_be_missed: bool = False


NO_PICTURE: Final = Why(code="no_picture", message="Neither its name nor its beginning is that of a picture.")
HIDDEN: Final = Why(code="hidden", message="It is hidden: its name begins with a dot.")
PIPE: Final = Why(code="pipe", message="It is a named pipe.")
SOCKET: Final = Why(code="socket", message="It is a socket.")
DEVICE: Final = Why(code="device", message="It is a device.")
LINK_CYCLE: Final = Why(code="link_cycle", message="The link leads back to a folder that it is in.")
FOLDER_AGAIN: Final = Why(code="folder_again", message="This folder was read already: there is another way to it.")
LINK_BROKEN: Final = Why(code="link_broken", message="The link leads nowhere.", may_be_missed=True)


def unreadable(error: OSError, *, what: str = "file") -> Why:
    """Return the reason of a file or folder that cannot be read."""
    message = f"The {what} cannot be read: {error.strerror or type(error).__name__}."
    return Why(code=f"{what}_unreadable", message=message, may_be_missed=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """Something in the imported folder. Without a `result` it is a picture that is to be added."""

    path: str
    #: Its path below the imported folder, as the disk has it: bytes that are no UTF-8 are surrogates.
    place: str
    result: Result | None = None
    why: Why | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Folder:
    path: str
    place: str
    is_link: bool = False


def folder_items(root: Path) -> Iterator[Item]:
    """Yield everything in the folder and the folders below it, the items of each folder sorted by name.

    What is below a folder that is hidden or left out has no items. Raises OSError when `root` cannot be read.
    """
    # Read now: a folder that cannot be read at all is an error, and not one more item.
    os.scandir(root).close()
    seen: set[tuple[int, int]] = set()
    linked: deque[_Folder] = deque()
    to_read = [_Folder(path=os.fspath(root), place="")]
    while to_read or linked:
        folder = to_read.pop() if to_read else linked.popleft()
        below: list[_Folder] = []
        yield from _read(folder, seen, below)
        linked.extend(each for each in below if each.is_link)
        to_read.extend(each for each in reversed(below) if not each.is_link)


def open_file(path: str) -> BinaryIO:
    """Open a regular file for reading; never wait for it. Raises OSError, also for anything else."""
    # Not blocking: what was a file when the folder was read may be a pipe by now.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(None, "it is not a regular file")
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def _read(folder: _Folder, seen: set[tuple[int, int]], below: list[_Folder]) -> Iterator[Item]:
    """Yield the folder itself, unless it is the imported one, and what is in it; folders in it are put into `below`."""
    is_root = not folder.place
    try:
        status = os.stat(folder.path)
        if (status.st_dev, status.st_ino) in seen:
            yield _left_out(folder.path, folder.place, LINK_CYCLE if _is_cycle(folder) else FOLDER_AGAIN)
            return
        if folder.is_link and _is_cycle(folder):  # to a folder above the imported one
            yield _left_out(folder.path, folder.place, LINK_CYCLE)
            return
        seen.add((status.st_dev, status.st_ino))
        with os.scandir(folder.path) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        yield _left_out(folder.path, folder.place, unreadable(error, what="folder"))
        return
    if not is_root:
        yield Item(path=folder.path, place=folder.place, result=Result.FOLDER)
    for entry in entries:
        place = os.path.join(folder.place, entry.name)
        item = _item(entry.path, place, is_link=entry.is_symlink())
        if item is None:
            below.append(_Folder(path=entry.path, place=place, is_link=entry.is_symlink()))
        else:
            yield item


def _item(path: str, place: str, *, is_link: bool) -> Item | None:
    """Return what stands there as an item; None: it is a folder to read."""
    if os.path.basename(path).startswith("."):
        return Item(path=path, place=place, result=Result.SKIPPED, why=HIDDEN)
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        return _left_out(path, place, LINK_BROKEN if is_link else unreadable(error))
    if stat.S_ISDIR(mode):
        return None
    if not stat.S_ISREG(mode):
        kinds = {stat.S_IFIFO: PIPE, stat.S_IFSOCK: SOCKET}
        return _left_out(path, place, kinds.get(stat.S_IFMT(mode), DEVICE))
    return _file_item(path, place)


def _file_item(path: str, place: str) -> Item:
    suffix = os.path.splitext(path)[1].lower()
    try:
        if suffix in PICTURE_SUFFIXES or _begins_as_a_picture(path):
            return Item(path=path, place=place)
    except OSError as error:
        return _left_out(path, place, unreadable(error))
    return Item(path=path, place=place, result=Result.SKIPPED, why=NO_PICTURE)


def _left_out(path: str, place: str, why: Why) -> Item:
    return Item(path=path, place=place, result=Result.LEFT_OUT, why=why)


def _is_cycle(folder: _Folder) -> bool:
    """Tell whether the link leads to the folder that it stands in, or to one above that."""
    standing_in = os.path.realpath(os.path.dirname(folder.path))
    return Path(standing_in).is_relative_to(os.path.realpath(folder.path))


def _begins_as_a_picture(path: str) -> bool:
    with open_file(path) as file:
        beginning = file.read(_BEGINNING_BYTES)
    is_iso_picture = beginning[4:8] == b"ftyp" and beginning[8:12] in _PICTURE_BRANDS
    is_webp = beginning[:4] == b"RIFF" and beginning[8:12] == b"WEBP"
    return beginning.startswith(_BEGINNINGS) or is_iso_picture or is_webp
