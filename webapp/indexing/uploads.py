"""What a page tells the browser about uploads, so that a file that would be refused is named before it is sent."""

from dataclasses import dataclass

from django.conf import settings

from tasks.dictionaries import FORM_BYTES, face_config
from webapp.indexing.importing.folders import PICTURE_SUFFIXES

#: How many requests a page sends at a time: one travels while the service is busy with the one before.
REQUESTS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadTerms:
    #: The largest file.
    file_bytes: int
    #: How many requests it sends at a time.
    requests: int
    #: The endings of the files in a folder that are sent, with dots, separated by spaces.
    suffixes: str


def upload_terms() -> UploadTerms:
    return UploadTerms(
        file_bytes=min(face_config().max_image_bytes, settings.UPLOAD_MAX_BYTES - FORM_BYTES),
        requests=min(REQUESTS, settings.UPLOADS_PER_USER),
        suffixes=" ".join(sorted(PICTURE_SUFFIXES)),
    )
