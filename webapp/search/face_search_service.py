"""FaceSearchService: search, verify and detect faces from any async view, task or script."""

from collections.abc import Collection
from typing import Any, Self
from uuid import UUID

from django.core.files.uploadedfile import UploadedFile

from tasks.health.checks import HealthReport
from tasks.messages.detect import DetectResult
from tasks.messages.search import SearchedFaces
from tasks.messages.verify import VerifyResult
from tasks.web.search_client import open_search_client
from tasks.web.vector_search_view import VectorSearchView
from webapp.accounts.callers import Caller
from webapp.accounts.current_user import current_user
from webapp.generations.selectors import ActiveTarget
from webapp.search.held import detection_start, verification_start
from webapp.search.selectors import SearchAnswer
from webapp.search.services import search_finish, search_start
from webapp.search.uploads import query_image


class FaceSearchService:
    """Searches as the current user: `async with FaceSearchService() as service`.

    In a web process it borrows the process's connections: any number may be open at once, and none of them opens a
    connection, a thread or a subscription. Elsewhere, as in a script, it opens connections and closes them again.
    """

    async def __aenter__(self) -> Self:
        self._opened = open_search_client(active_target=ActiveTarget())
        self._client = await self._opened.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self._opened.__aexit__(*error)

    async def search_faces_in_image(
        self,
        image_file: "UploadedFile[bytes] | bytes",
        *,
        gallery_id: UUID | str | None = None,
        gallery_ids: Collection[UUID | str] | None = None,
        limit: int = 10,
        min_similarity: float | None = None,
        faces: SearchedFaces = "all",
        timeout_seconds: float | None = None,
    ) -> SearchAnswer:
        """Search for every face of the image, or for its largest, and wait for the answer.

        Searches the galleries given, or all that the user may see. `limit` is the most matches per face, from all
        galleries together. `min_similarity` None stands for the pack's threshold, `timeout_seconds` None for
        SEARCH_TIMEOUT_SECONDS.

        Raises PermissionDenied when nobody is logged in (outside a request, see `acting_as`), and Problem:
        image_missing, image_too_large, the worker's objection to the image, not_found (a gallery that the user may not
        see), busy, queue_unavailable, search_expired; and ValueError for a limit or similarity out of range.
        """
        caller = Caller(user=await current_user())
        if gallery_id is not None:
            gallery_ids = [gallery_id, *(gallery_ids or ())]
        ticket = await search_start(
            query=query_image(image_file),
            caller=caller,
            gallery_ids=gallery_ids,
            limit=limit,
            min_similarity=min_similarity,
            faces=faces,
            timeout_seconds=timeout_seconds,
            searches=self._client,
        )
        return await search_finish(ticket=ticket, caller=caller, searches=self._client)

    async def verify_faces(
        self,
        image_file: "UploadedFile[bytes] | bytes",
        other_file: "UploadedFile[bytes] | bytes",
        *,
        min_similarity: float | None = None,
        timeout_seconds: float | None = None,
    ) -> VerifyResult:
        """Compare the largest faces of two images, and wait for the answer.

        Raises PermissionDenied and Problem as `search_faces_in_image`, and Problem no_answer.
        """
        held = await verification_start(
            images=(query_image(image_file), query_image(other_file)),
            caller=Caller(user=await current_user()),
            min_similarity=min_similarity,
            wait_seconds=timeout_seconds,
            searches=self._client,
        )
        return await held.finish()

    async def detect_faces(
        self, image_file: "UploadedFile[bytes] | bytes", *, timeout_seconds: float | None = None
    ) -> DetectResult:
        """Return the faces in the image, with their quality; nothing is kept. Raises as `verify_faces`."""
        held = await detection_start(
            image=query_image(image_file),
            caller=Caller(user=await current_user()),
            wait_seconds=timeout_seconds,
            searches=self._client,
        )
        return await held.finish()

    async def health_check(self) -> HealthReport:
        """Return the service's health as its workers report it. Never raises for a service that is down."""
        return await self._client.health_check()

    @property
    def vector_search(self) -> VectorSearchView:
        """The workers' vector search, as they report it."""
        return VectorSearchView(self._client.health_check)
