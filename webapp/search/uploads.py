"""Query images on their way in: in memory only, up to MAX_IMAGE_BYTES.

Three places could write an upload to a temporary file, and each is closed here or in the settings:

* Django's ASGI handler spools a body larger than FILE_UPLOAD_MAX_MEMORY_SIZE before any view runs. The setting
  has room for the largest query image, and `RefuseLargeQueries` answers a larger body without keeping it.
* The default upload handlers write large files to disk. `use_memory` replaces them for the request.
* The CSRF check reads `request.POST`, which parses the body. So search views call `use_memory` first and check
  CSRF themselves afterwards (csrf_exempt first, the check inside, as Django's documentation describes).
"""

import json
import re
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from io import BytesIO
from typing import Any, Final

from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.files.uploadedfile import InMemoryUploadedFile, UploadedFile
from django.core.files.uploadhandler import FileUploadHandler
from django.http import HttpRequest

from webapp.problems import Problem

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]

#: The addresses that take a query image.
QUERY_PATHS: Final = re.compile(r"/galleries/[^/]+/(search/|searches)$")


class QueryImageHandler(FileUploadHandler):
    """Keeps one file in memory; of a file that is too large only its size."""

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        super().new_file(*args, **kwargs)
        self._kept = BytesIO()

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        if start + len(raw_data) > settings.FACE_CONFIG["MAX_IMAGE_BYTES"]:
            self._kept = BytesIO()
        else:
            self._kept.write(raw_data)

    def file_complete(self, file_size: int) -> InMemoryUploadedFile:
        self._kept.seek(0)
        return InMemoryUploadedFile(
            file=self._kept,
            field_name=self.field_name,
            name=self.file_name or "",
            content_type=self.content_type,
            size=file_size,
            charset=self.charset,
            content_type_extra=self.content_type_extra,
        )


async def use_memory(request: HttpRequest) -> None:
    """Parse the request's body, keeping its files in memory. Call before anything reads request.POST."""
    request.upload_handlers = [QueryImageHandler(request)]
    # Parsing is CPU work over up to MAX_IMAGE_BYTES: not on the event loop.
    await sync_to_async(lambda: request.POST)()


def query_image(file: "UploadedFile[bytes] | None") -> bytes:
    """Return the uploaded bytes. Raises Problem when there is no file or it is too large."""
    if file is None:
        raise Problem("image_missing", "Please choose a picture to search with.", status=400)
    if (file.size or 0) > settings.FACE_CONFIG["MAX_IMAGE_BYTES"]:
        raise too_large()
    image: bytes = file.read()
    return image


def too_large() -> Problem:
    limit = settings.FACE_CONFIG["MAX_IMAGE_BYTES"] / 2**20
    return Problem("image_too_large", f"The picture is too large; at most {limit:.0f} MiB are taken.")


class RefuseLargeQueries:
    """ASGI: answers 413 to a query image whose body would not fit in memory, and keeps none of it."""

    def __init__(self, app: AsgiApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST" or not QUERY_PATHS.search(scope["path"]):
            await self._app(scope, receive, send)
            return
        kept: deque[MutableMapping[str, Any]] = deque()
        size = 0
        while True:
            message = await receive()
            kept.append(message)
            size += len(message.get("body", b""))
            if size > settings.FILE_UPLOAD_MAX_MEMORY_SIZE:
                kept.clear()
            if message["type"] != "http.request" or not message.get("more_body", False):
                break
        if size > settings.FILE_UPLOAD_MAX_MEMORY_SIZE:
            await _send_problem(too_large(), scope, send)
        else:
            await self._app(scope, _replay(kept, receive), send)


def _replay(kept: deque[MutableMapping[str, Any]], receive: Receive) -> Receive:
    """Hand out the messages that were read, then whatever comes after them."""

    async def replay() -> MutableMapping[str, Any]:
        return kept.popleft() if kept else await receive()

    return replay


async def _send_problem(problem: Problem, scope: Scope, send: Send) -> None:
    if scope["path"].startswith("/api/"):
        content_type, body = b"application/json", json.dumps(problem.as_json()).encode()
    else:
        content_type, body = b"text/plain; charset=utf-8", problem.message.encode()
    headers = [(b"content-type", content_type), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
