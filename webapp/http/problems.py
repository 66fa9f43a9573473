"""What a page, the API and a command say when something is wrong: a stable code, one sentence, an HTTP status."""

import errno
import random
from http import HTTPStatus
from typing import Final

from django.db import OperationalError

from tasks.dictionaries import face_config
from tasks.messages.base import ErrorInfo
from worker.errors import FaceQueueError, error_class
from worker.vector_search import exceptions as _  # noqa: F401  so that the store's codes are known here

#: The range of seconds after which a client may ask again: clients refused together must not return together.
RETRY_AFTER_SECONDS = (5, 15)

PROBLEM_TYPE: Final = "application/problem+json"
#: How a program says who it is; the first part of a WWW-Authenticate header (RFC 6750 section 3).
CHALLENGE: Final = 'Bearer realm="facequeue"'


class Problem(Exception):
    """A request that cannot be answered as asked. Its text is one sentence for the person who asked.

    Its code may be that of an error class, which then gives the status and says whether asking again soon may help.
    """

    def __init__(
        self, code: str, message: str, *, status: int | None = None, retry_after_seconds: int | None = None
    ) -> None:
        """`retry_after_seconds` says when asking again helps, where that is known; by default it is random."""
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status if status is not None else error_class(code).status
        self._retry_after_seconds = retry_after_seconds

    @property
    def retry_after_seconds(self) -> int | None:
        """None when asking again does not help."""
        if self._retry_after_seconds is not None:
            return self._retry_after_seconds
        return self.some_seconds() if error_class(self.code).retryable else None

    @property
    def headers(self) -> dict[str, str]:
        """Return the headers that belong to the answer, whoever gives it."""
        seconds = self.retry_after_seconds
        return {} if seconds is None else {"Retry-After": str(seconds)}

    @staticmethod
    def some_seconds() -> int:
        """Return after how many seconds to ask again when nothing says when there will be room."""
        return random.randint(*RETRY_AFTER_SECONDS)  # noqa: S311 - no secret

    @classmethod
    def from_error(cls, error: FaceQueueError) -> "Problem":
        return cls(error.code, str(error), retry_after_seconds=getattr(error, "retry_after_seconds", None))

    @classmethod
    def from_info(cls, info: ErrorInfo) -> "Problem":
        return cls(info.code, info.message)

    def as_json(self) -> dict[str, str | int]:
        """Return the problem as the API answers it, with the media type PROBLEM_TYPE (RFC 9457)."""
        return {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.message,
            "code": self.code,
        }


class Unauthenticated(Problem):
    """Nobody that this service knows has sent the request. The answer says how to authenticate."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message, status=401)

    @property
    def headers(self) -> dict[str, str]:
        # A client that showed something learns that it is not valid (RFC 6750 section 3.1).
        error = "" if self.code == "not_logged_in" else ', error="invalid_token"'
        return super().headers | {"WWW-Authenticate": CHALLENGE + error}


def not_logged_in() -> Problem:
    return Unauthenticated(
        "not_logged_in",
        "Please log in, or show an API key in a header: “Authorization: Bearer KEY” or “X-Api-Key: KEY”.",
    )


def not_found(what: str) -> Problem:
    """The answer is the same for what does not exist and for what belongs to somebody else."""
    return Problem("not_found", f"There is no such {what}.", status=404)


def query_image_too_large() -> Problem:
    limit = face_config().max_image_bytes / 2**20
    return Problem("image_too_large", f"The picture is too large; at most {limit:.0f} MiB are accepted.")


def storage_full() -> Problem:
    return Problem(
        "storage_full",
        "The disk of this service is full; please tell its administrator.",
        status=507,
    )


#: What the operating system says when there is no space left, or none for this user.
_FULL: Final = (errno.ENOSPC, errno.EDQUOT)


def is_full_disk(error: BaseException) -> bool:
    """Tell whether a full disk is behind the error: the operating system's, SQLite's or PostgreSQL's."""
    if isinstance(error, OSError):
        return error.errno in _FULL
    return isinstance(error, OperationalError) and any(
        words in str(error) for words in ("database or disk is full", "No space left on device")
    )


QUEUE_DOWN = "The queue does not answer; the work is saved and continues once the queue is back."
