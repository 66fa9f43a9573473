"""Quotas: what a user may have in all, exact however many uploads run at once, with numbers in every refusal."""

import threading
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

from tests.stored_files import stored_keys
from tests.unit.webapp.conftest import add_photo, upload
from webapp.accounts.models import Quota
from webapp.gallery import quotas, services
from webapp.gallery.models import Gallery, Photo, Usage
from webapp.http.problems import Problem
from webapp.indexing import adding, deleting
from webapp.jobs.models import Job
from webapp.jobs.services import job_cancel


def usage(user: User) -> tuple[int, int]:
    """The user's photos and bytes as they are counted on the way."""
    found = Usage.objects.get(owner=user)
    return found.photos, found.byte_size


def test_without_a_quota_nothing_is_refused_and_what_there_is_is_counted(gallery: Gallery, user: User) -> None:
    add_photo(gallery, b"123")
    add_photo(gallery, b"4567")
    assert usage(user) == (2, 7)
    assert quotas.quota_text(user.pk) == ""


def test_photos_beyond_the_quota_are_refused_one_by_one(gallery: Gallery, settings: Any) -> None:
    settings.QUOTA_PHOTOS = 2
    added = adding.photos_add(gallery=gallery, files=[upload(bytes([number])) for number in range(3)])
    assert (len(added.added), [file.code for file in added.refused]) == (2, ["quota_photos"])
    assert "2 of 2 photos" in added.refused[0].message
    assert len(stored_keys()) == 2, "a refused file stays nowhere"


def test_a_file_that_is_there_already_needs_no_room(gallery: Gallery, user: User, settings: Any) -> None:
    add_photo(gallery, b"1")
    settings.QUOTA_PHOTOS, settings.QUOTA_BYTES = 1, 1
    added = adding.photos_add(gallery=gallery, files=[upload(b"1"), upload(b"2")])
    assert [file.result for file in added.files] == ["already_there", "refused"]
    job_cancel(job=Job.objects.get())
    again = adding.photos_add(gallery=gallery, files=[upload(b"1")])
    assert [file.result for file in again.files] == ["added"]
    assert usage(user) == (1, 1)
    assert len(stored_keys()) == 1


def test_a_file_that_does_not_fit_is_refused_and_a_smaller_one_is_not(
    gallery: Gallery, user: User, settings: Any
) -> None:
    settings.QUOTA_BYTES = 10
    added = adding.photos_add(gallery=gallery, files=[upload(b"12345678"), upload(b"9876"), upload(b"ab")])
    assert [file.result for file in added.files] == ["added", "refused", "added"]
    assert added.refused[0].code == "quota_bytes"
    assert usage(user) == (2, 10)


def test_galleries_beyond_the_quota_are_refused_on_the_page_and_by_the_api(
    gallery: Gallery, user: User, settings: Any, client: Client
) -> None:
    settings.QUOTA_GALLERIES = 1
    with pytest.raises(Problem, match="1 of 1 galleries") as problem:
        services.gallery_create(owner=user, name="Second")
    assert problem.value.code == "quota_galleries"
    client.force_login(user)
    assert "1 of 1 galleries" in client.post("/", {"name": "Second"}).content.decode()
    refused = client.post("/api/v1/galleries", {"name": "Second"}, content_type="application/json")
    assert (refused.status_code, refused.json()["code"]) == (409, "quota_galleries")
    deleting.gallery_delete(gallery=gallery)
    assert services.gallery_create(owner=user, name="Second")


def test_a_users_own_quota_replaces_the_settings_and_zero_means_none(
    gallery: Gallery, user: User, settings: Any
) -> None:
    settings.QUOTA_PHOTOS, settings.QUOTA_BYTES = 1, 100
    quota = Quota.objects.create(user=user, photos=2)
    add_photo(gallery, b"1")
    add_photo(gallery, b"2")
    assert quotas.quota_text(user.pk) == "2 of 2 photos, 0.0 of 0.0 MiB"
    assert adding.photos_add(gallery=gallery, files=[upload(b"3")]).refused[0].code == "quota_photos"
    quota.photos = quota.byte_size = 0
    quota.save()
    assert add_photo(gallery, b"3")
    assert quotas.quota_text(user.pk) == ""


def test_a_quota_is_the_owners_alone(gallery: Gallery, their_gallery: Gallery, settings: Any) -> None:
    settings.QUOTA_PHOTOS = 1
    assert add_photo(gallery)
    assert add_photo(their_gallery)


def test_a_photo_takes_room_until_its_row_and_file_are_gone(gallery: Gallery, user: User, settings: Any) -> None:
    settings.QUOTA_PHOTOS = 1
    photo = add_photo(gallery)
    deleting.photos_delete(gallery=gallery, photo_ids=[photo.id])
    assert adding.photos_add(gallery=gallery, files=[upload(b"other")]).refused
    deleting.removals_record(gallery_id=gallery.id, photo_ids=[photo.id])
    deleting.removals_record(gallery_id=gallery.id, photo_ids=[photo.id])
    assert usage(user) == (0, 0)
    assert add_photo(gallery, b"other")


def test_content_that_is_there_already_takes_no_room_and_neither_does_a_cancelled_photo_that_begins_again(
    gallery: Gallery, user: User
) -> None:
    photo = add_photo(gallery)
    adding.photos_add(gallery=gallery, files=[upload()])
    assert photo.job is not None
    job_cancel(job=photo.job)
    add_photo(gallery)
    assert usage(user) == (1, photo.byte_size)


@pytest.mark.django_db(transaction=True)
def test_uploads_at_the_same_time_do_not_exceed_the_quota_together(gallery: Gallery, user: User, settings: Any) -> None:
    settings.QUOTA_PHOTOS = 3
    other = services.gallery_create(owner=user, name="Other")
    results: list[str] = []

    def add(into: Gallery, number: int) -> None:
        try:
            results.extend(
                file.result for file in adding.photos_add(gallery=into, files=[upload(bytes([number]))]).files
            )
        finally:
            connection.close()

    threads = [threading.Thread(target=add, args=((gallery, other)[number % 2], number)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == ["added"] * 3 + ["refused"] * 5
    assert (Photo.objects.count(), usage(user)) == (3, (3, 3))


def test_a_count_that_went_wrong_is_put_right(gallery: Gallery, user: User) -> None:
    photo = add_photo(gallery)
    Usage.objects.update(photos=99, byte_size=0)
    quotas.usages_recount()
    assert usage(user) == (1, photo.byte_size)


def test_the_list_of_galleries_shows_what_is_used_of_a_quota(
    gallery: Gallery, user: User, settings: Any, client: Client
) -> None:
    client.force_login(user)
    add_photo(gallery)
    assert "1 of" not in client.get("/").content.decode()
    settings.QUOTA_PHOTOS, settings.QUOTA_BYTES = 1200, 3 * 2**30
    assert "1 of 1,200 photos, 0.0 of 3,072.0 MiB" in client.get("/").content.decode()


def test_staff_give_a_user_a_quota_in_the_admin(admin_client: Client, user: User, gallery: Gallery) -> None:
    form = admin_client.get("/admin/accounts/quota/add/")
    assert form.status_code == 200
    saved = admin_client.post("/admin/accounts/quota/add/", {"user": user.pk, "photos": "1", "galleries": ""})
    assert saved.status_code == 302
    add_photo(gallery)
    assert adding.photos_add(gallery=gallery, files=[upload(b"other")]).refused[0].code == "quota_photos"
