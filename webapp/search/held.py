"""Verifications and detections: a request is held until the answer is there. They look at no gallery and keep nothing.

There is no ticket: an answer takes milliseconds, and what nobody holds a request for, nobody wants. A request that
holds costs no thread, no connection and no transaction, and its images are free once the workers have them.
"""

from dataclasses import dataclass
from typing import Generic

from django.conf import settings

from tasks.messages.answers import A
from tasks.messages.detect import DetectResult
from tasks.messages.verify import VerifyResult
from tasks.web.interfaces import Searches
from tasks.web.search_client import search_client
from webapp.accounts.callers import Caller
from webapp.http.problems import Problem
from worker.errors import FaceQueueError


@dataclass(frozen=True, slots=True, kw_only=True)
class Held(Generic[A]):
    """What was started and must be finished by the same request."""

    search_id: str
    kind: type[A]
    timeout_seconds: float
    searches: Searches

    async def finish(self) -> A:
        """Wait for the answer; a request that is cancelled cancels the work.

        Raises Problem: the worker's objection to an image, no_answer, search_expired, queue_unavailable.
        """
        try:
            answer = await self.searches.finish(self.search_id, self.kind, timeout_seconds=self.timeout_seconds)
        except FaceQueueError as error:
            raise Problem.from_error(error) from error
        if answer.error is not None:
            raise Problem.from_info(answer.error)
        return answer


async def verification_start(
    *,
    images: tuple[bytes, bytes],
    caller: Caller,
    min_similarity: float | None = None,
    wait_seconds: float | None = None,
    searches: Searches | None = None,
) -> Held[VerifyResult]:
    """Send two images to the search workers, which compare their largest faces. Raises Problem: busy,
    queue_unavailable.

    `min_similarity` None stands for the pack's threshold, `wait_seconds` None for SEARCH_TIMEOUT_SECONDS, which is also
    the most, and `searches` None for this process's client.
    """
    searches, timeout_seconds = searches or search_client(), _timeout(wait_seconds)
    try:
        search_id = await searches.start_verification(
            images, min_similarity=min_similarity, timeout_seconds=timeout_seconds, client=caller.client
        )
    except FaceQueueError as error:
        raise Problem.from_error(error) from error
    return Held(search_id=search_id, kind=VerifyResult, timeout_seconds=timeout_seconds, searches=searches)


async def detection_start(
    *, image: bytes, caller: Caller, wait_seconds: float | None = None, searches: Searches | None = None
) -> Held[DetectResult]:
    """Send an image to the search workers, which detect its faces. Otherwise like `verification_start`."""
    searches, timeout_seconds = searches or search_client(), _timeout(wait_seconds)
    try:
        search_id = await searches.start_detection(image, timeout_seconds=timeout_seconds, client=caller.client)
    except FaceQueueError as error:
        raise Problem.from_error(error) from error
    return Held(search_id=search_id, kind=DetectResult, timeout_seconds=timeout_seconds, searches=searches)


def _timeout(wait_seconds: float | None) -> float:
    longest: float = settings.SEARCH_TIMEOUT_SECONDS
    return longest if wait_seconds is None else min(wait_seconds, longest)
