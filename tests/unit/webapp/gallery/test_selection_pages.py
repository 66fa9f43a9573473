"""Choosing photos on the grid, and what is done to them."""

import re
import uuid
from typing import Any
from urllib.parse import urlencode

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client

from tasks import clock
from tasks.dictionaries import FORM_BYTES
from tests.unit.webapp.conftest import WatchedQueue, add_indexed_photo, add_photo, failed, indexed, record
from webapp.gallery import services
from webapp.gallery.models import Gallery, Level, Member, Photo
from webapp.gallery.selectors import IDS_PER_QUERY
from webapp.http.pages import GRID_SIZE
from webapp.jobs.models import Job


@pytest.fixture
def page(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def target(user: User) -> Gallery:
    return services.gallery_create(owner=user, name="Family")


def text(response: Any) -> str:
    content: str = response.content.decode()
    return content


def hidden(shown: str, name: str) -> str:
    """The value of a hidden field."""
    [value] = re.findall(rf'<input type="hidden" name="{name}" value="([^"]*)"', shown)
    return str(value)


def sure_of_all(asked: str) -> dict[str, str]:
    """What the page that asks about all of a list sends when somebody is sure."""
    return {name: hidden(asked, name) for name in ("all", "seen_at", "count")} | {"sure": "1"}


def test_the_grid_is_a_form_with_a_box_for_each_photo(page: Client, gallery: Gallery) -> None:
    photo = add_photo(gallery)
    address = f"/galleries/{gallery.id}/"
    shown = text(page.get(address))
    assert f'<input type="checkbox" name="photo" value="{photo.id}"' in shown
    assert "All 1 photo<" in shown
    assert 'http-equiv="refresh"' in shown
    assert f'href="/galleries/{gallery.id}/?still=1"' in shown
    assert 'http-equiv="refresh"' not in text(page.get(address + "?still=1")), "renewed, it would lose its ticks"


def test_deleting_chosen_photos_asks_first(page: Client, gallery: Gallery, queue: WatchedQueue, user: User) -> None:
    one, two, kept = (add_photo(gallery, bytes([number])) for number in range(3))
    address = f"/galleries/{gallery.id}/selected/delete/"
    asked = text(page.post(address, {"photo": [str(one.id), str(two.id), "nonsense"]}))
    assert "Delete 2 photos from “Friends”?" in asked
    assert queue.removed == []
    [ids] = re.findall(r'name="photos" value="([^"]+)"', asked)
    answer = page.post(address, {"photos": ids, "sure": "1"}, follow=True)
    assert "2 photos are being deleted" in text(answer)
    assert sorted(queue.removed_ids) == sorted([str(one.id), str(two.id)])
    kept.refresh_from_db()
    assert kept.state == "pending"
    assert Job.objects.get(kind="delete").requested_by == user


def test_as_many_photos_are_ticked_as_the_page_lets_anybody_tick(page: Client, gallery: Gallery) -> None:
    script = (settings.BASE_DIR / "webapp/static/js/selection.js").read_text()
    [most] = map(int, re.findall(r"MOST_TICKED = (\d+);", script))
    photo = add_photo(gallery)
    ids = ".".join([photo.id.hex, *(uuid.uuid4().hex for _ in range(most - 1))])
    assert "Delete 1 photo from" in text(page.post(f"/galleries/{gallery.id}/selected/delete/", {"photos": ids}))
    # As a browser sends it, with what else is in the form.
    assert len(urlencode({"photos": ids})) < FORM_BYTES - 1000


def test_all_that_match_are_chosen_also_those_that_the_page_has_not_loaded(page: Client, gallery: Gallery) -> None:
    in_folder = [add_photo(gallery, bytes([number])).id for number in range(GRID_SIZE + 5)]
    Photo.objects.update(folder="Ibiza")
    other = add_photo(gallery, b"other")
    address = f"/galleries/{gallery.id}/selected/delete/?folder=Ibiza"
    asked = text(page.post(address, {"all": "1", "seen_at": clock.utcnow().isoformat()}))
    assert f"Delete {len(in_folder)} photos" in asked
    answer = page.post(address, sure_of_all(asked), follow=True)
    assert answer.redirect_chain[-1][0] == f"/galleries/{gallery.id}/?folder=Ibiza"
    assert set(Photo.objects.filter(state="deleting").values_list("id", flat=True)) == set(in_folder)
    other.refresh_from_db()
    assert other.state == "pending"


def test_all_never_means_photos_that_came_after_the_page_was_made(page: Client, gallery: Gallery) -> None:
    seen = add_photo(gallery, b"seen")
    seen_at = hidden(text(page.get(f"/galleries/{gallery.id}/")), "seen_at")
    add_photo(gallery, b"new")
    address = f"/galleries/{gallery.id}/selected/delete/"
    page.post(address, sure_of_all(text(page.post(address, {"all": "1", "seen_at": seen_at}))))
    assert Photo.objects.get(state="deleting") == seen


@pytest.mark.parametrize("action", ["delete", "move"])
def test_photos_that_match_only_since_the_page_asked_are_asked_about_first(
    page: Client, gallery: Gallery, target: Gallery, action: str
) -> None:
    one, two = add_photo(gallery, b"1"), add_photo(gallery, b"2")
    record(gallery, failed(one, code="gave_up"))
    address = f"/galleries/{gallery.id}/selected/{action}/?state=failed"
    asked = text(page.post(address, {"all": "1", "seen_at": clock.utcnow().isoformat()}))
    assert "More photos match by now" not in asked
    record(gallery, failed(two, code="gave_up"))
    answer = sure_of_all(asked) | {"target": str(target.id)}
    asked = text(page.post(address, answer))
    assert "More photos match by now" in asked
    assert Photo.objects.filter(gallery=gallery, state="failed").count() == 2
    page.post(address, sure_of_all(asked) | {"target": str(target.id)})
    assert not Photo.objects.filter(state="failed").exists()


@pytest.mark.parametrize("seen_at", ["", "yesterday", "2026-02-31T00:00:00Z", "2999-01-01T00:00:00"])
def test_all_without_the_time_of_the_page_is_nobody(page: Client, gallery: Gallery, seen_at: str) -> None:
    add_photo(gallery)
    form = {"all": "1", "seen_at": seen_at, "sure": "1"}
    assert "choose at least one" in text(page.post(f"/galleries/{gallery.id}/selected/delete/", form, follow=True))
    assert Photo.objects.get().state == "pending"


def test_moving_chosen_photos_asks_where_to(
    page: Client, gallery: Gallery, target: Gallery, their_gallery: Gallery, user: User
) -> None:
    photo = add_photo(gallery)
    Member.objects.create(gallery=their_gallery, user=user, level=Level.VIEWER)
    address = f"/galleries/{gallery.id}/selected/move/"
    asked = text(page.post(address, {"photo": str(photo.id)}))
    assert f'<option value="{target.id}">Family</option>' in asked
    assert str(their_gallery.id) not in asked, "a viewer may not add photos there"
    Member.objects.update(level=Level.EDITOR)
    asked = text(page.post(address, {"photo": str(photo.id)}))
    assert "Secrets (eve)" in asked
    page.post(address, {"photos": hidden(asked, "photos"), "target": str(target.id)})
    photo.refresh_from_db()
    assert photo.gallery == target


def test_more_photos_are_moved_than_one_query_names(page: Client, gallery: Gallery, target: Gallery) -> None:
    count = IDS_PER_QUERY + 2
    now = clock.utcnow()
    Photo.objects.bulk_create(
        Photo(gallery=gallery, filename="a", sha256=f"{number:064}", byte_size=1, state="indexed", created=now)
        for number in range(count)
    )
    form = {"all": "1", "seen_at": clock.utcnow().isoformat(), "count": str(count), "target": str(target.id)}
    answer = page.post(f"/galleries/{gallery.id}/selected/move/", form, follow=True)
    assert f"{count} photos moved to “Family”." in text(answer)
    assert target.photos.filter(state="moving").count() == count
    assert Job.objects.get(kind="move").total == count


def test_only_chosen_photos_that_may_succeed_are_sent_again(
    page: Client, gallery: Gallery, queue: WatchedQueue
) -> None:
    hopeless, hopeful, cancelled, good, other = (add_photo(gallery, bytes([number])) for number in range(5))
    record(gallery, failed(hopeless, code="not_an_image"), *[failed(each, code="gave_up") for each in (hopeful, other)])
    record(gallery, indexed(good))
    Photo.objects.filter(id=cancelled.id).update(state="cancelled")
    queue.forget()
    address = f"/galleries/{gallery.id}/selected/retry/"
    form = {"photo": [str(each.id) for each in (hopeless, hopeful, cancelled, good)]}
    assert "2 photos sent again." in text(page.post(address, form, follow=True))
    assert sorted(queue.indexed_ids) == sorted([str(hopeful.id), str(cancelled.id)])
    assert "None of the chosen photos" in text(page.post(address, {"photo": str(hopeless.id)}, follow=True))


def test_chosen_photos_are_moved_and_the_target_is_shown(page: Client, gallery: Gallery, target: Gallery) -> None:
    photos = [add_indexed_photo(gallery, content=bytes([number]), name=f"{number}.jpg") for number in range(3)]
    add_photo(target, bytes([2]))
    chosen = {"photo": [str(photo.id) for photo in photos], "target": str(target.id)}
    answer = page.post(f"/galleries/{gallery.id}/selected/move/", chosen, follow=True)
    assert answer.redirect_chain[-1][0] == f"/galleries/{target.id}/"
    assert "2 photos moved to “Family”." in text(answer)
    assert "2.jpg was not moved: “Family” already has this photo." in text(answer)
    assert "2 moving" in text(answer)
    job = Job.objects.get(kind="move")
    shown = text(page.get(f"/jobs/{job.id}/"))
    assert "Move in Family" in shown
    assert "by ada" in shown
    assert "Cancel" not in shown


def test_a_photo_is_moved_from_its_page(page: Client, gallery: Gallery, target: Gallery) -> None:
    photo = add_indexed_photo(gallery)
    assert f'action="/photos/{photo.id}/move/"' in text(page.get(f"/photos/{photo.id}/"))
    answer = page.post(f"/photos/{photo.id}/move/", {"target": str(target.id)}, follow=True)
    assert "1 photo moved" in text(answer)
    photo.refresh_from_db()
    assert photo.gallery == target


@pytest.mark.parametrize("form", [{}, {"photo": "x"}, {"photo": "{photo}", "target": ""}, {"target": "{target}"}])
def test_a_form_without_a_choice_says_so(page: Client, gallery: Gallery, target: Gallery, form: dict[str, str]) -> None:
    photo = add_photo(gallery)
    sent = {name: value.format(photo=photo.id, target=target.id) for name, value in form.items()}
    assert "Please choose" in text(page.post(f"/galleries/{gallery.id}/selected/move/", sent, follow=True))
    photo.refresh_from_db()
    assert photo.gallery == gallery


def test_the_name_of_somebody_elses_photo_is_never_told(
    page: Client, gallery: Gallery, target: Gallery, their_gallery: Gallery
) -> None:
    theirs = add_photo(their_gallery, name="secret.jpg")
    chosen = {"photo": [str(theirs.id)], "target": str(target.id)}
    answer = page.post(f"/galleries/{gallery.id}/selected/move/", chosen, follow=True)
    assert "secret" not in text(answer)
    assert "choose at least one photo" in text(answer)


@pytest.mark.parametrize(
    ("method", "address"),
    [
        ("post", "/galleries/{gallery}/selected/delete/"),
        ("post", "/galleries/{gallery}/selected/move/"),
        ("post", "/galleries/{gallery}/selected/retry/"),
        ("post", "/photos/{photo}/move/"),
    ],
)
@pytest.mark.parametrize(("level", "status"), [(None, 404), (Level.VIEWER, 403)])
def test_whoever_may_not_edit_neither_chooses_nor_changes(
    gallery: Gallery,
    target: Gallery,
    stranger: User,
    method: str,
    address: str,
    level: Level | None,
    status: int,
) -> None:
    photo = add_photo(gallery)
    if level is not None:
        Member.objects.create(gallery=gallery, user=stranger, level=level)
    client = Client()
    client.force_login(stranger)
    form = {"photo": str(photo.id), "target": str(target.id)}
    where = address.format(gallery=gallery.id, photo=photo.id)
    assert getattr(client, method)(where, form).status_code == status
    assert Photo.objects.get().gallery == gallery
    assert Photo.objects.get().state == "pending"
