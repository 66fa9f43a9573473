"""Answers with the file of a photo."""

from typing import TYPE_CHECKING, Self

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse, HttpResponseNotModified, StreamingHttpResponse
from django.http.response import HttpResponseBase

from webapp.gallery import selectors
from webapp.gallery.models import Photo
from webapp.http.problems import not_found

#: What is read at a time.
PIECE_BYTES = 256 * 1024

if TYPE_CHECKING:
    from django.core.files import File as DjangoFile

    File = DjangoFile[bytes]


def file_answer(request: HttpRequest, photo: Photo) -> HttpResponseBase:
    """Return the photo's bytes unchanged, as the kind of picture that a worker found in them.

    The file comes from outside: the browser must treat it as that kind of picture or not at all. Raises not_found.
    """
    content_type = selectors.content_type_of(photo)
    if content_type is None:
        raise not_found("picture")
    etag = f'"{photo.sha256}"'
    response: HttpResponseBase
    if request.headers.get("If-None-Match") == etag:
        response = HttpResponseNotModified()
    else:
        try:
            response = _file_response(photo.file.open("rb"), content_type)
        except FileNotFoundError:
            raise not_found("picture") from None
    response["ETag"] = etag
    response["Cache-Control"] = "private, max-age=300"
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = "sandbox; default-src 'none'"
    return response


def _file_response(file: "File", content_type: str) -> HttpResponseBase:
    if file.size <= PIECE_BYTES:
        with file:
            return HttpResponse(file.read(), content_type=content_type)
    response = StreamingHttpResponse(_Pieces(file), content_type=content_type)
    response["Content-Length"] = str(file.size)
    return response


class _Pieces:
    """A file piece by piece: of a client that takes it slowly, memory holds no more than it is taking."""

    def __init__(self, file: "File") -> None:
        self._file = file

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        piece: bytes = await sync_to_async(self._file.read)(PIECE_BYTES)
        if not piece:
            raise StopAsyncIteration
        return piece

    def close(self) -> None:
        """Called by Django when the response is over, complete or not."""
        self._file.close()
