"""Uploads: in one form, and in several requests that are one job."""

import re
import uuid
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.unit.webapp.conftest import WatchedQueue, add_photo, upload
from webapp.gallery.models import Gallery
from webapp.gallery.services import gallery_create
from webapp.jobs import services as jobs
from webapp.jobs.models import Job


@pytest.fixture
def client(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def text(response: Any) -> str:
    return re.sub(r"\s+", " ", response.content.decode())


def send(client: Client, gallery: Gallery, *files: Any, job_id: Any) -> Any:
    return client.post(f"/api/v1/galleries/{gallery.id}/photos?job_id={job_id}", {"files": list(files)})


def results(response: Any) -> list[str]:
    assert response.status_code == 202, response.json()
    return [file["result"] for file in response.json()["files"]]


# -- the form -----------------------------------------------------------------------------------------------


def test_a_duplicate_is_told_with_a_link_to_the_photo_that_is_there(client: Client, gallery: Gallery) -> None:
    there = add_photo(gallery, b"1", "summer.jpg")
    shown = text(client.post(f"/galleries/{gallery.id}/photos/", {"photos": [upload(b"1", "copy.jpg"), upload(b"2")]}))
    assert f'copy.jpg: the same as <a href="/photos/{there.id}/">summer.jpg</a>' in shown
    assert "1 photo added." in shown


def test_every_refused_file_is_named_with_its_reason(client: Client, gallery: Gallery, settings: Any) -> None:
    settings.FACE_CONFIG = settings.FACE_CONFIG | {"MAX_IMAGE_BYTES": 10}
    files = [upload(b"x" * 11, f"<{number}>.jpg") for number in range(30)]
    shown = text(client.post(f"/galleries/{gallery.id}/photos/", {"photos": files}))
    assert all(f"&lt;{number}&gt;.jpg: <span" in shown for number in range(30))
    assert "photo added" not in shown


def test_the_page_tells_the_browser_what_will_be_refused(client: Client, gallery: Gallery, settings: Any) -> None:
    settings.FACE_CONFIG = settings.FACE_CONFIG | {"MAX_IMAGE_BYTES": 12345}
    shown = text(client.get(f"/galleries/{gallery.id}/"))
    assert 'data-file-bytes="12345"' in shown
    assert re.search(r'data-suffixes="[^"]*\.heic', shown)


# -- several requests, one job ------------------------------------------------------------------------------


def test_requests_with_one_job_id_are_one_job_until_it_is_closed(client: Client, gallery: Gallery) -> None:
    job_id = uuid.uuid4()
    for content in (b"1", b"2", b"3"):
        response = send(client, gallery, upload(content, f"{content!r}.jpg"), job_id=job_id)
        assert response.json()["job_id"] == str(job_id)
    job = Job.objects.get()
    assert (job.id, job.total, job.state) == (job_id, 3, Job.State.RUNNING)
    assert job.open_until is not None
    assert client.post(f"/api/v1/jobs/{job_id}/close").status_code == 200
    job.refresh_from_db()
    assert job.open_until is None
    assert client.post(f"/api/v1/jobs/{job_id}/close").status_code == 200  # repeated after a lost answer


def test_a_file_that_is_sent_again_for_its_job_is_added_once_and_says_whose_it_is(
    client: Client, gallery: Gallery
) -> None:
    there = add_photo(gallery, b"0", "there.jpg")
    job_id = uuid.uuid4()
    files = [(b"0", "copy.jpg"), (b"1", "a.jpg")]
    first, again = (send(client, gallery, *(upload(*file) for file in files), job_id=job_id) for _ in range(2))
    assert (results(first), results(again)) == (["already_there", "added"], ["already_there", "already_there"])
    copy, added = again.json()["files"]
    assert (copy["photo_filename"], copy["photo_job_id"]) == ("there.jpg", str(there.job_id))
    assert (added["photo_filename"], added["photo_job_id"]) == ("a.jpg", str(job_id))
    assert Job.objects.get(id=job_id).total == 1


def test_photos_remember_the_folders_that_their_files_were_in(client: Client, gallery: Gallery) -> None:
    files = [upload(b"1", "a.jpg"), upload(b"2", "a.jpg")]
    form = {"files": files, "folders": ["2019/Rome", ""]}
    assert client.post(f"/api/v1/galleries/{gallery.id}/photos", form).status_code == 202
    assert sorted(gallery.photos.values_list("folder", flat=True)) == ["", "2019/Rome"]


def test_there_are_as_many_folders_as_files_or_none(client: Client, gallery: Gallery) -> None:
    form = {"files": [upload(b"1"), upload(b"2")], "folders": "2019"}
    response = client.post(f"/api/v1/galleries/{gallery.id}/photos", form)
    assert (response.status_code, response.json()["code"]) == (422, "invalid_request")
    assert not gallery.photos.exists()


def test_a_job_without_a_photo_is_none(client: Client, gallery: Gallery) -> None:
    add_photo(gallery, b"1", "there.jpg")
    Job.objects.all().delete()
    response = send(client, gallery, upload(b"1", "a.jpg"), job_id=uuid.uuid4())
    assert response.json()["job_id"] is None
    assert not Job.objects.exists()


def test_requests_that_begin_a_job_at_the_same_time_share_it(gallery: Gallery, user: User) -> None:
    job_id = uuid.uuid4()
    both = [jobs.import_joined(job_id=job_id, gallery=gallery, requested_by_id=user.pk) for _ in range(2)]
    for job in both:
        jobs.photo_count_in(job=job)
    assert Job.objects.get().total == 2
    assert all(jobs.job_is_saved(job) for job in both)


def test_a_cancelled_job_takes_no_more_files_not_even_again(client: Client, gallery: Gallery) -> None:
    job_id = uuid.uuid4()
    send(client, gallery, upload(b"1", "a.jpg"), job_id=job_id)
    client.post(f"/api/v1/jobs/{job_id}/cancel")
    for content in (b"1", b"2"):
        response = send(client, gallery, upload(content), job_id=job_id)
        assert (response.status_code, response.json()["code"]) == (409, "job_over")


def test_nobody_joins_the_job_of_another_gallery_or_user(
    client: Client, gallery: Gallery, user: User, their_gallery: Gallery, stranger: User
) -> None:
    other = gallery_create(owner=user, name="Other")
    job_id = uuid.uuid4()
    send(client, other, upload(b"1"), job_id=job_id)
    theirs = jobs.import_prepare(gallery=their_gallery, requested_by_id=stranger.pk)
    jobs.photo_count_in(job=theirs)
    for taken in (job_id, theirs.id):
        response = send(client, gallery, upload(b"2"), job_id=taken)
        assert (response.status_code, response.json()["code"]) == (404, "not_found")
    assert not gallery.photos.exists()


def test_photos_are_sent_to_workers_while_the_upload_goes_on(
    client: Client, gallery: Gallery, queue: WatchedQueue
) -> None:
    send(client, gallery, upload(b"1"), job_id=uuid.uuid4())
    assert len(queue.indexed_ids) == 1
