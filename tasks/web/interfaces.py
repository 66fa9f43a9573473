"""The contract for what the search workers answer: searches, verifications, detections."""

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import Protocol
from uuid import UUID

from tasks.errors import NoAnswer
from tasks.health.checks import HealthReport
from tasks.messages.answers import A
from tasks.messages.search import SearchedFaces, SearchResult
from worker.metrics import MetricsSummary


class Searches(Protocol):
    """Searches, for use on an event loop. No method holds a thread while it waits."""

    async def start_search(
        self,
        query: bytes | UUID,
        *,
        gallery_ids: tuple[str, ...],
        limit: int = 10,
        min_similarity: float | None = None,
        faces: SearchedFaces = "all",
        timeout_seconds: float = 30.0,
        client: str = "",
    ) -> str:
        """Hand the query to the search workers and return the search's id at once.

        The query is an image, or the id of a stored face, whose matches leave out that very face. `client` is who gets
        the answer, "user:<id>"; "" is a command. A search that no worker has started within `timeout_seconds` expires.
        Raises Busy when the client may not have one more search in flight, QueueUnavailable, and ValueError for no
        gallery, or a limit or similarity out of range.
        """
        ...

    async def start_verification(
        self,
        images: tuple[bytes, bytes],
        *,
        min_similarity: float | None = None,
        timeout_seconds: float = 30.0,
        client: str = "",
    ) -> str:
        """Let the search workers compare the largest faces of two images. Otherwise like `start_search`."""
        ...

    async def start_detection(self, image: bytes, *, timeout_seconds: float = 30.0, client: str = "") -> str:
        """Let the search workers detect the faces in an image. Otherwise like `start_search`."""
        ...

    async def wait_for_answer(self, search_id: str, kind: type[A], *, timeout_seconds: float) -> A | None:
        """Return the answer, or None when there is none in time. May be called again. Raises QueueUnavailable.

        `search_id` is what `start_search` (`kind` SearchResult), `start_verification` (VerifyResult) or
        `start_detection` (DetectResult) returned.
        """
        ...

    async def cancel_search(self, search_id: str) -> None:
        """Keep workers from starting this search; an answer that exists stays. Safe to call twice. Never raises.

        A worker may still answer a search by a stored face, which runs no model.
        """
        ...

    async def finish(self, search_id: str, kind: type[A], *, timeout_seconds: float) -> A:
        """Wait for the answer. Without one in time, or when the wait is cancelled, cancel the search.

        An image that cannot be used comes back as the answer's `error`. Raises NoAnswer, QueueUnavailable.
        """
        try:
            answer = await self.wait_for_answer(search_id, kind, timeout_seconds=timeout_seconds)
        except asyncio.CancelledError:
            await self.cancel_search(search_id)
            raise
        if answer is None:
            await self.cancel_search(search_id)
            raise NoAnswer(f"No search worker answered within {timeout_seconds:g} seconds.")
        return answer

    async def search_faces_in_image(
        self,
        image: bytes,
        *,
        gallery_ids: tuple[str, ...],
        limit: int = 10,
        min_similarity: float | None = None,
        faces: SearchedFaces = "all",
        timeout_seconds: float = 30.0,
        client: str = "",
    ) -> SearchResult:
        """Search these galleries for every face of the image, or for its largest, and wait for the answer.

        `min_similarity` None asks for the pack's own threshold. Raises what `start_search` and `finish` raise.
        """
        search_id = await self.start_search(
            image,
            gallery_ids=gallery_ids,
            limit=limit,
            min_similarity=min_similarity,
            faces=faces,
            timeout_seconds=timeout_seconds,
            client=client,
        )
        return await self.finish(search_id, SearchResult, timeout_seconds=timeout_seconds)

    async def check_room(self, client: str) -> None:
        """Raise Busy when the client may not have one more search in flight, and QueueUnavailable.

        A client may have as many in flight as there are places left, so one that asks for everything gets half of them.
        Busy says when there will be room.
        """
        ...

    def place(self, client: str) -> AbstractAsyncContextManager[None]:
        """Reserve a place for the client's search that this block starts. Raises what `check_room` raises."""
        ...

    async def health_check(self) -> HealthReport:
        """Judge the service by its workers' reports. Never raises: a service that is down is a report too."""
        ...

    def get_metrics_summary(self) -> MetricsSummary:
        """Summarise the searches that this process started and waited for."""
        ...
