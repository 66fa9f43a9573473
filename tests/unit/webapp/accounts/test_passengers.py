"""Whom the door finds behind a session cookie or an API key."""

from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.test import AsyncClient

from tasks.errors import DatabaseUnavailable
from webapp.accounts import passengers
from webapp.accounts.callers import Scope
from webapp.accounts.keys import key_create, key_revoke
from webapp.accounts.passengers import Passengers
from webapp.http.problems import Problem
from webapp.http.routes import Passenger

pytestmark = pytest.mark.django_db(transaction=True)


def request_with(cookie: str) -> dict[str, Any]:
    return {"path": "/", "headers": [(b"cookie", cookie.encode())] if cookie else []}


def request_showing(*headers: tuple[str, str], path: str = "/api/v1/galleries") -> dict[str, Any]:
    return {"path": path, "headers": [(name.encode(), value.encode()) for name, value in headers]}


@pytest.fixture
async def session(user: User) -> str:
    client = AsyncClient()
    await client.aforce_login(user)
    return client.cookies["sessionid"].value


async def test_a_session_is_its_users(user: User, session: str) -> None:
    who = Passengers()
    scope = request_with(f"theme=dark; sessionid={session}")
    assert not who.is_known(scope)
    assert await who(scope) == Passenger(client=f"user:{user.pk}")
    assert who.is_known(scope)


@pytest.mark.parametrize("cookie", ["", "sessionid=", "sessionid=" + "x" * 32, "sessionid=" + "x" * 5000, "other=1"])
async def test_anything_else_is_nobodys(cookie: str) -> None:
    assert await Passengers()(request_with(cookie)) is None


async def test_a_session_that_django_would_not_accept_is_nobodys(user: User, session: str) -> None:
    user.set_password("another")
    await user.asave()
    assert await Passengers()(request_with(f"sessionid={session}")) is None


async def test_a_user_who_may_no_longer_log_in_is_nobody(user: User, session: str) -> None:
    user.is_active = False
    await user.asave()
    assert await Passengers()(request_with(f"sessionid={session}")) is None


def never(_: str) -> None:
    raise AssertionError("asked the database again")


async def test_a_second_request_costs_no_query(session: str, monkeypatch: pytest.MonkeyPatch) -> None:
    who = Passengers()
    first = await who(request_with(f"sessionid={session}"))
    stranger = await who(request_with("sessionid=invented"))

    monkeypatch.setattr(passengers, "_user_id", never)
    assert await who(request_with(f"sessionid={session}")) == first
    assert await who(request_with("sessionid=invented")) is stranger is None


async def test_a_database_that_does_not_answer_is_said_so(session: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from django.db import OperationalError

    def down(_: str) -> None:
        raise OperationalError("down")

    monkeypatch.setattr(passengers, "_user_id", down)
    with pytest.raises(DatabaseUnavailable):
        await Passengers()(request_with(f"sessionid={session}"))
    assert await sync_to_async(User.objects.count)() == 1


# -- API keys ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def token(user: User) -> str:
    return key_create(user=user, name="backup", scopes=[Scope.READ])[1]


async def refusal_of(who: Passengers, scope: dict[str, Any]) -> str:
    with pytest.raises(Problem) as refused:
        await who(scope)
    return refused.value.code


@pytest.mark.parametrize("header", ["authorization", "x-api-key"])
async def test_a_key_is_its_users(user: User, token: str, header: str) -> None:
    who = Passengers()
    scope = request_showing((header, f"Bearer {token}" if header == "authorization" else token))
    assert not who.is_known(scope)
    assert await who(scope) == Passenger(client=f"user:{user.pk}"), "whose keys share their rate"
    assert who.is_known(scope)


async def test_a_key_counts_before_a_session_and_for_the_api_only(user: User, token: str, stranger: User) -> None:
    client = AsyncClient()
    await client.aforce_login(stranger)
    both = (("x-api-key", token), ("cookie", f"sessionid={client.cookies['sessionid'].value}"))
    assert await Passengers()(request_showing(*both)) == Passenger(client=f"user:{user.pk}")
    assert await Passengers()(request_showing(*both, path="/")) == Passenger(client=f"user:{stranger.pk}")


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        pytest.param([("x-api-key", "hunter2")], "bad_key", id="no key"),
        pytest.param([("authorization", "Basic YTpi")], "bad_key", id="another scheme"),
        pytest.param([("authorization", "Bearer a"), ("authorization", "Bearer a")], "bad_key", id="two headers"),
        pytest.param([("authorization", "Bearer a"), ("x-api-key", "b")], "two_keys", id="two keys"),
    ],
)
async def test_what_cannot_be_a_key_is_refused_without_a_query(
    headers: list[tuple[str, str]], code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passengers, "user_id_of_key", never)
    scope, who = request_showing(*headers), Passengers()
    assert who.is_known(scope)
    assert await refusal_of(who, scope) == code


async def test_an_invented_key_costs_one_query(monkeypatch: pytest.MonkeyPatch) -> None:
    who = Passengers()
    scope = request_showing(("x-api-key", "fq_" + "a" * 32))
    assert not who.is_known(scope)
    assert await refusal_of(who, scope) == "bad_key"
    monkeypatch.setattr(passengers, "user_id_of_key", never)
    assert who.is_known(scope)
    assert await refusal_of(who, scope) == "bad_key"


async def test_a_revoked_key_opens_no_door_that_has_not_seen_it(user: User, token: str) -> None:
    scope = request_showing(("x-api-key", token))
    await sync_to_async(lambda: key_revoke(key=user.api_keys.get(), actor="ada"))()  # type: ignore[attr-defined]
    assert await refusal_of(Passengers(), scope) == "bad_key"
    assert not await sync_to_async(lambda: user.api_keys.exists())()  # type: ignore[attr-defined]


async def test_what_is_remembered_are_no_tokens(token: str) -> None:
    who = Passengers()
    await who(request_showing(("x-api-key", token)))
    assert token not in str(list(who._remembered.items()))
