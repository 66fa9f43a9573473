"""Logging in: the page, the pool that hashes, and known browsers."""

import asyncio
import os
import re
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.hashers import MD5PasswordHasher
from django.contrib.auth.models import User
from django.test import AsyncClient, Client

from webapp.accounts import admin_site
from webapp.accounts.login import backends, checking, devices
from webapp.accounts.login.pools import NICENESS, Pool
from worker.errors import Busy


def log_in(client: Client, password: str = "lovelace", **fields: str) -> Any:
    return client.post("/login/", {"username": "ada", "password": password, **fields})


@pytest.mark.parametrize(
    ("wanted", "destination"),
    [
        pytest.param("/jobs/", "/jobs/", id="a page of ours"),
        pytest.param("", "/", id="nothing"),
        pytest.param("https://example.org/", "/", id="another host"),
        pytest.param("//example.org/", "/", id="another host, without a scheme"),
        pytest.param("/login/", "/", id="the log-in itself"),
    ],
)
def test_a_log_in_leads_to_the_page_that_was_wanted(user: User, wanted: str, destination: str) -> None:
    client = Client()
    assert log_in(client, next=wanted)["Location"] == destination
    assert client.get("/login/", {"next": wanted})["Location"] == destination, "somebody who is logged in goes on"


def test_a_user_who_is_not_active_cannot_log_in(user: User) -> None:
    user.is_active = False
    user.save()
    assert "Wrong name or password" in log_in(Client()).content.decode()


@pytest.mark.parametrize("fields", [{"password": ""}, {"password": "x" * 5000}, {"username": "x" * 300}])
def test_what_cannot_be_right_is_not_hashed(
    user: User, monkeypatch: pytest.MonkeyPatch, fields: dict[str, str]
) -> None:
    monkeypatch.setattr(backends, "hashing_pool", None)
    response = Client().post("/login/", {"username": "ada", "password": "lovelace"} | fields)
    assert "Wrong name or password" in response.content.decode()


def test_an_outdated_hash_is_replaced(user: User, settings: Any) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.ScryptPasswordHasher", *settings.PASSWORD_HASHERS]
    assert user.password.startswith("md5$")
    assert log_in(Client()).status_code == 302
    user.refresh_from_db()
    assert user.password.startswith("scrypt$")
    assert log_in(Client()).status_code == 302


def test_the_admin_has_no_log_in_of_its_own(user: User) -> None:
    client = Client()
    response = client.get("/admin/", follow=True)
    assert response.redirect_chain[-1][0] == "/login/?next=%2Fadmin%2F"
    assert client.post("/admin/login/", {"username": "ada", "password": "lovelace"}).status_code == 302
    assert "_auth_user_id" not in client.session

    assert log_in(client, next="/admin/")["Location"] == "/admin/"
    assert client.get("/admin/", follow=True).status_code == 404, "she is not staff"
    user.is_staff = True
    user.save()
    assert client.get("/admin/").status_code == 200
    assert client.get("/admin/login/", {"next": "//example.org/"}, follow=True).redirect_chain[-1][0] == "/"


# -- known browsers -----------------------------------------------------------------------------------------


def test_a_browser_is_known_to_the_account_that_it_has_logged_in_to_and_to_no_other(user: User, rf: Any) -> None:
    client = Client()
    assert devices.COOKIE_NAME not in log_in(client, password="wrong").cookies
    cookie = log_in(client).cookies[devices.COOKIE_NAME]
    assert cookie["httponly"]
    assert cookie["path"] == "/login/"
    assert "ada" not in re.split(r"[.:]", cookie.value)  # random letters may spell it

    rf.cookies[devices.COOKIE_NAME] = cookie.value
    request = rf.get("/login/")
    assert devices.device_of(request, "ada") != ""
    assert devices.device_of(request, "eve") == ""
    for forged in ("", "x", cookie.value[:-1], cookie.value.replace(".", ":")):
        rf.cookies[devices.COOKIE_NAME] = forged
        assert devices.device_of(rf.get("/login/"), "ada") == ""


# -- the pool -----------------------------------------------------------------------------------------------


