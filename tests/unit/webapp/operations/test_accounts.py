"""Deleting an account: it is out of use at once, and in the end no row or file of it is left."""

from typing import Any

import pytest
from django.apps import apps
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import Permission, User
from django.contrib.contenttypes.models import ContentType
from django.test import Client

from tests.stored_files import stored_keys
from tests.unit.webapp.conftest import WatchedQueue, add_indexed_photo, add_photo
from webapp.accounts.audit import audit
from webapp.accounts.callers import Scope
from webapp.accounts.keys import key_create
from webapp.accounts.models import AccountDeletion, ApiKey, AuditEntry, Profile, Quota, Session
from webapp.gallery import services
from webapp.gallery.models import Gallery, Level, Member, Photo
from webapp.http.problems import Problem
from webapp.indexing import deleting
from webapp.operations import tasks
from webapp.operations.accounts import deletion_request, deletions_advance
from webapp.people.models import Person

pytestmark = pytest.mark.django_db(transaction=True)

#: In the name of everything that belongs to the user who goes.
CANARY = "canary7f3"


@pytest.fixture
def leaver(db: None) -> User:
    """A user with one of everything."""
    user = User.objects.create_user(CANARY, email=f"{CANARY}@example.org", password="lovelace")
    gallery = services.gallery_create(owner=user, name=f"{CANARY} friends")
    add_indexed_photo(gallery, content=b"one", name=f"{CANARY}.jpg")
    add_photo(gallery, content=b"two", name=f"{CANARY}2.jpg")
    services.gallery_create(owner=user, name=f"{CANARY} empty")
    person = Person.objects.create(gallery=gallery, name=f"{CANARY} senior")
    Photo.objects.get(filename=f"{CANARY}.jpg").faces.update(person=person)
    Profile.objects.create(user=user, theme="dark")
    Quota.objects.create(user=user, photos=10)
    key_create(user=user, name=f"{CANARY} key", scopes=[Scope.READ])
    audit(actor="root", action="gallery.open", subject=f"{gallery.name} ({gallery.id})", owner=CANARY)
    audit(
        actor="root", action="gallery.transfer", subject=f"{gallery.name} ({gallery.id})", **{"from": "x", "to": CANARY}
    )
    audit(actor="root", action="account.invite", subject=CANARY)
    return user


@pytest.fixture
def shared(leaver: User, gallery: Gallery) -> Gallery:
    """A gallery of somebody else, in which the user is a member, and the other way round."""
    Member.objects.create(gallery=gallery, user=leaver, level=Level.EDITOR)
    Member.objects.create(
        gallery=leaver.galleries.get(name__contains="friends"), user=gallery.owner, level=Level.VIEWER
    )
    return gallery


def browser_of(user: User) -> Client:
    client = Client()
    client.post("/login/", {"username": user.username, "password": "lovelace"})
    return client


def delete(client: Client, password: str = "lovelace") -> Any:
    return client.post("/account/delete/", {"current": password})


def remove_vectors(queue: WatchedQueue) -> None:
    """Confirm each removal that was requested, as the workers and the records worker do."""
    for gallery_id, photo_ids in list(queue.removed):
        deleting.removals_record(gallery_id=gallery_id, photo_ids=photo_ids)


def rows_with(text: str) -> list[str]:
    """Return the rows of all tables in which the text stands."""
    found = []
    for model in apps.get_models(include_auto_created=True):
        for values in model._base_manager.values():
            if text in str(values):
                found.append(f"{model._meta.label}: {values}")
    return found


def test_no_row_or_file_of_a_deleted_account_is_left(
    leaver: User, shared: Gallery, user: User, queue: WatchedQueue
) -> None:
    add_indexed_photo(shared, content=b"hers")
    client = browser_of(leaver)
    LogEntry.objects.create(
        user=user,
        content_type=ContentType.objects.get_for_model(User),
        object_id=str(leaver.pk),
        object_repr=CANARY,
        action_flag=CHANGE,
    )
    assert len(rows_with(CANARY)) > 10
    assert delete(client)["Location"] == "/login/"
    deletions_advance()
    assert User.objects.filter(pk=leaver.pk).exists(), "its photos are not gone yet"
    assert len(queue.removed_ids) == 2
    remove_vectors(queue)
    deletions_advance()

    assert rows_with(CANARY) == []
    assert not User.objects.filter(pk=leaver.pk).exists()
    assert not AccountDeletion.objects.exists()
    assert not Session.objects.filter(user=leaver.pk).exists()
    assert not [key for key in stored_keys() if key.split("/")[1] not in {str(each.id) for each in Photo.objects.all()}]
    assert list(Gallery.objects.all()) == [shared], "others' galleries stay"
    actions = set(AuditEntry.objects.filter(actor=f"deleted user {leaver.pk}").values_list("action", flat=True))
    assert {"key.create", "account.close", "account.delete"} <= actions, "what was done can be looked up"
    opened = AuditEntry.objects.get(action="gallery.open")
    assert (opened.actor, opened.detail) == ("root", {"owner": f"deleted user {leaver.pk}"})
    assert not any(mark in opened.subject for mark in " ()"), "the id of the gallery is left of it"


def test_a_closed_account_is_out_of_use_before_anything_is_gone(leaver: User, shared: Gallery, user: User) -> None:
    client, elsewhere, member = browser_of(leaver), browser_of(leaver), browser_of(user)
    theirs = leaver.galleries.get(name__contains="friends")
    assert member.get(f"/galleries/{theirs.id}/").status_code == 200
    delete(client)
    for each in (client, elsewhere):
        assert each.get("/")["Location"].startswith("/login/")
    assert "_auth_user_id" not in browser_of(leaver).session
    assert not ApiKey.objects.filter(user=leaver).exists()
    assert not Member.objects.filter(user=leaver).exists()
    assert member.get(f"/galleries/{theirs.id}/").status_code == 404


