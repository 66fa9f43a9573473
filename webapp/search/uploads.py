"""Receiving query images: in memory only, up to MAX_IMAGE_BYTES.

Three places could write an upload to a temporary file; each is prevented:

* Django's ASGI handler would spool a large body. `webapp/http/door.py` has taken it into memory already.
* The default upload handlers write large files to disk. `use_memory` replaces them for the request.
* The CSRF check reads `request.POST`, which parses the body. So search views call `use_memory` first and check
  CSRF themselves afterwards (csrf_exempt first, the check inside, as Django's documentation describes).
"""

from io import BytesIO
from typing import Any

from django.core.files.uploadedfile import InMemoryUploadedFile, UploadedFile
from django.core.files.uploadhandler import FileUploadHandler
from django.http import HttpRequest

from tasks.dictionaries import face_config
from webapp.http.problems import Problem, query_image_too_large


class QueryImageHandler(FileUploadHandler):
    """Keeps files in memory. Of a file that is too large it keeps only the size."""

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        super().new_file(*args, **kwargs)
        self._kept = BytesIO()
        self._max_bytes = face_config().max_image_bytes

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        if start + len(raw_data) > self._max_bytes:
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


def use_memory(request: HttpRequest) -> None:
    """Parse the request's body with its files in memory. Call it before anything reads request.POST.

    It is CPU work over up to MAX_IMAGE_BYTES: call it in a thread.
    """
    request.upload_handlers = [QueryImageHandler(request)]
    request.POST  # noqa: B018 - parses


def query_image(image: "UploadedFile[bytes] | bytes | None") -> bytes:
    """Return the bytes of an upload. Raises Problem when there is none or it is too large."""
    if image is None:
        raise Problem("image_missing", "Please choose a picture to search with.", status=400)
    size = len(image) if isinstance(image, bytes) else image.size or 0
    if size > face_config().max_image_bytes:
        raise query_image_too_large()
    if isinstance(image, bytes):
        return image
    content: bytes = image.file.getvalue() if isinstance(image.file, BytesIO) else image.read()  # not another copy
    return content


def forget_image(request: HttpRequest) -> None:
    """Free the memory of the body and of the image in it, which the search workers have: the answer may take long."""
    request.close()
