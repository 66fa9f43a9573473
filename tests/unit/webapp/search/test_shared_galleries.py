"""Searches in shared galleries: what counts is what the caller may see when there is an answer."""

from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.test import Client

from tasks.messages.search import SearchResult
from tasks.web.memory import MemorySearchClient
from tests.unit.webapp.conftest import add_indexed_photo, upload
from tests.unit.webapp.search.test_api import answer_with
from webapp.accounts.callers import Scope
from webapp.accounts.keys import key_create
from webapp.gallery.models import Gallery, Level, Member
from webapp.gallery.services import gallery_create


@pytest.fixture
def member(gallery: Gallery, stranger: User) -> Member:
    """Eve may see ada's gallery."""
    return Member.objects.create(gallery=gallery, user=stranger, level=Level.VIEWER)


@pytest.fixture
def api(stranger: User) -> Client:
    client = Client()
    client.force_login(stranger)
    return client


def matches_in(response: Any) -> list[str]:
    assert response.status_code == 200, response.content
    return [match["photo_id"] for face in response.json()["faces"] for match in face["matches"]]


def start(api: Client, path: str = "/api/v1/searches", query: str = "") -> Any:
    return api.post(path + query, {"image": upload()})


def test_a_search_in_all_galleries_includes_those_shared(
    api: Client, member: Member, their_gallery: Gallery, face_search: MemorySearchClient
) -> None:
    photos = [add_indexed_photo(member.gallery, content=b"1"), add_indexed_photo(their_gallery, content=b"2")]
    face_search.result = answer_with(*photos)
    assert matches_in(start(api, query="?wait=1")) == [str(photo.id) for photo in photos]
    (sent,) = face_search.started
    assert set(sent.gallery_ids) == {str(member.gallery_id), str(their_gallery.id)}


@pytest.mark.parametrize(
    ("path", "status"),
    [("/api/v1/galleries/{gallery}/searches", 404), ("/api/v1/searches", 200)],
    ids=["of this gallery", "of all galleries"],
)
def test_a_member_removed_while_a_search_is_held_reads_nothing_of_it(
    api: Client,
    member: Member,
    their_gallery: Gallery,
    face_search: MemorySearchClient,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    status: int,
) -> None:
    photo = add_indexed_photo(member.gallery)

    async def removed_meanwhile(*_: Any, **__: Any) -> SearchResult:
        await sync_to_async(member.delete)()
        return await sync_to_async(answer_with)(photo)

    monkeypatch.setattr(face_search, "wait_for_search", removed_meanwhile)
    response = start(api, path.format(gallery=member.gallery_id), "?wait=5")
    assert response.status_code == status
    assert str(photo.id) not in response.content.decode()
    assert photo.filename not in response.content.decode()


def test_a_key_limited_to_galleries_reads_only_their_part_of_an_answer(
    user: User, gallery: Gallery, face_search: MemorySearchClient
) -> None:
    other = gallery_create(owner=user, name="Other")
    photos = [add_indexed_photo(gallery, content=b"1"), add_indexed_photo(other, content=b"2")]
    session = Client()
    session.force_login(user)
    of_all, of_one = start(session)["Location"], start(session, f"/api/v1/galleries/{gallery.id}/searches")["Location"]
    face_search.result = answer_with(*photos)
    _, token = key_create(user=user, name="limited", scopes=[Scope.SEARCH], galleries=[other])
    key = Client(headers={"Authorization": f"Bearer {token}"})
    assert matches_in(key.get(of_all)) == [str(photos[1].id)]
    assert key.get(of_one).status_code == 404
    assert matches_in(session.get(of_all)) == [str(photo.id) for photo in photos]
