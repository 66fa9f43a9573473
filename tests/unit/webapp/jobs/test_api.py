"""The jobs API: lists in parts, requests that wait, server-sent events; and who may do what."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.test import AsyncClient, Client

from tests.unit.webapp.conftest import add_photo, face_info, indexed, record, upload
from webapp.accounts.callers import Scope
from webapp.accounts.keys import key_create
from webapp.gallery.models import Gallery, Level, Member, Photo
from webapp.indexing import deleting
from webapp.jobs import events, watching
from webapp.jobs.models import Job

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "_watch", watching.JobWatch(look_seconds=0.01))


@pytest.fixture
def photo(gallery: Gallery) -> Photo:
    """A photo whose job is running."""
    return add_photo(gallery)


@pytest.fixture
def api(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


async def logged_in(user: User) -> AsyncClient:
    client = AsyncClient()
    await client.aforce_login(user)
    return client


def finish(photo: Photo) -> None:
    record(photo.gallery, indexed(photo, face_info()))


async def held(request: "asyncio.Task[Any]") -> None:
    """Return when the request has read the job, and is held."""
    while not watching.job_watch().waiting:
        assert not request.done(), request.result().content
        await asyncio.sleep(0.01)


# -- lists ----------------------------------------------------------------------------------------------------


def test_jobs_are_listed_in_parts_newest_first(api: Client, gallery: Gallery) -> None:
    photos = [add_photo(gallery, bytes([number])) for number in range(3)]
    first = api.get("/api/v1/jobs?limit=2").json()
    second = api.get(f"/api/v1/jobs?limit=2&cursor={first['next_cursor']}").json()
    listed = [each["id"] for each in (*first["items"], *second["items"])]
    assert listed == [str(photo.job_id) for photo in reversed(photos)]
    assert second["next_cursor"] is None


def test_a_list_is_narrowed_by_state_kind_and_gallery(api: Client, gallery: Gallery, their_gallery: Gallery) -> None:
    photo, running = add_photo(gallery, b"1"), add_photo(gallery, b"2")
    finish(photo)

    def listed(query: str) -> list[str]:
        return [each["id"] for each in api.get(f"/api/v1/jobs?{query}").json()["items"]]

    assert listed("state=running") == [str(running.job_id)]
    assert listed("state=finished&kind=import") == [str(photo.job_id)]
    assert listed("kind=move") == []
    assert len(listed(f"gallery_id={gallery.id}")) == 2
    assert api.get(f"/api/v1/jobs?gallery_id={their_gallery.id}").status_code == 404
    assert api.get("/api/v1/jobs?state=odd").status_code == 422


def test_a_job_says_who_asked_for_it(api: Client, user: User, stranger: User, gallery: Gallery) -> None:
    Member.objects.create(gallery=gallery, user=stranger, level=Level.EDITOR)
    theirs = Client()
    theirs.force_login(stranger)
    job_id = theirs.post(f"/api/v1/galleries/{gallery.id}/photos", {"files": upload()}).json()["job_id"]
    assert api.get(f"/api/v1/jobs/{job_id}").json()["requested_by"] == stranger.username
    assert Job.objects.get().owner == user, "whose turn it is"


@pytest.mark.parametrize(("level", "status"), [(None, 404), (Level.VIEWER, 404), (Level.EDITOR, 200)])
def test_editors_see_and_cancel_the_jobs_of_a_gallery(
    photo: Photo, stranger: User, level: Level | None, status: int
) -> None:
    if level is not None:
        Member.objects.create(gallery=photo.gallery, user=stranger, level=level)
    client = Client()
    client.force_login(stranger)
    assert client.get(f"/api/v1/jobs/{photo.job_id}").status_code == status
    assert client.get(f"/api/v1/jobs/{photo.job_id}/events").status_code == status
    assert client.post(f"/api/v1/jobs/{photo.job_id}/cancel").status_code == status


def test_the_deletion_of_a_gallery_is_followed_to_its_end(api: Client, gallery: Gallery, photo: Photo) -> None:
    add_photo(gallery, b"other")
    deleting.gallery_delete(gallery=gallery)
    address = f"/api/v1/jobs/{Job.objects.get(kind='delete').id}"
    assert api.get(address).json()["state"] == "running"
    deleting.removals_record(gallery_id=gallery.id, photo_ids=list(gallery.photos.values_list("id", flat=True)))
    assert api.get(address).json()["state"] == "finished"


@pytest.mark.parametrize(("scope", "reading", "writing"), [("read", 200, 403), ("write", 403, 200)])
def test_reading_takes_the_scope_read_and_cancelling_write(
    client: Client, photo: Photo, user: User, scope: str, reading: int, writing: int
) -> None:
    _, token = key_create(user=user, name="key", scopes=[Scope(scope)])
    headers = {"Authorization": f"Bearer {token}"}
    assert client.get(f"/api/v1/jobs/{photo.job_id}", headers=headers).status_code == reading
    assert client.get(f"/api/v1/jobs/{photo.job_id}/events", headers=headers).status_code == reading
    assert client.post(f"/api/v1/jobs/{photo.job_id}/cancel", headers=headers).status_code == writing


# -- waiting --------------------------------------------------------------------------------------------------


async def test_a_request_waits_until_the_job_is_over(user: User, photo: Photo) -> None:
    client = await logged_in(user)
    waiting = asyncio.create_task(client.get(f"/api/v1/jobs/{photo.job_id}?wait=30"))
    await held(waiting)
    await sync_to_async(finish)(photo)
    assert (await waiting).json()["state"] == "finished"


async def test_a_wait_is_bounded_by_the_setting(user: User, photo: Photo, settings: Any) -> None:
    settings.SEARCH_MAX_WAIT_SECONDS = 0.05
    answer = await (await logged_in(user)).get(f"/api/v1/jobs/{photo.job_id}?wait=3600")
    assert (answer.status_code, answer.json()["state"]) == (200, "running")


async def test_a_wait_may_end_with_the_first_change(user: User, gallery: Gallery, photo: Photo) -> None:
    other = await sync_to_async(add_photo)(gallery, b"other")
    await Photo.objects.filter(id=other.id).aupdate(job=photo.job_id)
    await Job.objects.filter(id=photo.job_id).aupdate(total=2)
    client = await logged_in(user)
    waiting = asyncio.create_task(client.get(f"/api/v1/jobs/{photo.job_id}?wait=30&until=changed"))
    await held(waiting)
    await sync_to_async(finish)(other)
    assert (await waiting).json()["counts"]["indexed"] == 1


async def test_who_loses_access_while_waiting_gets_no_answer(user: User, stranger: User, photo: Photo) -> None:
    member = await Member.objects.acreate(gallery_id=photo.gallery_id, user=stranger, level=Level.EDITOR)
    client = await logged_in(stranger)
    waiting = asyncio.create_task(client.get(f"/api/v1/jobs/{photo.job_id}?wait=30"))
    await held(waiting)
    await member.adelete()
    await sync_to_async(finish)(photo)
    assert (await waiting).status_code == 404


async def test_a_key_that_is_revoked_while_waiting_gets_no_answer(user: User, photo: Photo) -> None:
    key, token = await sync_to_async(key_create)(user=user, name="key", scopes=[Scope.READ])
    headers = {"Authorization": f"Bearer {token}"}
    waiting = asyncio.create_task(AsyncClient().get(f"/api/v1/jobs/{photo.job_id}?wait=30", headers=headers))
    await held(waiting)
    await key.adelete()
    await sync_to_async(finish)(photo)
    assert ((await waiting).status_code, (await waiting).json()["code"]) == (401, "bad_key")


# -- events ---------------------------------------------------------------------------------------------------


def events_in(text: str) -> list[tuple[str, dict[str, Any]]]:
    """Return the kind and the data of each event."""
    found = []
    for part in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in part.splitlines() if not line.startswith(":"))
        if "event" in fields:
            found.append((fields["event"], json.loads(fields["data"])))
    return found


async def parts_of(response: Any) -> AsyncIterator[str]:
    async for part in response.streaming_content:
        yield part.decode()


async def stream(client: AsyncClient, photo: Photo, **headers: str) -> Any:
    return await client.get(f"/api/v1/jobs/{photo.job_id}/events", headers=headers)


async def test_a_stream_shows_the_job_each_change_and_its_end(user: User, photo: Photo) -> None:
    response = await stream(await logged_in(user), photo)
    assert response["Content-Type"] == "text/event-stream"
    assert response["Cache-Control"] == "no-store"
    parts = parts_of(response)
    first = await anext(parts)
    assert first.startswith("retry: 3000\n\n")
    await sync_to_async(finish)(photo)
    rest = "".join([part async for part in parts])
    kinds = events_in(first + rest)
    assert [(kind, data["state"]) for kind, data in kinds] == [("progress", "running"), ("over", "finished")]
    assert kinds[-1][1]["counts"]["indexed"] == 1


async def test_a_silent_stream_is_kept_alive(user: User, photo: Photo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "KEEP_ALIVE_SECONDS", 0.01)
    parts = parts_of(await stream(await logged_in(user), photo))
    await anext(parts)
    assert await anext(parts) == ": still there\n\n"
    await parts.aclose()


async def test_a_finished_job_is_one_event_and_a_browser_that_comes_back_is_told_to_stop(
    user: User, photo: Photo
) -> None:
    await sync_to_async(finish)(photo)
    client = await logged_in(user)
    response = await stream(client, photo)
    text = "".join([part async for part in parts_of(response)])
    assert [kind for kind, _ in events_in(text)] == ["over"]
    assert "id: finished\n" in text
    assert (await stream(client, photo, **{"Last-Event-ID": "finished"})).status_code == 204


@pytest.mark.parametrize("event_id", ["running", "", "nonsense", "\x7f" * 300])
async def test_any_other_last_event_id_does_no_harm(user: User, photo: Photo, event_id: str) -> None:
    response = await stream(await logged_in(user), photo, **{"Last-Event-ID": event_id})
    assert response.status_code == 200
    response.close()


async def test_who_loses_access_gets_a_problem_and_no_progress(user: User, stranger: User, photo: Photo) -> None:
    member = await Member.objects.acreate(gallery_id=photo.gallery_id, user=stranger, level=Level.EDITOR)
    parts = parts_of(await stream(await logged_in(stranger), photo))
    await anext(parts)
    await member.adelete()
    await sync_to_async(finish)(photo)
    [(kind, data)] = events_in("".join([part async for part in parts]))
    assert (kind, data["code"]) == ("problem", "not_found")


@pytest.mark.parametrize("with_key", [True, False])
async def test_a_revoked_key_or_an_ended_session_ends_the_stream(user: User, photo: Photo, with_key: bool) -> None:
    key, token = await sync_to_async(key_create)(user=user, name="key", scopes=[Scope.READ])
    client = AsyncClient() if with_key else await logged_in(user)
    headers = {"X-Api-Key": token} if with_key else {}
    parts = parts_of(await stream(client, photo, **headers))
    await anext(parts)
    if with_key:
        await key.adelete()
    else:
        await client.alogout()
    await sync_to_async(finish)(photo)
    [(kind, data)] = events_in("".join([part async for part in parts]))
    assert (kind, data["code"]) == ("problem", "bad_key" if with_key else "not_logged_in")


async def test_the_streams_of_a_client_are_bounded_and_a_closed_one_makes_room(
    user: User, stranger: User, photo: Photo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "streams", events.Streams(most=3, most_per_client=2))
    await Member.objects.acreate(gallery_id=photo.gallery_id, user=stranger, level=Level.EDITOR)
    client, other = await logged_in(user), await logged_in(stranger)
    first, second = await stream(client, photo), await stream(client, photo)
    refused = await stream(client, photo)
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_streams")
    assert int(refused["Retry-After"]) > 0
    third = await stream(other, photo)
    assert third.status_code == 200
    assert (await stream(other, photo)).status_code == 429, "the process has as many as it holds"
    first.close()
    first.close()
    fourth = await stream(client, photo)
    assert fourth.status_code == 200
    assert (await stream(client, photo)).status_code == 429, "closing twice makes room for one"
    for each in (second, third, fourth):
        each.close()


async def test_a_stream_that_nobody_took_up_gives_its_place_back(
    user: User, photo: Photo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "streams", events.Streams(most=1, most_per_client=1))
    job = (await sync_to_async(watching.jobs_read)([photo.job_id]))[photo.job_id]
    events.JobEvents(job, client="ada", check=lambda: None)  # garbage at once
    events.streams.enter("ada")