async def test_a_full_pool_refuses_and_has_room_again_once_a_call_has_ended() -> None:
    pool, gate = Pool("hashing", threads=1, waiting=2), threading.Event()
    calls = [asyncio.ensure_future(pool.run(gate.wait)) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(Busy):
        await pool.run(gate.wait)
    gate.set()
    assert await asyncio.gather(*calls) == [True, True, True]
    assert await pool.run(str, 1) == "1"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere, threads have no priority of their own")
async def test_only_the_threads_that_hash_go_last() -> None:
    def own_niceness() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    before = own_niceness()
    assert await Pool("hashing", threads=1, waiting=1, niceness=NICENESS).run(own_niceness) == min(
        19, before + NICENESS
    )
    assert own_niceness() == before


async def test_a_call_that_nobody_waits_for_any_more_keeps_its_place_until_it_ends() -> None:
    pool, gate, ended = Pool("hashing", threads=1, waiting=0), threading.Event(), threading.Event()

    def hash_password() -> None:
        gate.wait()
        ended.set()

    call = asyncio.ensure_future(pool.run(hash_password))
    await asyncio.sleep(0.05)
    call.cancel()
    with pytest.raises(Busy):
        await pool.run(str)
    gate.set()
    await asyncio.to_thread(ended.wait)


class HeldHasher(MD5PasswordHasher):
    """Hashes when `gate` is open."""

    gate = threading.Event()

    def encode(self, password: str, salt: str) -> str:
        assert self.gate.wait(60)
        return super().encode(password, salt)


@pytest.fixture
def held_hashes(user: User, settings: Any) -> Iterator[threading.Event]:
    settings.PASSWORD_HASHERS = [f"{__name__}.HeldHasher"]
    HeldHasher.gate.clear()
    yield HeldHasher.gate
    HeldHasher.gate.set()


@pytest.mark.django_db(transaction=True)
async def test_pages_are_answered_while_every_log_in_waits_for_its_hash(
    user: User, held_hashes: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = Pool("hashing", threads=1, waiting=8)
    for module in (backends, checking):
        monkeypatch.setattr(module, "hashing_pool", pool)
    form = {"username": "ada", "password": "wrong"}
    log_ins = [asyncio.ensure_future(AsyncClient().post("/login/", form)) for _ in range(40)]
    done: set[Any] = set()
    while len(done) < 31:
        ready, _ = await asyncio.wait([each for each in log_ins if each not in done], return_when="FIRST_COMPLETED")
        done |= ready
    refused = [each.result() for each in done]
    assert {response.status_code for response in refused} == {503}
    assert all(response.has_header("Retry-After") for response in refused)
    assert "Too many people are logging in" in refused[0].content.decode()

    client = AsyncClient()
    await client.aforce_login(user)
    assert [(await client.get(page)).status_code for page in ("/", "/jobs/", "/login/")] == [200, 200, 302]
    assert sum(each.done() for each in log_ins) == 31
    held_hashes.set()
    answered = await asyncio.gather(*log_ins)
    assert sum(response.status_code == 200 for response in answered) == 9


PASSWORD_FORMS = {
    "/admin/auth/user/add/": {"username": "bob", "password1": "b-h7Yw2!", "password2": "b-h7Yw2!"},
    "/admin/auth/user/{pk}/password/": {"password1": "b-h7Yw2!", "password2": "b-h7Yw2!"},
}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("page", PASSWORD_FORMS)
async def test_the_admin_hashes_passwords_in_the_pool_too(
    user: User, monkeypatch: pytest.MonkeyPatch, settings: Any, page: str
) -> None:
    user.is_staff = user.is_superuser = True
    await user.asave()
    hashed_by: set[str] = set()

    class NotedHasher(MD5PasswordHasher):
        def encode(self, password: str, salt: str) -> str:
            hashed_by.add(threading.current_thread().name.partition("_")[0])
            return super().encode(password, salt)

    monkeypatch.setattr(f"{__name__}.HeldHasher", NotedHasher)
    settings.PASSWORD_HASHERS = [f"{__name__}.HeldHasher"]
    client = AsyncClient()
    await client.aforce_login(user)
    address = page.format(pk=user.pk)
    form = PASSWORD_FORMS[page] | {"usable_password": "true"}
    assert (await client.get(address)).status_code == 200

    full, gate = Pool("hashing", threads=1, waiting=0), threading.Event()
    waiting = asyncio.ensure_future(full.run(gate.wait))
    await asyncio.sleep(0)
    with monkeypatch.context() as patch:
        patch.setattr(admin_site, "hashing_pool", full)
        assert (await client.post(address, form)).status_code == 503
    gate.set()
    await waiting
    assert hashed_by == set()

    assert (await client.post(address, form)).status_code == 302
    assert hashed_by == {"hashing"}
