"""What can go wrong between the web and a worker.

* FaceQueueError
  + QueueUnavailable        retry later: Redis does not answer
  + DatabaseUnavailable     retry later: the web's database does not answer
  + NoAnswer                retry later: no worker answered within the deadline
  + SearchExpired           refuse: the search waited too long for a worker; only a new one may be answered
  + QueryImageGone          refuse: the query image expired or was evicted before a worker read it
  + BadMessage              refuse: the message is not one that this release understands
"""

from typing import Self

from worker.errors import FaceQueueError


class QueueUnavailable(FaceQueueError):
    code = "queue_unavailable"
    retryable = True
    status = 503
    sentence = "The queue does not answer: Redis is down or busy."


class DatabaseUnavailable(FaceQueueError):
    code = "database_unavailable"
    retryable = True
    status = 503
    sentence = "The database does not answer; please try again in a moment."


class NoAnswer(FaceQueueError):
    code = "no_answer"
    retryable = True
    status = 504
    sentence = "No search worker answered in time."


class SearchExpired(FaceQueueError):
    """The search will never be answered, so asking again with its ticket does not help; a new search may."""

    code = "search_expired"
    status = 504
    sentence = "No worker answered this search in time. Please try again."

    @classmethod
    def because(cls, reason: str) -> Self:
        """Return the error that gives the reason: what the search did, for example "waited 31.0 s"."""
        return cls(f"This search {reason}. Please try again.")


class QueryImageGone(FaceQueueError):
    code = "query_image_gone"
    status = 410
    sentence = "The picture waited too long and is gone. Please search again."


class BadMessage(FaceQueueError):
    code = "bad_message"
    sentence = "The message is not one that this release understands."
