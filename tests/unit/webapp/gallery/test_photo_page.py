"""The page of a photo: its picture with boxes, its faces, what is known of it, what may be done with it."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from tests.unit.webapp.conftest import WatchedQueue, add_indexed_photo, add_photo, face_info, failed, record
from webapp.gallery.models import Face, FailedPhoto, Gallery, Level, Member, Photo
from webapp.gallery.templatetags.photos import percent_of, utc_offset
from webapp.people.services import face_name


@pytest.fixture
def page(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def photo(gallery: Gallery) -> Photo:
    """A photo with two faces and all renditions."""
    photo = add_indexed_photo(gallery, face_info(), face_info(left=200))
    Photo.objects.filter(id=photo.id).update(renditions="a" * 16)
    for number, face in enumerate(photo.faces.all()):
        Face.objects.filter(id=face.id).update(crop=f"{number}" * 16)
    photo.refresh_from_db()
    return photo


def shown(page: Client, photo: Photo, query: str = "") -> str:
    response = page.get(f"/photos/{photo.id}/{query}")
    assert response.status_code == 200
    content: str = response.content.decode()
    return content


def test_the_boxes_lie_on_the_preview_in_percent_of_the_upright_picture(page: Client, photo: Photo) -> None:
    first, second = photo.faces.all()
    text = shown(page, photo, f"?face={second.id}")
    assert f'src="/photos/{photo.id}/preview/{"a" * 16}.jpg"' in text
    assert f'class="face" data-face="{first.id}" x="1.641%" y="4.167%" width="4.688%" height="8.333%"' in text
    assert f'class="face marked" data-face="{second.id}" x="31.250%"' in text


def test_a_box_carries_its_number_until_its_face_has_a_name(page: Client, photo: Photo) -> None:
    face_name(face=photo.faces.first(), name="Ada <1>")
    labels = re.findall(r"<text[^>]*>([^<]*)</text>", shown(page, photo))
    assert labels == ["Ada &lt;1&gt;", "2"]


def test_a_box_leads_to_the_name_of_its_face_and_each_face_has_its_crop_beside_it(page: Client, photo: Photo) -> None:
    text = shown(page, photo)
    for face in photo.faces.all():
        assert f'<a href="#name-{face.id}"' in text
        assert f'<input id="name-{face.id}"' in text
        assert f'src="/faces/{face.id}/crop/{face.crop}.jpg"' in text


def test_a_viewer_sees_names_without_fields_and_no_buttons_that_change_anything(
    photo: Photo, stranger: User, gallery: Gallery
) -> None:
    Member.objects.create(gallery=gallery, user=stranger, level=Level.VIEWER)
    face_name(face=photo.faces.first(), name="Ada")
    client = Client()
    client.force_login(stranger)
    text = shown(client, photo)
    assert 'class="person">Ada</p>' in text
    assert f'<a href="#face-{photo.faces.first().id}"' in text
    for address in ("/name/", "/delete/", "/retry/", "/move/", "/original/"):
        assert address not in text


def test_raw_scores_are_among_the_details_and_coordinates_nowhere(page: Client, photo: Photo) -> None:
    text = shown(page, photo)
    details = re.findall(r"<details>.*?</details>", text, re.DOTALL)
    assert len(details) == 2
    assert all("0.90" in each and "0.70" in each for each in details)
    rest = re.sub(r"<details>.*?</details>", "", text, flags=re.DOTALL)
    assert "score" not in rest.lower()
    assert "10.5" not in text


def test_naming_a_face_leads_back_to_it(page: Client, photo: Photo) -> None:
    face = photo.faces.last()
    response = page.post(f"/faces/{face.id}/name/", {"name": "Ada"})
    assert response["Location"] == f"/photos/{photo.id}/#face-{face.id}"
    form = {"name": "Ada", "query": "state=indexed&sort=-taken&x=#\r\n//"}
    response = page.post(f"/faces/{face.id}/name/", form)
    kept = "state=indexed&sort=-taken&x=%23%0D%0A%2F%2F"
    assert response["Location"] == f"/photos/{photo.id}/?{kept}#face-{face.id}", "the list it was opened from is kept"
    response = page.post(f"/faces/{face.id}/name/", {"name": "x" * 101})
    assert response["Location"] == f"/photos/{photo.id}/", "what was wrong is said at the top of the page"


def test_what_the_file_says_of_the_photo_is_shown_as_the_camera_said_it(page: Client, photo: Photo) -> None:
    Photo.objects.filter(id=photo.id).update(
        taken_at=datetime(2024, 5, 6, 7, 8, tzinfo=UTC),
        taken_utc_offset_minutes=-210,
        camera="Canon EOS R5",
        folder="2024/Island",
        warning_code="image_incomplete",
        warning="The file is cut short or damaged: 7% of it is missing.",
    )
    with timezone.override("Pacific/Auckland"):
        text = shown(page, photo)
    assert "6 May 2024, 07:08" in text
    assert "UTC-03:30" in text
    for what in ("Canon EOS R5", "2024/Island", "7% of it is missing"):
        assert what in text


def test_a_pending_photo_has_a_placeholder_and_its_page_renews_itself(page: Client, gallery: Gallery) -> None:
    photo = add_photo(gallery)
    text = shown(page, photo)
    assert "waiting to be indexed" in text
    assert '<noscript><meta http-equiv="refresh"' in text
    assert 'hx-trigger="every 2s"' in text
    unchanged = page.get(f"/photos/{photo.id}/", headers={"HX-Request": "true"})
    assert (unchanged.status_code, unchanged.has_header("HX-Refresh")) == (204, False)
    record(gallery, failed(photo))
    changed = page.get(f"/photos/{photo.id}/", headers={"HX-Request": "true"})
    assert (changed.status_code, changed["HX-Refresh"]) == (204, "true")
    text = shown(page, photo)
    assert "This file is not a picture." in text
    assert "http-equiv" not in text
    assert "hx-trigger" not in text


@pytest.mark.parametrize(
    ("state", "code", "may_retry"),
    [
        ("failed", "not_an_image", False),
        *[("failed", code, True) for code in FailedPhoto.CODES],
        ("cancelled", "", True),
        ("indexed", "", False),
        ("pending", "", False),
    ],
)
def test_only_what_may_succeed_can_be_retried(
    page: Client, photo: Photo, state: str, code: str, may_retry: bool
) -> None:
    Photo.objects.filter(id=photo.id).update(state=state, code=code)
    assert (f'action="/photos/{photo.id}/retry/"' in shown(page, photo)) == may_retry


def test_deleting_asks_first(page: Client, photo: Photo, queue: WatchedQueue) -> None:
    address = f"/photos/{photo.id}/delete/"
    assert f'href="{address}"' in shown(page, photo)
    assert "Delete “ada.jpg”?" in page.get(address).content.decode()
    assert queue.removed_ids == []
    page.post(address)
    assert queue.removed_ids == [str(photo.id)]


def test_deleting_leads_to_where_the_photo_was_in_the_list(page: Client, photo: Photo, gallery: Gallery) -> None:
    following = add_photo(gallery, b"following")
    Photo.objects.update(folder="Ibiza")
    query = "?folder=Ibiza&sort=created"
    address = f"/photos/{photo.id}/delete/{query.replace('&', '&amp;')}"
    assert f'href="{address}"' in shown(page, photo, query)
    assert f'action="{address}"' in page.get(f"/photos/{photo.id}/delete/{query}").content.decode()
    answer = page.post(f"/photos/{photo.id}/delete/{query}")
    place = f"at={following.id}#photo-{following.id}"
    assert answer["Location"] == f"/galleries/{gallery.id}/{query}&{place}"
    assert page.post(f"/photos/{following.id}/delete/")["Location"] == f"/galleries/{gallery.id}/", "none is left"


def test_retrying_stays_on_the_page_and_says_so(page: Client, gallery: Gallery, photo: Photo) -> None:
    Photo.objects.filter(id=photo.id).update(state="failed", code="gave_up")
    answer = page.post(f"/photos/{photo.id}/retry/?sort=filename", follow=True)
    assert answer.redirect_chain[-1][0] == f"/photos/{photo.id}/?sort=filename"
    assert "1 photo sent again." in answer.content.decode()


@pytest.mark.parametrize(("state", "is_said"), [("pending", False), ("failed", False), ("no_faces", True)])
def test_nobody_says_no_faces_of_a_photo_that_was_not_looked_at(
    page: Client, gallery: Gallery, state: str, is_said: bool
) -> None:
    photo = add_photo(gallery)
    Photo.objects.filter(id=photo.id).update(state=state)
    assert (">No faces</h2>" in shown(page, photo)) == is_said


def test_the_download_says_that_the_file_keeps_its_metadata(page: Client, photo: Photo) -> None:
    text = shown(page, photo)
    assert f'href="/photos/{photo.id}/original/"' in text
    assert "with all that the camera wrote into it" in text


@pytest.mark.parametrize(
    ("pixels", "whole", "percent"), [(0, 640, "0.000%"), (160, 640, "25.000%"), (640, 640, "100.000%"), (1, None, "0%")]
)
def test_a_place_in_a_picture_is_a_percentage_in_every_language(pixels: float, whole: Any, percent: str) -> None:
    assert percent_of(pixels, whole) == percent


@pytest.mark.parametrize(
    ("minutes", "zone"), [(0, "UTC+00:00"), (330, "UTC+05:30"), (-210, "UTC-03:30"), (-30, "UTC-00:30"), (None, "")]
)
def test_a_time_zone_is_written_as_hours_and_minutes(minutes: int | None, zone: str) -> None:
    assert utc_offset(minutes) == zone
