"""The limits of log-in attempts, counted by a real Redis."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from django.contrib.auth.models import User
from django.test import Client

from tests.redis_server import redis_server
from webapp.accounts.login import limits
from webapp.accounts.login.limits import ACCOUNT_ATTEMPTS, ADDRESS_ATTEMPTS, attempt_begin, attempt_forget, attempt_of

pytestmark = [pytest.mark.services, pytest.mark.django_db]


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with redis_server(tmp_path_factory.mktemp("redis")) as (url, _):
        yield url


@pytest.fixture(autouse=True)
def cache(redis_url: str, settings: Any) -> Iterator["redis.Redis"]:
    settings.REDIS_CACHE_URL = redis_url
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
        yield client


@pytest.fixture
def user(db: None, cache: object) -> User:
    return User.objects.create_user("ada", password="lovelace")


def log_in(client: Client, password: str = "wrong", *, username: str = "ada", address: str = "192.0.2.1") -> Any:
    return client.post("/login/", {"username": username, "password": password}, REMOTE_ADDR=address)


def use_up_the_account(username: str = "ada") -> None:
    for number in range(ACCOUNT_ATTEMPTS):
        assert log_in(Client(), username=username, address=f"198.51.100.{number}").status_code == 200


def test_after_too_many_wrong_passwords_an_account_takes_no_more_from_unknown_browsers(user: User) -> None:
    use_up_the_account()
    refused = log_in(Client(), "lovelace")
    assert refused.status_code == 429
    assert 0 < int(refused["Retry-After"]) <= limits.WINDOW_SECONDS
    assert "too many wrong passwords" in refused.content.decode()
    assert log_in(Client(), username="eve").status_code == 200, "other accounts are not concerned"


def test_a_name_that_no_user_has_is_limited_like_any_other() -> None:
    use_up_the_account("nobody")
    assert log_in(Client(), username="nobody").status_code == 429


def test_the_owner_logs_in_from_a_known_browser_while_the_account_is_attacked(user: User) -> None:
    known = Client()
    assert log_in(known, "lovelace").status_code == 302
    logged_in = Client()
    assert log_in(logged_in, "lovelace").status_code == 302
    known.post("/logout/")
    use_up_the_account()

    assert logged_in.get("/").status_code == 200, "who is logged in stays so"
    assert log_in(known, "lovelace").status_code == 302
    assert log_in(Client(), "lovelace").status_code == 429


def test_a_known_browser_has_few_attempts_of_its_own(user: User) -> None:
    thief = Client()
    log_in(thief, "lovelace")
    thief.post("/logout/")
    assert {log_in(thief).status_code for _ in range(ACCOUNT_ATTEMPTS)} == {200}
    assert log_in(thief, "lovelace").status_code == 429
    assert log_in(Client(), "lovelace").status_code == 302, "nobody else is concerned"


def test_an_address_is_limited_whatever_accounts_it_tries(user: User) -> None:
    for number in range(ADDRESS_ATTEMPTS):
        assert log_in(Client(), username=f"user{number}").status_code == 200
    assert log_in(Client(), "lovelace").status_code == 429
    assert log_in(Client(), "lovelace", address="192.0.2.2").status_code == 302


def test_log_ins_that_succeed_are_not_limited(user: User) -> None:
    for _ in range(2 * ACCOUNT_ATTEMPTS):
        assert log_in(Client(), "lovelace").status_code == 302


def test_a_refused_attempt_does_not_count_and_one_that_is_over_gives_room(
    user: User, monkeypatch: pytest.MonkeyPatch, cache: "redis.Redis"
) -> None:
    use_up_the_account()
    [account] = cache.keys("login:account:*")
    first = int(cache.zrange(account, 0, 0, withscores=True)[0][1])
    assert {log_in(Client()).status_code for _ in range(3)} == {429}
    assert cache.zcard(account) == ACCOUNT_ATTEMPTS
    # As if the window had passed since the first of them.
    cache.zadd(account, {cache.zrange(account, 0, 0)[0]: first - limits.WINDOW_SECONDS * 1000}, xx=True)
    assert log_in(Client()).status_code == 200
    assert log_in(Client()).status_code == 429


async def test_attempts_at_the_same_moment_all_count() -> None:
    attempts = [attempt_of(username="ada", address=f"192.0.2.{n}", device="") for n in range(4 * ACCOUNT_ATTEMPTS)]
    waits = await asyncio.gather(*map(attempt_begin, attempts))
    assert sum(wait == 0 for wait in waits) == ACCOUNT_ATTEMPTS
    admitted = attempts[waits.index(0)]
    await attempt_forget(admitted)
    assert await attempt_begin(attempt_of(username="ada", address="192.0.2.99", device="")) == 0


async def test_what_is_kept_expires_and_tells_no_name(cache: "redis.Redis") -> None:
    await attempt_begin(attempt_of(username="ada", address="192.0.2.1", device=""))
    for key in cache.scan_iter():
        assert 0 < cache.ttl(key) <= limits.WINDOW_SECONDS
        assert b"ada" not in key


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        pytest.param("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True, id="one IPv6 network"),
        pytest.param("2001:db8:1:2::1", "2001:db8:1:3::1", False, id="two IPv6 networks"),
        pytest.param("::ffff:192.0.2.1", "192.0.2.1", True, id="one address in two notations"),
        pytest.param("192.0.2.1", "192.0.2.2", False, id="two addresses"),
        pytest.param("fe80::1%eth0", "fe80::1", True, id="a zone"),
        pytest.param("", "", True, id="a socket of this machine"),
    ],
)
def test_whoever_may_choose_among_addresses_is_one(one: str, other: str, is_same: bool) -> None:
    limits = [set(attempt_of(username="ada", address=address, device="").limits) for address in (one, other)]
    assert (limits[0] == limits[1]) is is_same


def test_without_redis_cache_people_can_still_log_in(
    user: User, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.REDIS_CACHE_URL = "redis://127.0.0.1:1/0"
    assert log_in(Client(), "lovelace").status_code == 302
    assert "not counted" in caplog.text


def test_wrong_old_passwords_are_limited_for_the_account_and_not_for_log_ins(user: User) -> None:
    client = Client()
    client.force_login(user)

    def change(current: str) -> int:
        form = {"current": current, "password": "b-h7Yw2!", "again": "b-h7Yw2!"}
        return int(client.post("/account/password/", form).status_code)

    for _ in range(3):
        log_in(Client())
    assert [change("wrong") for _ in range(ACCOUNT_ATTEMPTS)] == [400] * ACCOUNT_ATTEMPTS
    assert change("lovelace") == 429
    assert log_in(Client(), "lovelace").status_code == 302
