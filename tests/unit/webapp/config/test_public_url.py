"""PUBLIC_URL: one variable turns on all that a service behind a proxy with TLS needs."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.middleware.clickjacking import XFrameOptionsMiddleware
from django.middleware.csrf import CsrfViewMiddleware
from django.middleware.security import SecurityMiddleware
from django.utils.module_loading import import_string

from webapp.config.environment import origin

PUBLIC = "https://faces.example.org:8443"

#: Asks some pages as a proxy would, and prints what it was answered.
ASK = """
import json
import django
django.setup()
from django.conf import settings
from django.test import Client

proxied = {"HTTP_HOST": "faces.example.org:8443", "HTTP_X_FORWARDED_PROTO": "https"}
client = Client(enforce_csrf_checks=True)

def asked(method, path, **options):
    answer = getattr(client, method)(path, **options)
    cookies = {name: bool(cookie["secure"]) for name, cookie in answer.cookies.items()}
    return {"status": answer.status_code, "secure": cookies, "to": answer.headers.get("Location", ""),
            "hsts": answer.headers.get("Strict-Transport-Security", "")}

page = asked("get", "/login/", **proxied)
token = client.cookies["csrftoken"].value
form = {"csrfmiddlewaretoken": token, "username": "", "password": ""}
print(json.dumps({
    "page": page,
    "plain": asked("get", "/login/?next=/jobs/", HTTP_HOST="localhost"),
    "live": asked("get", "/health/live", HTTP_HOST="localhost"),
    "own form": asked("post", "/login/", data=form, HTTP_ORIGIN="https://faces.example.org:8443", **proxied),
    "foreign form": asked("post", "/login/", data=form, HTTP_ORIGIN="https://example.com", **proxied),
    "session": settings.SESSION_COOKIE_SECURE,
}))
"""


def python(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=settings.BASE_DIR,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "webapp.config.settings", **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture(scope="module")
def answers() -> Any:
    done = python("-c", ASK, PUBLIC_URL=PUBLIC)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_cookies_are_sent_over_tls_only(answers: Any) -> None:
    assert answers["page"]["status"] == 200
    assert answers["page"]["secure"] == {"csrftoken": True}
    assert answers["session"]


def test_browsers_are_told_to_use_tls_and_sent_there(answers: Any) -> None:
    assert answers["page"]["hsts"] == "max-age=31536000"
    assert (answers["plain"]["status"], answers["plain"]["to"]) == (301, PUBLIC + "/login/?next=/jobs/")


def test_health_checks_still_reach_the_web_itself(answers: Any) -> None:
    assert answers["live"]["status"] == 200


def test_forms_come_from_the_public_address_only(answers: Any) -> None:
    assert answers["own form"]["status"] == 200
    assert answers["foreign form"]["status"] == 403


def test_without_it_nothing_needs_tls() -> None:
    done = python(
        "-c", ASK.replace(', "HTTP_X_FORWARDED_PROTO": "https"', ""), PUBLIC_URL="http://faces.example.org:8443"
    )
    found = json.loads(done.stdout)
    assert [found[name]["status"] for name in ("page", "plain", "live", "foreign form")] == [200, 200, 200, 403]
    assert found["page"]["hsts"] == ""


def test_the_deployment_check_has_nothing_to_say() -> None:
    done = python("manage.py", "check", "--deploy", "--fail-level", "WARNING", PUBLIC_URL=PUBLIC)
    assert done.returncode == 0, done.stderr
    assert "no issues" in done.stdout


def test_without_an_https_address_the_deployment_check_says_what_is_missing() -> None:
    done = python("manage.py", "check", "--deploy", "--fail-level", "WARNING")
    assert done.returncode == 1
    assert "PUBLIC_URL" in done.stderr


@pytest.mark.parametrize(
    "kind", [SecurityMiddleware, XFrameOptionsMiddleware, CsrfViewMiddleware, AuthenticationMiddleware]
)
def test_the_middlewares_that_the_check_does_not_recognise_are_there(kind: type) -> None:
    assert any(isinstance(each, type) and issubclass(each, kind) for each in map(import_string, settings.MIDDLEWARE))


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("https://Faces.Example.org", "https://faces.example.org"),
        ("https://faces.example.org:443/", "https://faces.example.org"),
        ("http://faces.example.org:80", "http://faces.example.org"),
        ("https://faces.example.org:80", "https://faces.example.org:80"),
        ("https://[2001:DB8::1]:443", "https://[2001:db8::1]"),
        ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
    ],
)
def test_it_is_read_as_browsers_send_it(value: str, read: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUBLIC_URL", value)
    assert origin("PUBLIC_URL") == read


@pytest.mark.parametrize(
    "value",
    [
        *("faces.example.org", "ftp://faces.example.org", "https://", "https://a.org/faces", "https://a.org?x"),
        *("https://me:geheim@a.org", "https://a.org:x", "https://gesichter.österreich.at"),
    ],
)
def test_what_is_no_origin_stops_the_start_with_a_sentence(value: str) -> None:
    done = python("-c", "from webapp.config import settings", PUBLIC_URL=value)
    assert done.returncode != 0
    assert "PUBLIC_URL must be scheme and host, such as https://faces.example.org" in done.stderr
    assert "geheim" not in done.stderr