def test_the_page_says_what_goes_and_what_others_lose(leaver: User, shared: Gallery) -> None:
    page = browser_of(leaver).get("/account/delete/").content.decode()
    assert "2 galleries" in page
    assert "2 photos" in page
    assert f"{CANARY} friends</a>: 1 member<" in page
    assert f"{CANARY} empty" not in page, "it is nobody else's"


def test_the_password_is_asked_for_again(leaver: User) -> None:
    client = browser_of(leaver)
    assert [delete(client, password=wrong).status_code for wrong in ("", "wrong")] == [400, 400]
    assert client.get("/account/").status_code == 200
    assert not AccountDeletion.objects.exists()


def test_each_step_may_be_repeated_and_a_crash_costs_nothing(
    leaver: User, queue: WatchedQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    deletion_request(user=leaver, actor="test")
    deletion_request(user=leaver, actor="test")
    with monkeypatch.context() as patch:
        patch.setattr(deleting, "gallery_delete", lambda **_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            deletions_advance()
    deletions_advance()
    deletions_advance()
    remove_vectors(queue)
    remove_vectors(queue)
    tasks.delete_accounts.run()
    deletions_advance()
    assert not User.objects.filter(pk=leaver.pk).exists()


def test_what_a_request_adds_while_the_account_is_being_closed_goes_too(leaver: User, queue: WatchedQueue) -> None:
    deletion_request(user=leaver, actor="test")
    late = Gallery.objects.create(owner=leaver, name="late")
    User.objects.filter(pk=leaver.pk).update(is_active=True)  # by somebody in the admin
    deletions_advance()
    remove_vectors(queue)
    leaver.refresh_from_db()
    assert not leaver.is_active
    deletions_advance()
    assert not Gallery.objects.filter(pk=late.pk).exists()
    assert not User.objects.filter(pk=leaver.pk).exists()


def test_the_last_superuser_stays(leaver: User) -> None:
    leaver.is_superuser = leaver.is_staff = True
    leaver.save()
    assert delete(browser_of(leaver)).status_code == 409
    other = User.objects.create_superuser("root", password="lovelace")
    deletion_request(user=leaver, actor="test")
    with pytest.raises(Problem) as raised:
        deletion_request(user=other, actor="test")
    assert raised.value.code == "last_superuser"


# -- the admin ----------------------------------------------------------------------------------------------


@pytest.fixture
def root(db: None) -> Client:
    User.objects.create_superuser("root", password="lovelace")
    client = Client()
    client.post("/login/", {"username": "root", "password": "lovelace"})
    return client


@pytest.mark.parametrize("way", ["page", "action"])
def test_the_admin_deletes_a_user_in_the_same_way(leaver: User, root: Client, queue: WatchedQueue, way: str) -> None:
    action = {"action": "delete_selected", "_selected_action": [leaver.pk]}
    address = f"/admin/auth/user/{leaver.pk}/delete/" if way == "page" else "/admin/auth/user/"
    form = {} if way == "page" else action
    shown = root.get(address) if way == "page" else root.post(address, form)
    assert f"{CANARY} and everything in 2 galleries" in shown.content.decode()
    assert root.post(address, form | {"post": "yes"}).status_code == 302
    assert AccountDeletion.objects.get().requested_by == "root"
    deletions_advance()
    remove_vectors(queue)
    deletions_advance()
    assert not User.objects.filter(pk=leaver.pk).exists()
    assert rows_with(CANARY) == []


def test_the_admin_does_not_delete_the_last_superuser(root: Client) -> None:
    user = User.objects.get()
    response = root.post(f"/admin/auth/user/{user.pk}/delete/", {"post": "yes"}, follow=True)
    assert "last superuser" in response.content.decode()
    assert "successfully" not in response.content.decode()
    assert User.objects.get().is_active


def test_a_superuser_helps_users_and_other_staff_cannot(leaver: User, user: User, root: Client) -> None:
    client = browser_of(leaver)

    def act(client: Client, action: str) -> str:
        form = {"action": action, "_selected_action": [leaver.pk]}
        return str(client.post("/admin/auth/user/", form, follow=True).content.decode())

    link = act(root, "make_password_link").partition("/password/")[2].partition("<")[0].strip()
    assert Client().get(f"/password/{link}").status_code == 200
    act(root, "log_out")
    assert client.get("/account/").status_code == 302

    user.is_staff = True
    user.save()
    user.user_permissions.add(*Permission.objects.filter(codename__in=["view_user", "change_user"]))
    staff = browser_of(user)
    assert "/password/" not in act(staff, "make_password_link")
    new = {"password1": "b-h7Yw2!", "password2": "b-h7Yw2!"}
    assert staff.post(f"/admin/auth/user/{leaver.pk}/password/", new).status_code == 403
    assert (
        staff.post(f"/admin/auth/user/{user.pk}/change/", {"username": "ada", "is_superuser": "on"}).status_code == 403
    )
    assert not AuditEntry.objects.filter(action="password.link", actor="ada").exists()
    assert staff.post(f"/admin/auth/user/{leaver.pk}/password/").status_code == 403
    assert b'name="is_superuser"' not in staff.get(f"/admin/auth/user/{user.pk}/change/").content
