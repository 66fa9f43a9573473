"""The second factor: a code from an app at each log-in, for those who turn it on."""

import re
import time
from io import StringIO
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client

from tasks import clock
from webapp.accounts.login import checking
from webapp.accounts.models import AuditEntry
from webapp.accounts.own.second_factor import code_use, is_second_factor_on, new_secret, second_factor_on
from webapp.http.commands import command_actor

pytestmark = pytest.mark.django_db(transaction=True)

PERIOD_SECONDS = 30
#: RFC 6238 appendix B: the secret of its examples, and codes at some seconds since the epoch (their last six digits).
RFC_SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
RFC_CODES = {59: "287082", 1111111109: "081804", 1234567890: "005924", 20000000000: "353130"}


@pytest.fixture
def with_totp(turn_on: Any) -> None:
    turn_on(TOTP=True)


@pytest.fixture
def clock_at(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Set the shared clock, and stop it."""

    def set_it(seconds: float) -> None:
        monkeypatch.setattr(clock, "now", lambda: seconds)

    return set_it


def code_of(secret: str, at: float) -> str:
    code: str = format_hotp_value(hotp_value(secret, int(at) // PERIOD_SECONDS))
    return code


def log_in(client: Client, **fields: str) -> Any:
    return client.post("/login/", {"username": "ada", "password": "lovelace", **fields})


@pytest.mark.parametrize(("at", "code"), RFC_CODES.items())
def test_codes_are_those_of_the_rfc(user: User, with_totp: None, clock_at: Any, at: int, code: str) -> None:
    clock_at(at)
    second_factor_on(user=user, secret=RFC_SECRET, code=code)
    assert is_second_factor_on(user.pk)


def test_a_person_turns_it_on_with_their_app_and_logs_in_with_a_code(user: User, with_totp: None) -> None:
    client = Client()
    assert log_in(client)["Location"] == "/"
    response = client.get("/account/second-factor/")
    assert "; img-src 'self' data:; " in response["Content-Security-Policy"]
    assert "data:" not in client.get("/account/")["Content-Security-Policy"]
    page = response.content.decode()
    assert 'src="data:image/svg+xml,' in page
    secret = re.search(r"<code>([A-Z2-7 ]+)</code>", page)
    assert secret is not None
    key = secret[1].replace(" ", "")
    assert secret[1] in client.get("/account/second-factor/").content.decode(), "it stays the same until it is on"

    now = time.time()
    wrong = client.post("/account/second-factor/", {"current": "lovelace", "code": "000000"})
    assert (wrong.status_code, is_second_factor_on(user.pk)) == (400, False)
    unconfirmed = client.post("/account/second-factor/", {"current": "wrong", "code": code_of(key, now)})
    assert (unconfirmed.status_code, is_second_factor_on(user.pk)) == (400, False)
    on = client.post("/account/second-factor/", {"current": "lovelace", "code": code_of(key, now)})
    codes = re.findall(r"<li><code>(\d+)</code>", on.content.decode())
    assert len(codes) == 10

    browser = Client()
    assert log_in(browser, next="/jobs/")["Location"] == "/login/code/"
    assert browser.get("/account/").status_code == 302, "the password alone is not enough"
    assert browser.post("/login/code/", {"code": code_of(key, now)}).status_code == 400, "it was used to turn it on"
    fresh = code_of(key, now + PERIOD_SECONDS)
    response = browser.post("/login/code/", {"code": f"{fresh[:3]} {fresh[3:]}"})
    assert response["Location"] == "/jobs/"
    assert browser.get("/account/").status_code == 200
    assert "device" in response.cookies

    other = Client()
    log_in(other)
    assert other.post("/login/code/", {"code": fresh}).status_code == 400, "a code works once"
    assert other.post("/login/code/", {"code": codes[3]}).status_code == 302
    third = Client()
    log_in(third)
    assert third.post("/login/code/", {"code": codes[3]}).status_code == 400, "so does a recovery code"


def test_codes_of_other_periods_do_not_count(user: User, with_totp: None, clock_at: Any) -> None:
    start = 1_000_000 * PERIOD_SECONDS
    secret = new_secret()
    clock_at(start)
    second_factor_on(user=user, secret=secret, code=code_of(secret, start))
    clock_at(start + 10 * PERIOD_SECONDS)
    for periods, is_right in [(-2, False), (2, False), (-1, True), (0, True), (1, True)]:
        code = code_of(secret, clock.now() + periods * PERIOD_SECONDS)
        assert code_use(user_id=user.pk, code=code) == is_right, periods
    for periods in (-1, 0, 1):
        assert not code_use(user_id=user.pk, code=code_of(secret, clock.now() + periods * PERIOD_SECONDS))
    for wrong in ("", "12345", "1234567", "é", "\ud800", "١٢٣٤٥٦"):
        assert not code_use(user_id=user.pk, code=wrong)


def turned_on(user: User) -> str:
    secret = new_secret()
    second_factor_on(user=user, secret=secret, code=code_of(secret, clock.now() - PERIOD_SECONDS))
    return secret


def test_wrong_codes_are_counted(user: User, with_totp: None, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = turned_on(user)
    limits: list[str] = []

    async def begin(attempt: Any) -> int:
        limits.extend(attempt.limits)
        return 60 if len([each for each in limits if "code" in each]) > 2 else 0

    monkeypatch.setattr(checking, "attempt_begin", begin)
    client = Client()
    log_in(client)
    assert [client.post("/login/code/", {"code": "1"}).status_code for _ in range(3)] == [400, 400, 429]
    refused = client.post("/login/code/", {"code": code_of(secret, clock.now())})
    assert refused.status_code == 429
    assert refused["Retry-After"] == "60"
    assert limits.count(f"login:code:{user.pk}") == 4


def test_the_code_must_come_soon_and_before_the_password_changes(user: User, with_totp: None, clock_at: Any) -> None:
    secret = turned_on(user)
    client = Client()
    assert client.get("/login/code/")["Location"] == "/login/", "nobody waits for a code"
    log_in(client)
    user.set_password("another")
    user.save()
    assert client.post("/login/code/", {"code": code_of(secret, clock.now())})["Location"] == "/login/"
    user.set_password("lovelace")
    user.save()
    log_in(client)
    assert client.get("/login/code/").status_code == 200
    clock_at(clock.now() + 700)
    assert client.post("/login/code/", {"code": code_of(secret, clock.now())})["Location"] == "/login/"


def test_secrets_are_encrypted_in_the_database(user: User, with_totp: None, settings: Any) -> None:
    secret = turned_on(user)
    assert secret not in str(list(Authenticator.objects.values_list("data", flat=True)))
    settings.SECRET_KEY = "another"
    client = Client()
    log_in(client)
    response = client.post("/login/code/", {"code": code_of(secret, clock.now())})
    assert (response.status_code, "SECRET_KEY was changed" in response.content.decode()) == (409, True)


def test_turning_it_off_takes_the_password_and_a_code(user: User, with_totp: None) -> None:
    secret = turned_on(user)
    client = Client()
    client.force_login(user)
    code = code_of(secret, clock.now())
    for form in ({"current": "wrong", "code": code}, {"current": "lovelace", "code": "1"}):
        assert client.post("/account/second-factor/", form).status_code == 400
    assert client.post("/account/second-factor/", {"current": "lovelace", "code": code})["Location"] == "/account/"
    assert not Authenticator.objects.exists()
    assert log_in(Client())["Location"] == "/"


def test_an_operator_turns_it_off_for_somebody_who_has_lost_their_phone(user: User, with_totp: None) -> None:
    turned_on(user)
    out = StringIO()
    call_command("second_factor_off", "ada", stdout=out)
    assert "is off" in out.getvalue()
    assert log_in(Client())["Location"] == "/"
    assert AuditEntry.objects.filter(action="second_factor.off", actor=command_actor()).exists()


def test_where_it_is_not_turned_on_there_is_no_trace_of_it(user: User) -> None:
    client = Client()
    client.force_login(user)
    assert "econd factor" not in client.get("/account/").content.decode()
    assert client.get("/account/second-factor/").status_code == client.get("/login/code/").status_code == 404
