"""Changing a password, and setting one by a link."""

import re
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.core.management import CommandError, call_command
from django.test import Client

from tasks import clock
from tests.waiting import eventually
from webapp.accounts.login import checking, pools
from webapp.accounts.models import AuditEntry, Session
from webapp.accounts.own.passwords import password_link, user_of_link
from webapp.http.commands import command_actor
from webapp.http.request_ids import shown_path

pytestmark = pytest.mark.django_db(transaction=True)

NEW = "b-h7Yw2!"


@pytest.fixture
def client(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def change(client: Client, current: str = "lovelace", password: str = NEW, again: str = NEW) -> Any:
    return client.post("/account/password/", {"current": current, "password": password, "again": again})


def can_log_in(password: str) -> bool:
    return bool(Client().post("/login/", {"username": "ada", "password": password}).status_code == 302)


def test_a_change_of_the_password_ends_all_other_sessions(user: User, client: Client) -> None:
    elsewhere = Client()
    elsewhere.force_login(user)
    assert change(client)["Location"] == "/account/"
    assert client.get("/account/").status_code == 200
    assert elsewhere.get("/account/").status_code == 302
    assert Session.objects.filter(user=user).count() == 1, "the row of the other is gone"
    assert (can_log_in("lovelace"), can_log_in(NEW)) == (False, True)
    [entry] = AuditEntry.objects.filter(action="password.change")
    assert entry.actor == "ada"


@pytest.mark.parametrize(
    ("form", "word"),
    [
        pytest.param({"current": "wrong"}, "not your password", id="the old one is wrong"),
        pytest.param({"again": "another"}, "not the same", id="the two differ"),
        pytest.param({"password": "short", "again": "short"}, "too short", id="short"),
        pytest.param({"password": "password1", "again": "password1"}, "too common", id="common"),
        pytest.param({"password": "x" * 5000, "again": "x" * 5000}, "at most 4096", id="too long to log in with"),
    ],
)
def test_what_cannot_be_the_new_password_is_refused_with_a_sentence(
    client: Client, form: dict[str, str], word: str
) -> None:
    response = change(client, **form)
    assert word in response.content.decode()
    assert can_log_in("lovelace")


def test_wrong_old_passwords_are_counted_and_then_not_even_hashed(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[dict[str, int]] = []

    async def begin(attempt: Any) -> int:
        counted.append(attempt.limits)
        return 0 if len(counted) < 3 else 600

    monkeypatch.setattr(checking, "attempt_begin", begin)
    assert [change(client, current="wrong").status_code for _ in range(3)] == [400, 400, 429]
    assert all(key.startswith("login:confirm:") for limits in counted for key in limits)
    response = change(client)
    assert (response.status_code, response["Retry-After"]) == (429, "600")
    assert "10 min" in response.content.decode()
    assert not can_log_in("lovelace"), "in this test, the log-in asks the same counter"


def test_passwords_are_hashed_in_the_pool(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    full = pools.Pool("hashing", threads=1, waiting=0)
    assert full._room.acquire(blocking=False)
    monkeypatch.setattr(checking, "hashing_pool", full)
    assert change(client).status_code == 503


def test_the_admins_page_for_it_leads_to_ours(user: User, client: Client) -> None:
    user.is_staff = True
    user.save()
    assert client.get("/admin/password_change/")["Location"] == "/account/password/"
    assert client.post("/admin/password_change/", {"old_password": "guess"})["Location"] == "/account/password/"


def test_whoever_has_no_password_sets_one_after_a_fresh_log_in(user: User, client: Client) -> None:
    user.set_unusable_password()
    user.save()
    client.force_login(user)
    assert "Current password" not in client.get("/account/password/").content.decode()
    session = client.session
    session["logged_in_at"] = 0
    session.save()
    assert "log in again" in change(client).content.decode()
    client.force_login(user)
    assert change(client).status_code == 302
    assert can_log_in(NEW)


# -- links --------------------------------------------------------------------------------------------------


def test_an_operators_link_sets_the_password_once(user: User, settings: Any) -> None:
    settings.PUBLIC_URL = "https://faces.example.org"
    old, out = Client(), StringIO()
    old.force_login(user)
    call_command("password_link", "ada", stdout=out)
    link = out.getvalue().strip()
    assert link.startswith("https://faces.example.org/password/")
    assert AuditEntry.objects.filter(action="password.link", actor=command_actor()).exists()

    path = link.removeprefix("https://faces.example.org")
    visitor = Client()
    assert "ada" in visitor.get(path).content.decode()
    assert visitor.post(path, {"password": NEW, "again": "other"}).status_code == 200
    assert visitor.post(path, {"password": NEW, "again": NEW})["Location"] == "/login/"
    assert visitor.get("/account/").status_code == 302, "a link does not log in"
    assert old.get("/account/").status_code == 302
    assert can_log_in(NEW)
    for method in (visitor.get, visitor.post):
        assert method(path).status_code == 404


def test_only_links_that_we_made_work_and_not_for_long(
    user: User, stranger: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, _, user_code, token, _ = password_link(user=user, actor="test").split("/")
    _, _, other_code, _, _ = password_link(user=stranger, actor="test").split("/")
    assert user_of_link(user_code, token) == user
    for wrong in [
        (other_code, token),
        (user_code, "x"),
        ("x", token),
        ("é", token),
        ("OTk5OTk5OTk5OTk5OTk5OTk5OTk5", token),
    ]:
        assert user_of_link(*wrong) is None
    later = clock.utcnow() + timedelta(days=1, minutes=1)
    monkeypatch.setattr(clock, "utcnow", lambda: later)
    assert user_of_link(user_code, token) is None


@pytest.mark.parametrize("code", ["%00", "a" * 300, "%F0%9F%98%80"])
def test_a_link_that_cannot_be_one_has_no_page(db: None, code: str) -> None:
    assert Client().get(f"/password/{code}/x-y/").status_code == 404


def test_an_operator_gets_a_sentence_when_there_is_no_such_user(user: User) -> None:
    with pytest.raises(CommandError, match="no user"):
        call_command("password_link", "bob")
    user.is_active = False
    user.save()
    with pytest.raises(CommandError, match="not active"):
        call_command("password_link", "ada")


def test_no_log_line_shows_a_link(user: User) -> None:
    path = password_link(user=user, actor="test")
    assert path.split("/")[-2] not in shown_path(path)


# -- e-mail -------------------------------------------------------------------------------------------------


@pytest.fixture
def with_email(turn_on: Any) -> None:
    turn_on(EMAIL_URL="smtp://mail.example.org", PUBLIC_URL="https://faces.example.org")


def test_a_link_by_email_is_the_same_answer_for_everybody(user: User, with_email: None) -> None:
    user.email = "Ada@example.org"
    user.save()
    answers = [
        Client().post("/password/forgotten/", {"email": email}, follow=True).content
        for email in ("ada@example.org", "nobody@example.org")
    ]
    tokens = re.compile(rb'csrfmiddlewaretoken" value="\w+"')
    assert tokens.sub(b"", answers[0]) == tokens.sub(b"", answers[1])
    eventually(lambda: mail.outbox, "the mail is sent")
    [sent] = mail.outbox
    assert sent.to == ["Ada@example.org"]
    link = next(line for line in sent.body.splitlines() if line.startswith("https://"))
    path = link.removeprefix("https://faces.example.org")
    assert Client().post(path, {"password": NEW, "again": NEW}).status_code == 302
    assert can_log_in(NEW)


def test_without_email_nothing_offers_it(user: User, client: Client) -> None:
    assert "orgotten" not in Client().get("/login/").content.decode()
    assert Client().get("/password/forgotten/").status_code == 404
    assert "E-mail" not in client.get("/account/").content.decode()
    assert client.get("/account/email/").status_code == 404


def test_a_change_of_the_email_address_takes_the_password(user: User, client: Client, with_email: None) -> None:
    assert client.post("/account/email/", {"email": "a@example.org", "current": "wrong"}).status_code == 400
    assert client.post("/account/email/", {"email": "a@example.org", "current": "lovelace"}).status_code == 302
    user.refresh_from_db()
    assert user.email == "a@example.org"
