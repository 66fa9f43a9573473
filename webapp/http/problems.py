"""What a page, the API and a command say when something is wrong: a stable code, one sentence, an HTTP status."""

import random

from tasks.dictionaries import face_config
from tasks.messages.base import ErrorInfo
from worker.errors import FaceQueueError

#: Seconds after which a client may ask again, from and to: those who were refused together do not come back together.
RETRY_AFTER_SECONDS = (5, 15)

#: The codes that travel in messages, as HTTP statuses. Anything else is an error of ours: 500.
STATUS_BY_CODE = {
    "bad_image": 400,
    "image_empty": 400,
    "not_an_image": 400,
    "image_unsupported": 400,
    "image_truncated": 400,
    "image_too_large": 413,
    # The picture waited too long or was evicted: this job never gets an answer, a new search may.
    "query_image_gone": 410,
    "busy": 503,
    "model_stopped": 503,
    "queue_unavailable": 503,
    "store_unavailable": 503,
    "store_timeout": 503,
    "database_unavailable": 503,
    "collection_missing": 503,
    "collection_not_loaded": 503,
    "model_mismatch": 503,
    "not_open": 503,
    "no_answer": 504,
    "search_expired": 504,
}
#: Asking again soon may help, without anybody acting.
RETRYABLE_CODES = frozenset(
    {"busy", "model_stopped", "queue_unavailable", "store_unavailable", "store_timeout", "database_unavailable"}
)


class Problem(Exception):
    """A request that cannot be answered as asked. Its text is one sentence for the person who asked."""

    def __init__(self, code: str, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status if status is not None else STATUS_BY_CODE.get(code, 500)

    @property
    def retry_after_seconds(self) -> int | None:
        """None when asking again does not help."""
        return random.randint(*RETRY_AFTER_SECONDS) if self.code in RETRYABLE_CODES else None  # noqa: S311 - no secret

    @classmethod
    def from_error(cls, error: FaceQueueError) -> "Problem":
        return cls(error.code, str(error) or "The face search does not answer at the moment.")

    @classmethod
    def from_info(cls, info: ErrorInfo) -> "Problem":
        return cls(info.code, info.message)

    def as_json(self) -> dict[str, str]:
        return {"code": self.code, "message": self.message}


def not_found(what: str) -> Problem:
    """Somebody else's thing and a thing that is not there answer alike."""
    return Problem("not_found", f"There is no such {what}.", status=404)


def query_image_too_large() -> Problem:
    limit = face_config().max_image_bytes / 2**20
    return Problem("image_too_large", f"The picture is too large; at most {limit:.0f} MiB are taken.")


DATABASE_UNAVAILABLE = "The database does not answer; please try again in a moment."


QUEUE_DOWN = "The queue does not answer; the work is saved and goes on by itself once the queue is back."
