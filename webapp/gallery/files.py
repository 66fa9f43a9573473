"""Answers with the files of a photo: the one that was uploaded, and its renditions."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Self
from uuid import UUID

from asgiref.sync import sync_to_async
from django.core.files.storage import default_storage
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.http import content_disposition_header, http_date

from tasks.storage.photo_files import RenditionKind, rendition_key
from webapp.gallery import selectors
from webapp.gallery.models import Photo
from webapp.http.errors.answers import answer
from webapp.http.problems import Problem, not_found
from webapp.http.rest.conditions import evaluated
from webapp.http.rest.ranges import NoSuchPart, part_wanted
from webapp.http.rest.reads import without_body

#: What is read at a time.
PIECE_BYTES = 256 * 1024

if TYPE_CHECKING:
    from django.core.files import File as DjangoFile

    File = DjangoFile[bytes]


def file_answer(request: HttpRequest, photo: Photo) -> HttpResponseBase:
    """Return the photo's bytes unchanged, with all their metadata, as a file to save under its name; or the part asked
    for.

    The file comes from outside: a browser must take it for the kind of picture that a worker found in it, or for
    nothing that it knows. Raises not_found, and Problem (`precondition_failed`).
    """
    original = _Stored(
        key=str(photo.file.name),
        content_type=selectors.content_type_of(photo),
        etag=f'"{photo.sha256}"',
        last_modified=photo.created,
    )
    response = _answer(request, original, cache_control="private, max-age=300")
    response["Content-Disposition"] = content_disposition_header(as_attachment=True, filename=photo.filename) or ""
    return response


def rendition_answer(
    request: HttpRequest, photo_id: UUID, kind: RenditionKind, digest: str, *, asked: str
) -> HttpResponseBase:
    """Return the rendition with this digest, or the part asked for. It never changes, so browsers keep it.

    If the address has another digest (`asked`), the rendition was made again since: lead to the one that there is.
    Raises not_found, and Problem (`precondition_failed`).
    """
    if not digest:
        raise not_found("picture")
    if digest != asked:
        address = f"{request.path.rpartition('/')[0]}/{digest}.jpg"
        return HttpResponseRedirect(address, headers={"Cache-Control": "private, no-store"})
    key = rendition_key(photo_id, kind, digest)
    rendition = _Stored(key=key, content_type="image/jpeg", etag=f'"{digest}"')
    return _answer(request, rendition, cache_control="private, max-age=31536000, immutable")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stored:
    """A file in the storage, and what its headers say."""

    key: str
    content_type: str
    etag: str
    last_modified: datetime | None = None


def _answer(request: HttpRequest, stored: _Stored, *, cache_control: str) -> HttpResponseBase:
    unread = HttpResponse(headers={"ETag": stored.etag})
    if stored.last_modified is not None:
        unread["Last-Modified"] = http_date(stored.last_modified.timestamp())
    response: HttpResponseBase = evaluated(request, unread, etag=stored.etag, last_modified=stored.last_modified)
    if response is unread:
        try:
            response = _file_response(request, stored)
        except FileNotFoundError:
            raise not_found("picture") from None
        for name, value in unread.headers.items():
            response.headers.setdefault(name, value)
    response["Cache-Control"] = cache_control
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = "sandbox; default-src 'none'"
    # Nobody would read the file for HEAD; the API asks as GET does, and leaves it out itself.
    return without_body(response) if request.method == "HEAD" else response


def _file_response(request: HttpRequest, stored: _Stored) -> HttpResponseBase:
    """Return the file or a part of it. Raises FileNotFoundError."""
    file = default_storage.open(stored.key)
    size = file.size
    try:
        part = part_wanted(request, size=size, etag=stored.etag, last_modified=stored.last_modified)
    except NoSuchPart:
        file.close()
        problem = Problem("range_not_satisfiable", f"The file ends after {size} bytes.", status=416)
        refused = answer(request, problem)
        refused["Content-Range"] = f"bytes */{size}"
        return refused
    response = _bytes_response(file, part or range(size), stored.content_type)
    response["Accept-Ranges"] = "bytes"
    if part is not None:
        response.status_code = 206
        response["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{size}"
    return response


def _bytes_response(file: "File", part: range, content_type: str) -> HttpResponseBase:
    file.seek(part.start)
    if len(part) <= PIECE_BYTES:
        with file:
            return HttpResponse(file.read(len(part)), content_type=content_type)
    response = StreamingHttpResponse(_Pieces(file, len(part)), content_type=content_type)
    response["Content-Length"] = str(len(part))
    return response


class _Pieces:
    """A file piece by piece: of a client that takes it slowly, memory holds no more than it is taking."""

    def __init__(self, file: "File", byte_count: int) -> None:
        """The file is at the first byte wanted."""
        self._file = file
        self._left = byte_count

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        piece: bytes = await sync_to_async(self._file.read)(min(PIECE_BYTES, self._left))
        if not piece:
            raise StopAsyncIteration
        self._left -= len(piece)
        return piece

    def close(self) -> None:
        """Called by Django when the response is over, complete or not."""
        self._file.close()
