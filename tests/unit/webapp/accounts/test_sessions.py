"""Sessions end by the shared clock; people see where they are logged in, and log out there."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from tasks import clock
from webapp.accounts.models import Session
from webapp.accounts.sessions import SEEN_EVERY, SessionStore, browser_name, open_sessions_of

pytestmark = pytest.mark.django_db(transaction=True)

FORTNIGHT = timedelta(days=14)


@pytest.fixture
def wrong_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """Django's own clock is a year ahead."""
    now = clock.utcnow()
    monkeypatch.setattr("django.utils.timezone.now", lambda: now + timedelta(days=365))


def saved() -> SessionStore:
    session = SessionStore()
    session["user"] = "ada"
    session.save()
    return session


def test_a_session_lasts_a_fortnight_on_a_host_that_is_a_year_ahead(wrong_host: None) -> None:
    key = saved().session_key
    [row] = Session.objects.all()
    assert abs(row.expire_date - clock.utcnow() - FORTNIGHT) < timedelta(minutes=1)
    SessionStore.clear_expired()
    assert SessionStore(key)["user"] == "ada"


async def test_so_it_does_for_asynchronous_readers(wrong_host: None) -> None:
    session = SessionStore()
    await session.aset("user", "ada")
    await session.asave()
    row = await Session.objects.aget()
    assert abs(row.expire_date - clock.utcnow() - FORTNIGHT) < timedelta(minutes=1)
    await SessionStore.aclear_expired()
    assert await SessionStore(session.session_key).aget("user") == "ada"


async def test_an_ended_session_is_gone_and_then_deleted() -> None:
    session = SessionStore()
    await session.aset("user", "ada")
    await session.asave()
    await Session.objects.aupdate(expire_date=clock.utcnow() - timedelta(seconds=1))
    assert await SessionStore(session.session_key).aload() == {}
    await SessionStore.aclear_expired()
    assert not await Session.objects.aexists()


# -- one's own ----------------------------------------------------------------------------------------------


def logged_in(user: User, browser: str = "") -> Client:
    client = Client(headers={"user-agent": browser})
    client.post("/login/", {"username": user.username, "password": "lovelace"})
    return client


def test_a_session_is_its_users_and_notes_where_they_logged_in(user: User) -> None:
    client = logged_in(user, "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
    [row] = Session.objects.filter(user=user)
    [shown] = open_sessions_of(user.pk, this_key=client.session.session_key)
    assert (shown.browser, shown.address, shown.is_this_one) == ("Firefox on Linux", "127.0.0.1", True)
    assert shown.logged_in_at is not None
    assert abs(shown.logged_in_at - clock.utcnow()) < timedelta(minutes=1)
    page = client.get("/account/sessions/").content.decode()
    assert "Firefox on Linux" in page
    assert "this one" in page
    assert row.session_key not in page, "a key is a secret"


def test_a_stranger_has_no_session(user: User) -> None:
    Client().get("/login/")
    assert not Session.objects.exists()


def test_last_seen_is_written_only_once_it_is_old(user: User) -> None:
    client = logged_in(user)
    client.get("/")
    fresh = clock.utcnow() - SEEN_EVERY / 2
    old = clock.utcnow() - SEEN_EVERY * 2
    Session.objects.update(seen_at=fresh)
    client.get("/")
    assert Session.objects.get().seen_at == fresh
    Session.objects.update(seen_at=old)
    client.get("/")
    assert Session.objects.get().seen_at > fresh


def test_a_database_that_takes_no_writes_still_knows_who_is_logged_in(
    user: User, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    client = logged_in(user)
    Session.objects.update(seen_at=clock.utcnow() - SEEN_EVERY * 2)

    def locked(*_: Any, **__: Any) -> int:
        raise OperationalError("database is locked")

    monkeypatch.setattr("django.db.models.query.QuerySet.update", locked)
    assert client.get("/account/").status_code == 200
    assert "could not be noted" in caplog.text


def test_ending_a_session_logs_out_there_and_nowhere_else(user: User, stranger: User) -> None:
    here, there = logged_in(user), logged_in(user)
    their_key = here.session.session_key
    other = next(each for each in open_sessions_of(user.pk, this_key=their_key) if not each.is_this_one)
    eve = Client()
    eve.force_login(stranger)
    eve.post(f"/account/sessions/{other.id}/end/")
    assert there.get("/account/").status_code == 200, "it is not hers to end"

    assert here.post(f"/account/sessions/{other.id}/end/")["Location"] == "/account/sessions/"
    assert there.get("/account/")["Location"].startswith("/login/")
    assert here.get("/account/").status_code == 200


@pytest.mark.parametrize(("which", "here_status"), [("others", 200), ("all", 302)])
def test_one_can_log_out_everywhere_else_or_everywhere(user: User, which: str, here_status: int) -> None:
    here, there, third = logged_in(user), logged_in(user), logged_in(user)
    here.post(f"/account/sessions/{which}/end/")
    assert [client.get("/account/").status_code for client in (here, there, third)] == [here_status, 302, 302]


def test_the_list_takes_a_log_in() -> None:
    assert Client().get("/account/sessions/")["Location"].startswith("/login/")
    assert Client().post("/account/sessions/all/end/")["Location"].startswith("/login/")


@pytest.mark.parametrize(
    ("user_agent", "name"),
    [
        pytest.param(
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 "
            "Safari/537.36 Edg/140.0",
            "Edge on Windows",
            id="Edge, which says that it is Chrome and Safari",
        ),
        pytest.param(
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605 Version/18.0 Mobile Safari/604.1",
            "Safari on iPhone",
            id="Safari on a phone, which says Mac OS X",
        ),
        pytest.param("curl/8.5", "unknown browser", id="a program"),
        pytest.param("", "unknown browser", id="nothing"),
    ],
)
def test_a_browser_has_a_name_that_people_know(user_agent: str, name: str) -> None:
    assert browser_name(user_agent) == name


@pytest.mark.parametrize("key", ["a\x00" * 16, "é" * 32, "a b" * 10, "a" * 7, ""])
def test_a_cookie_that_no_session_has_had_asks_the_database_nothing(
    key: str, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(0):
        assert SessionStore(key).get("user") is None
