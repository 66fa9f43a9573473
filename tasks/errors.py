"""What can go wrong between the web and a worker.

* FaceQueueError
  + QueueUnavailable        retry later: Redis does not answer
  + NoAnswer                retry later: no worker answered within the deadline
  + QueryImageGone          refuse: the query image expired or was evicted before a worker read it
  + BadMessage              refuse: the message is not one that this release understands
"""

from worker.errors import FaceQueueError


class QueueUnavailable(FaceQueueError):
    code = "queue_unavailable"
    retryable = True


class NoAnswer(FaceQueueError):
    code = "no_answer"
    retryable = True


class QueryImageGone(FaceQueueError):
    code = "query_image_gone"


class BadMessage(FaceQueueError):
    code = "bad_message"
