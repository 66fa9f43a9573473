"""Whom the door finds behind a session cookie."""

from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.test import AsyncClient

from tasks.errors import DatabaseUnavailable
from webapp.accounts import passengers
from webapp.accounts.passengers import SessionPassengers
from webapp.http.routes import Passenger

pytestmark = pytest.mark.django_db(transaction=True)


def request_with(cookie: str) -> dict[str, Any]:
    return {"headers": [(b"cookie", cookie.encode())] if cookie else []}


@pytest.fixture
async def session(user: User) -> str:
    client = AsyncClient()
    await client.aforce_login(user)
    return client.cookies["sessionid"].value


async def test_a_session_is_its_users(user: User, session: str) -> None:
    who = SessionPassengers()
    scope = request_with(f"theme=dark; sessionid={session}")
    assert not who.is_known(scope)
    assert await who(scope) == Passenger(client=f"user:{user.pk}")
    assert who.is_known(scope)


@pytest.mark.parametrize("cookie", ["", "sessionid=", "sessionid=" + "x" * 32, "sessionid=" + "x" * 5000, "other=1"])
async def test_anything_else_is_nobodys(cookie: str) -> None:
    assert await SessionPassengers()(request_with(cookie)) is None


async def test_a_session_that_django_would_not_accept_is_nobodys(user: User, session: str) -> None:
    user.set_password("another")
    await user.asave()
    assert await SessionPassengers()(request_with(f"sessionid={session}")) is None


async def test_a_user_who_may_no_longer_log_in_is_nobody(user: User, session: str) -> None:
    user.is_active = False
    await user.asave()
    assert await SessionPassengers()(request_with(f"sessionid={session}")) is None


async def test_a_second_request_costs_no_query(session: str, monkeypatch: pytest.MonkeyPatch) -> None:
    who = SessionPassengers()
    first = await who(request_with(f"sessionid={session}"))
    stranger = await who(request_with("sessionid=invented"))

    def never(_: str) -> None:
        raise AssertionError("asked the database again")

    monkeypatch.setattr(passengers, "_user_id", never)
    assert await who(request_with(f"sessionid={session}")) == first
    assert await who(request_with("sessionid=invented")) is stranger is None


async def test_a_database_that_does_not_answer_is_said_so(session: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from django.db import OperationalError

    def down(_: str) -> None:
        raise OperationalError("down")

    monkeypatch.setattr(passengers, "_user_id", down)
    with pytest.raises(DatabaseUnavailable):
        await SessionPassengers()(request_with(f"sessionid={session}"))
    assert await sync_to_async(User.objects.count)() == 1
