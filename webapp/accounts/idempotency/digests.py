"""What makes two requests the same: method, address, and content."""

import hashlib
from typing import Any, Final

from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest

FILES: Final = "multipart/form-data"


def digest_of(request: HttpRequest) -> str:
    """Return the SHA-256, in hexadecimal, of what the request asks for.

    A form with files counts by its fields and by the names and contents of its files: each time a client sends it, the
    boundaries between them are others. So the files are read once more than otherwise. Any other body counts as it is.
    """
    digest = hashlib.sha256()
    for part in (request.method or "", request.path_info, request.META.get("QUERY_STRING", "")):
        _add(digest, part)
    if request.method == "POST" and request.content_type == FILES:
        _add_form(digest, request)
    else:
        _add(digest, request.body)
    return digest.hexdigest()


def _add_form(digest: Any, request: HttpRequest) -> None:
    for name, values in sorted(request.POST.lists()):
        for value in values:
            _add(digest, name)
            _add(digest, str(value))
    for name, files in sorted(request.FILES.lists()):
        for file in files:
            _add(digest, name)
            _add(digest, file.name or "")
            _add(digest, _content_digest(file))


def _content_digest(file: "UploadedFile[Any]") -> bytes:
    digest = hashlib.sha256()
    for chunk in file.chunks():
        digest.update(chunk)
    file.seek(0)
    return digest.digest()


def _add(digest: Any, part: str | bytes) -> None:
    """Add the part behind its length, so that parts cannot run into each other."""
    content = part.encode(errors="surrogatepass") if isinstance(part, str) else part
    digest.update(len(content).to_bytes(8))
    digest.update(content)
