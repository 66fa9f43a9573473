"""The contract for searching through the search workers."""

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from tasks.errors import NoAnswer
from tasks.health.checks import HealthReport
from tasks.messages.search import SearchedFaces, SearchResult
from worker.metrics import MetricsSummary


class Searches(Protocol):
    """Searches, for use on an event loop. No method holds a thread while it waits."""

    async def start_search(
        self,
        image: bytes,
        *,
        gallery_ids: tuple[str, ...],
        limit: int = 10,
        min_similarity: float | None = None,
        faces: SearchedFaces = "all",
        timeout_seconds: float = 30.0,
    ) -> str:
        """Hand the image to the search workers and return the search's id at once.

        A search that no worker has started within `timeout_seconds` expires. Raises Busy when too many searches wait
        already, QueueUnavailable, and ValueError for no gallery, or a limit or similarity out of range.
        """
        ...

    async def wait_for_search(self, search_id: str, *, timeout_seconds: float) -> SearchResult | None:
        """Return the answer, or None when there is none in time. May be called again. Raises QueueUnavailable."""
        ...

    async def cancel_search(self, search_id: str) -> None:
        """Keep workers from starting this search; an answer that exists stays. Safe to call twice. Never raises."""
        ...

    async def search_faces_in_image(
        self,
        image: bytes,
        *,
        gallery_ids: tuple[str, ...],
        limit: int = 10,
        min_similarity: float | None = None,
        faces: SearchedFaces = "all",
        timeout_seconds: float = 30.0,
    ) -> SearchResult:
        """Search these galleries for every face of the image, or for its largest, and wait for the answer.

        `min_similarity` None asks for the pack's own threshold. An image that cannot be searched comes back as
        `SearchResult.error`. Cancels the search when the wait is cancelled. Raises what `start_search` raises, and
        NoAnswer when no worker answers in time.
        """
        search_id = await self.start_search(
            image,
            gallery_ids=gallery_ids,
            limit=limit,
            min_similarity=min_similarity,
            faces=faces,
            timeout_seconds=timeout_seconds,
        )
        try:
            result = await self.wait_for_search(search_id, timeout_seconds=timeout_seconds)
        except asyncio.CancelledError:
            await self.cancel_search(search_id)
            raise
        if result is None:
            raise NoAnswer(f"No search worker answered within {timeout_seconds:g} seconds.")
        return result

    async def check_room(self, client: str) -> None:
        """Raise Busy when too many searches wait already, and QueueUnavailable.

        `client` is the key of who asks: "user:<id>", or "" for a command.
        """
        ...

    def place(self, client: str) -> AbstractAsyncContextManager[None]:
        """Reserve a place in the queue for the search that this block starts. Raises what `check_room` raises."""
        ...

    async def health_check(self) -> HealthReport:
        """Judge the service by its workers' reports. Never raises: a service that is down is a report too."""
        ...

    def get_metrics_summary(self) -> MetricsSummary:
        """Summarise the searches that this process started and waited for."""
        ...
