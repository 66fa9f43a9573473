"""Sessions end by the shared clock, so a host of the web with a wrong clock logs nobody out and lets nobody in late."""

from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session
from django.core.management import call_command
from pytest_django import DjangoAssertNumQueries

from tasks import clock
from webapp.accounts.sessions import SessionStore

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
    call_command("clearsessions")
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


@pytest.mark.parametrize("key", ["a\x00" * 16, "é" * 32, "a b" * 10, "a" * 7, ""])
def test_a_cookie_that_no_session_has_had_asks_the_database_nothing(
    key: str, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(0):
        assert SessionStore(key).get("user") is None
