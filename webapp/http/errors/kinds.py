"""Which Problem an error is, whoever raised it.

Django answers some exceptions with 4xx, and libraries add kinds of their own. So the rules here go by Django's base
classes: a kind that nobody listed is refused as its base class is, and is never an internal error.
"""

import logging
from typing import Final

from django.conf import settings
from django.core.exceptions import (
    BadRequest,
    DisallowedHost,
    PermissionDenied,
    RequestAborted,
    RequestDataTooBig,
    SuspiciousOperation,
    TooManyFieldsSent,
    TooManyFilesSent,
)
from django.db import OperationalError
from django.http import Http404, RawPostDataException, UnreadablePostError
from django.http.multipartparser import MultiPartParserError

from tasks.errors import DatabaseUnavailable
from webapp.http.problems import Problem, is_full_disk, not_found, storage_full
from worker.errors import FaceQueueError, error_class

logger = logging.getLogger(__name__)

#: Django's base classes of requests that it refuses. RequestAborted and the two about bodies have none of their own.
REFUSED: Final = (
    BadRequest,
    Http404,
    MultiPartParserError,
    PermissionDenied,
    RawPostDataException,
    RequestAborted,
    SuspiciousOperation,
    UnreadablePostError,
)


def problem_of(error: BaseException) -> Problem | None:
    """Return what the client is told about the error; None for one that is a fault of this service.

    Says on the log what its operator must see to: a full disk, a database that does not answer.
    """
    if is_full_disk(error):
        logger.error("The disk is full: %s", error)
        return storage_full()
    if isinstance(error, OperationalError):
        logger.error("The database does not answer: %s", error)
        return Problem.from_error(DatabaseUnavailable())
    if isinstance(error, Problem):
        return error
    if isinstance(error, FaceQueueError) and error_class(error.code).status != 500:
        return Problem.from_error(error)
    return _refused(error) if isinstance(error, REFUSED) else None


def internal() -> Problem:
    """Return what is said of any other error."""
    return Problem("internal", "Something went wrong here; the log of the service says what.", status=500)


def _refused(error: BaseException) -> Problem:
    """Return the problem for one of REFUSED: the text of Django's own error may repeat what the client has sent."""
    match error:
        case Http404():
            return not_found("thing")
        case PermissionDenied():
            return Problem("forbidden", "You do not have permission to do this.", status=403)
        case RequestDataTooBig():
            limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE / 1024
            sentence = f"The body is too large: besides files, it may have {limit:.0f} KiB."
            return Problem("body_too_large", sentence, status=413)
        case TooManyFilesSent():
            limit = settings.DATA_UPLOAD_MAX_NUMBER_FILES
            return Problem("too_many_files", f"A request may carry at most {limit:,} files.", status=400)
        case TooManyFieldsSent():
            limit = settings.DATA_UPLOAD_MAX_NUMBER_FIELDS
            return Problem("too_many_fields", f"A request may have at most {limit:,} fields.", status=400)
        case MultiPartParserError() | UnreadablePostError() | RequestAborted():
            return Problem("bad_body", "The body of this request is broken or incomplete.", status=400)
        case RawPostDataException():  # an operation wants JSON, and the check of the CSRF token has parsed a form
            return json_wanted()
        case DisallowedHost():
            return Problem("bad_host", "This service does not answer to that host name.", status=400)
        case _:
            return Problem("bad_request", "This request cannot be understood.", status=400)


def json_wanted() -> Problem:
    return Problem("unsupported_media_type", "Please send JSON, with the Content-Type application/json.", status=415)
