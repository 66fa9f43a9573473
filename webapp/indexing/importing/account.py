"""The account of an import: what became of each item of the folder, kept on disk until it is shown.

So an import takes no more memory the more items there are. The states of the photos are read when the account is shown.
"""

import json
import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final, TextIO
from urllib.parse import quote_from_bytes
from uuid import UUID

from webapp.gallery.chunks import chunks
from webapp.gallery.models import Photo
from webapp.gallery.selectors import IDS_PER_QUERY
from webapp.http.names import cleaned, readable
from webapp.indexing.adding import AddedFile
from webapp.indexing.importing.folders import Item, Result, Why

#: A line of the account: an item as `--json` shows it.
Line = dict[str, Any]

#: A code of a file whose reading failed when it was added; such files are left out, as those that cannot be opened.
_UNREADABLE: Final = "file_unreadable"


class ImportAccount:
    """A context manager: the account is deleted at the end of the block.

    `counts` counts the items by result, `reasons` those that are not added by the code of the reason, and `missed`
    those of them that may be a picture or hold one.
    """

    def __init__(self) -> None:
        self.counts: Counter[Result] = Counter()
        self.reasons: Counter[str] = Counter()
        self.missed = 0
        self._lines: TextIO | None = None

    def __enter__(self) -> "ImportAccount":
        self._lines = tempfile.TemporaryFile("w+", encoding="utf-8")
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def passed_over(self, item: Item, why: Why | None = None) -> None:
        """Write down an item that is not added; `why`, if that turned out later than the item was found."""
        why = why or item.why
        self.missed += bool(why and why.may_be_missed)
        code, message = (why.code, why.message) if why else ("", "")
        self.reasons.update([code])
        self._write(item, item.result or Result.LEFT_OUT, code=code, message=message)

    def taken(self, item: Item, added: AddedFile) -> None:
        """Write down a picture that was given to the gallery."""
        result = Result.LEFT_OUT if added.code == _UNREADABLE else Result(added.result)
        self.missed += added.result == "refused"
        more: Line = {"code": added.code, "message": added.message}
        if added.photo:
            more["photo_id"] = str(added.photo.id)
        if added.photo and result == Result.ALREADY_THERE:
            more["existing"] = "/".join(filter(None, (added.photo.folder, added.photo.filename)))
        self._write(item, result, **more)

    def lines(self) -> Iterator[Line]:
        """Yield all items in the order in which they came, with the present states of their photos.

        `code` and `message` say why a photo failed, or why there is none.
        """
        self._file.seek(0)
        for part in chunks(map(json.loads, self._file), IDS_PER_QUERY):
            photo_ids = {UUID(line["photo_id"]) for line in part if "photo_id" in line}
            photos = Photo.objects.filter(id__in=photo_ids).only("state", "code", "message")
            found = {str(photo.id): photo for photo in photos}
            for line in part:
                if photo := found.get(line.get("photo_id", "")):
                    line |= {"state": photo.state, "code": photo.code, "message": photo.message}
                yield line

    @property
    def _file(self) -> TextIO:
        if self._lines is None:
            raise RuntimeError("Use the account in a `with` block.")
        return self._lines

    def _write(self, item: Item, result: Result, **more: Any) -> None:
        self.counts[result] += 1
        self._file.write(json.dumps(_named(item) | {"result": result} | more) + "\n")


def display_path(path: str) -> str:
    """Return a path of the disk as one line that a person can read: bytes that are no UTF-8 are read as letters."""
    return cleaned(readable(path))


def _named(item: Item) -> Line:
    """Return the item's path as a person reads it and, where that is not what the disk has, the disk's bytes."""
    shown = display_path(item.place)
    on_disk = os.fsencode(item.place)
    if on_disk == shown.encode():
        return {"path": shown}
    return {"path": shown, "path_on_disk": quote_from_bytes(on_disk)}
