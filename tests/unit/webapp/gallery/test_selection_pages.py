"""The page on which photos are chosen, and what its buttons do."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.unit.webapp.conftest import WatchedQueue, add_indexed_photo, add_photo
from webapp.gallery import services
from webapp.gallery.models import Gallery, Level, Member, Photo
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


def test_the_grid_leads_to_a_form_that_does_not_renew_itself(
    page: Client, gallery: Gallery, target: Gallery, their_gallery: Gallery, stranger: User, user: User
) -> None:
    photo = add_photo(gallery)
    Member.objects.create(gallery=their_gallery, user=user, level=Level.VIEWER)
    address = f"/galleries/{gallery.id}/select/"
    assert address in text(page.get(f"/galleries/{gallery.id}/"))
    shown = text(page.get(address))
    assert f'<input type="checkbox" name="photo" value="{photo.id}">' in shown
    assert "hx-" not in shown
    assert f'<option value="{target.id}">Family</option>' in shown
    assert str(their_gallery.id) not in shown, "a viewer may not add photos there"
    Member.objects.update(level=Level.EDITOR)
    assert "Secrets (eve)" in text(page.get(address))


def test_chosen_photos_are_deleted(page: Client, gallery: Gallery, queue: WatchedQueue, user: User) -> None:
    one, two, kept = (add_photo(gallery, bytes([number])) for number in range(3))
    chosen = {"photo": [str(one.id), str(two.id), "nonsense"]}
    answer = page.post(f"/galleries/{gallery.id}/selected/delete/", chosen, follow=True)
    assert "2 photos marked for deletion" in text(answer)
    assert sorted(queue.removed_ids) == sorted([str(one.id), str(two.id)])
    kept.refresh_from_db()
    assert kept.state == "pending"
    assert Job.objects.get(kind="delete").requested_by == user


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


@pytest.mark.parametrize("form", [{}, {"photo": "x"}, {"photo": "{photo}"}, {"target": "{target}"}])
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
    assert "A photo was not moved" in text(answer)


@pytest.mark.parametrize(
    ("method", "address"),
    [
        ("get", "/galleries/{gallery}/select/"),
        ("post", "/galleries/{gallery}/selected/delete/"),
        ("post", "/galleries/{gallery}/selected/move/"),
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
