"""FaceSearchService in a view and in a script: whose galleries it searches, and what it borrows."""

import asyncio
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import PermissionDenied
from django.core.files.uploadedfile import SimpleUploadedFile

from tasks.messages.base import ErrorInfo
from tasks.messages.detect import DetectResult
from tasks.messages.search import SearchResult
from tasks.messages.verify import VerifyResult
from tasks.web.memory import MemorySearchClient
from tests.unit.webapp.conftest import add_indexed_photo
from tests.unit.webapp.search.test_api import answer_with
from webapp.accounts.current_user import acting_as
from webapp.gallery.models import Gallery
from webapp.gallery.services import gallery_create
from webapp.http.problems import Problem
from webapp.search import FaceSearchService

pytestmark = pytest.mark.django_db(transaction=True)


async def search(user: User | AnonymousUser | None, image: Any = b"picture", **options: Any) -> Any:
    async with FaceSearchService() as service:
        if user is None:
            return await service.search_faces_in_image(image, **options)
        with acting_as(user):
            return await service.search_faces_in_image(image, **options)


@pytest.mark.parametrize("image", [b"picture", SimpleUploadedFile("ada.jpg", b"picture")], ids=["bytes", "an upload"])
async def test_an_image_is_searched_in_all_galleries_of_the_user(
    user: User, gallery: Gallery, their_gallery: Gallery, face_search: MemorySearchClient, image: Any
) -> None:
    face_search.result = answer_with_photo = await sync_to_async(lambda: answer_with(add_indexed_photo(gallery)))()
    answer = await search(user, image)
    (sent,) = face_search.started
    assert (sent.query, sent.gallery_ids) == (b"picture", (str(gallery.id),))
    (match,) = answer.faces[0].matches
    assert match.face_id == answer_with_photo.faces[0].matches[0].face_id
    assert match.photo.gallery_id == gallery.id


@pytest.mark.parametrize("user_of_request", [None, AnonymousUser()], ids=["no request", "not logged in"])
async def test_without_a_user_a_search_is_denied(user_of_request: Any, face_search: MemorySearchClient) -> None:
    with pytest.raises(PermissionDenied):
        await search(user_of_request)
    assert face_search.started == []


async def test_galleries_can_be_given(user: User, gallery: Gallery, face_search: MemorySearchClient) -> None:
    second = await sync_to_async(gallery_create)(owner=user, name="Family")
    face_search.result = SearchResult(faces=())
    await search(user, gallery_id=gallery.id)
    await search(user, gallery_id=gallery.id, gallery_ids=[str(second.id)])
    assert [set(sent.gallery_ids) for sent in face_search.started] == [
        {str(gallery.id)},
        {str(gallery.id), str(second.id)},
    ]


@pytest.mark.parametrize("given", ["theirs", "nonsense"])
async def test_a_gallery_that_the_user_may_not_see_is_not_found(
    user: User, their_gallery: Gallery, face_search: MemorySearchClient, given: str
) -> None:
    with pytest.raises(Problem, match="no such gallery"):
        await search(user, gallery_id=their_gallery.id if given == "theirs" else given)


async def test_what_is_wrong_with_an_image_is_a_problem(
    user: User, gallery: Gallery, face_search: MemorySearchClient
) -> None:
    face_search.result = SearchResult(error=ErrorInfo(code="not_an_image", message="This file is not a picture."))
    with pytest.raises(Problem, match="not a picture"):
        await search(user)


async def test_faces_are_verified_and_detected_for_the_user(user: User, face_search: MemorySearchClient) -> None:
    face_search.verified, face_search.detected = VerifyResult(is_same=True), DetectResult(width=3, height=2)
    async with FaceSearchService() as service:
        with acting_as(user):
            verified = await service.verify_faces(SimpleUploadedFile("ada.jpg", b"one"), b"other", min_similarity=0.5)
            detected = await service.detect_faces(b"picture", timeout_seconds=3)
    assert (verified.is_same, detected.width) == (True, 3)
    assert [(sent.images, sent.client) for sent in face_search.sent_images] == [
        ((b"one", b"other"), f"user:{user.pk}"),
        ((b"picture",), f"user:{user.pk}"),
    ]
    assert face_search.sent_images[0].min_similarity == 0.5


async def test_without_a_user_nothing_is_verified_or_detected(face_search: MemorySearchClient) -> None:
    async with FaceSearchService() as service:
        with pytest.raises(PermissionDenied):
            await service.verify_faces(b"one", b"other")
        with pytest.raises(PermissionDenied):
            await service.detect_faces(b"picture")
    assert face_search.sent_images == []


async def test_a_search_without_an_answer_expires(
    user: User, gallery: Gallery, face_search: MemorySearchClient
) -> None:
    with pytest.raises(Problem, match="No worker answered") as caught:
        await search(user, timeout_seconds=0)
    assert caught.value.code == "search_expired"


async def test_a_caller_that_is_cancelled_cancels_its_search(
    user: User, gallery: Gallery, face_search: MemorySearchClient
) -> None:
    task = asyncio.create_task(search(user))
    while not face_search.waited and not task.done():
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(face_search.cancelled) == 1


async def test_health_is_what_the_workers_report(face_search: MemorySearchClient) -> None:
    async with FaceSearchService() as service:
        health = await service.health_check()
    assert (health.is_healthy, health.connection_status, health.collection_status) == (True, "connected", "loaded")
