"""Log-in with OpenID Connect, with a provider that answers over HTTP as real ones do."""

import base64
import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
from allauth.socialaccount.models import SocialAccount
from allauth.socialaccount.providers import registry
from allauth.socialaccount.providers.openid_connect.provider import OpenIDConnectProvider
from django.contrib.auth.models import User
from django.test import Client

from webapp.accounts.views.oidc import ROUND_TRIP_SECONDS
from webapp.config.accounts import oidc_provider

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.services]


class Provider:
    """An OpenID Connect provider (Core 1.0, section 3.1) at which somebody is logged in."""

    client_id, secret = "facequeue", "geheim geheim geheim geheim geheim"

    def __init__(self) -> None:
        self.person = {"sub": "17", "preferred_username": "ada", "email": "ada@example.org", "name": "Ada L"}
        self.is_broken = False
        self.audience = self.client_id
        self._challenges: dict[str, str] = {}
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer(provider.answer(self.path, "", self.headers.get("Authorization", "")))

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                self._answer(provider.answer(self.path, body, self.headers.get("Authorization", "")))

            def _answer(self, found: tuple[int, Any]) -> None:
                self.send_response(found[0])
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(json.dumps(found[1]).encode())

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.issuer = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def authorize(self, address: str) -> dict[str, str]:
        """Do what a browser does that is sent here: return what it takes back in the query of the callback."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        assert asked["client_id"] == self.client_id
        assert asked["code_challenge_method"] == "S256"
        assert "openid" in asked["scope"].split()
        self._challenges["code-1"] = asked["code_challenge"]
        return {"code": "code-1", "state": asked["state"]}

    def answer(self, path: str, body: str, authorization: str) -> tuple[int, Any]:
        if self.is_broken:
            return 500, {}
        match path:
            case "/.well-known/openid-configuration":
                paths = {"authorization": "authorize", "token": "token", "userinfo": "userinfo"}
                return 200, {
                    "issuer": self.issuer,
                    "jwks_uri": f"{self.issuer}/keys",
                    **{f"{name}_endpoint": f"{self.issuer}/{path}" for name, path in paths.items()},
                }
            case "/token":
                sent = {name: values[0] for name, values in parse_qs(body).items()}
                digest = hashlib.sha256(sent["code_verifier"].encode()).digest()
                challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
                if sent["client_secret"] != self.secret or self._challenges.get(sent["code"]) != challenge:
                    return 400, {"error": "invalid_grant"}
                claims = {"iss": self.issuer, "aud": self.audience, "exp": 2**32, "iat": 0, **self.person}
                token = jwt.encode(claims, self.secret, algorithm="HS256")
                return 200, {"access_token": "token-1", "token_type": "Bearer", "id_token": token}
            case "/userinfo" if authorization == "Bearer token-1":
                return 200, self.person
        return 404, {}


def choose(provider: Provider, turn_on: Any) -> None:
    turn_on(
        OIDC_ISSUER=provider.issuer,
        OIDC_NAME="Example",
        SOCIALACCOUNT_PROVIDERS=oidc_provider(provider.issuer, "Example"),
    )


@pytest.fixture
def provider(turn_on: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    provider = Provider()
    monkeypatch.setenv("OIDC_CLIENT_ID", provider.client_id)
    monkeypatch.setenv("OIDC_CLIENT_SECRET", provider.secret)
    choose(provider, turn_on)
    # As the provider's app does when the settings name it from the start.
    monkeypatch.setitem(registry.provider_map, OpenIDConnectProvider.id, OpenIDConnectProvider)
    yield provider
    provider.close()


@pytest.fixture(autouse=True)
def quick_hashes(settings: Any) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def user(db: None) -> User:
    return User.objects.create_user("ada", password="lovelace")


def log_in(client: Client, provider: Provider, wanted: str = "") -> Any:
    """Log in as a browser does; return the last answer, and the pages it led to."""
    sent = client.get("/login/with/oidc/", {"next": wanted} if wanted else {})
    assert sent["Location"].startswith(f"{provider.issuer}/authorize?")
    return client.get("/login/with/oidc/callback/", provider.authorize(sent["Location"]), follow=True)


def is_logged_in(client: Client) -> bool:
    return bool(client.get("/account/").status_code == 200)


def link(client: Client, provider: Provider, password: str = "lovelace") -> Any:
    client.post("/account/linked/", {"current": password})
    return log_in(client, provider)


def test_whom_the_provider_knows_gets_no_account_unless_the_settings_say_so(user: User, provider: Provider) -> None:
    client = Client()
    assert "Log in with Example" in client.get("/login/").content.decode()
    answer = log_in(client, provider)
    assert "No account here is linked" in answer.content.decode()
    assert not is_logged_in(client), "neither the name nor the e-mail address makes somebody ada here"
    assert User.objects.count() == 1


def test_a_linked_account_logs_in_and_reaches_the_page_that_was_wanted(user: User, provider: Provider) -> None:
    client = Client()
    client.force_login(user)
    assert "You can now log in with Example" in link(client, provider).content.decode()

    other = Client()
    assert log_in(other, provider, "/jobs/").redirect_chain[-1][0] == "/jobs/"
    assert other.session["_auth_user_id"] == str(user.pk)
    for wrong in ("//example.org/", "https://example.org/"):
        assert log_in(Client(), provider, wrong).redirect_chain[-1][0] == "/"
    assert SocialAccount.objects.get().extra_data == {}, "what else the provider tells is not kept"

    client.post("/account/linked/", {"current": "lovelace"})
    third = Client()
    log_in(third, provider)
    assert not is_logged_in(third), "it is no longer linked"


def test_a_session_lasts_only_once_somebody_is_logged_in(provider: Provider, settings: Any) -> None:
    settings.OIDC_SIGN_UP = True
    client = Client()
    client.get("/login/with/oidc/")
    assert client.session.get_expiry_age() <= ROUND_TRIP_SECONDS
    log_in(client, provider)
    assert is_logged_in(client)
    assert client.session.get_expiry_age() == settings.SESSION_COOKIE_AGE


def test_linking_takes_the_password_and_happens_only_when_asked_for(user: User, provider: Provider) -> None:
    client = Client()
    client.force_login(user)
    log_in(client, provider)
    assert not SocialAccount.objects.exists(), "a link that somebody else made one click links nothing"
    assert client.post("/account/linked/", {"current": "wrong"}).status_code == 400
    log_in(client, provider)
    assert not SocialAccount.objects.exists()


def test_an_id_at_another_provider_is_somebody_else(user: User, provider: Provider, turn_on: Any) -> None:
    client = Client()
    client.force_login(user)
    link(client, provider)
    other = Provider()
    try:
        choose(other, turn_on)
        stranger = Client()
        assert "No account here is linked" in log_in(stranger, other).content.decode()
        assert not is_logged_in(stranger)
    finally:
        other.close()


def test_an_account_at_the_provider_is_linked_to_one_user(user: User, provider: Provider) -> None:
    eve = Client()
    eve.force_login(User.objects.create_user("eve", password="lovelace"))
    client = Client()
    client.force_login(user)
    link(client, provider)
    assert "linked to another user" in link(eve, provider).content.decode()
    assert SocialAccount.objects.get().user == user


def test_with_the_setting_a_first_log_in_makes_an_account(user: User, provider: Provider, settings: Any) -> None:
    settings.OIDC_SIGN_UP = True
    client = Client()
    log_in(client, provider)
    assert is_logged_in(client)
    made = User.objects.exclude(pk=user.pk).get()
    assert made.username != "ada", "the name is somebody's"
    assert (made.email, made.has_usable_password()) == ("ada@example.org", False)
    again = Client()
    log_in(again, provider)
    assert again.session["_auth_user_id"] == str(made.pk)
    made.is_active = False
    made.save()
    third = Client()
    assert "cannot be used" in log_in(third, provider).content.decode()
    assert not is_logged_in(third)


def test_who_has_no_password_cannot_unlink(provider: Provider, settings: Any) -> None:
    settings.OIDC_SIGN_UP = True
    client = Client()
    log_in(client, provider)
    assert "set a password first" in client.post("/account/linked/").content.decode()
    assert SocialAccount.objects.exists()


def test_what_no_provider_would_send_logs_nobody_in(user: User, provider: Provider, settings: Any) -> None:
    settings.OIDC_SIGN_UP = True

    def assert_refused(**changed: str) -> None:
        client = Client()
        sent = client.get("/login/with/oidc/")
        answer = client.get("/login/with/oidc/callback/", provider.authorize(sent["Location"]) | changed, follow=True)
        assert "did not work" in answer.content.decode()
        assert not is_logged_in(client)

    for changed in ({"state": "invented"}, {"code": "invented"}, {"error": "access_denied"}, {"error": "server_error"}):
        assert_refused(**changed)
    provider.audience = "another client"
    assert_refused()
    assert Client().get("/login/with/other/").status_code == 404


def test_a_provider_that_is_down_is_said_so(provider: Provider) -> None:
    provider.is_broken = True
    assert "does not answer" in Client().get("/login/with/oidc/", follow=True).content.decode()


#: Prints whether there is such an address, and whether what talks to providers is loaded.
ADDRESS = """
import sys, django
django.setup()
from django.urls import NoReverseMatch, reverse
try:
    print(reverse("openid_connect_callback", args=["oidc"]), end=" ")
except NoReverseMatch:
    print("none", end=" ")
print("requests" in sys.modules)
"""


@pytest.mark.parametrize(
    ("issuer", "found"), [("https://login.example.org", "/login/with/oidc/callback/ True"), ("", "none False")]
)
def test_a_process_that_is_told_of_a_provider_has_its_addresses(issuer: str, found: str) -> None:
    names = {"OIDC_ISSUER": issuer, "OIDC_CLIENT_ID": "facequeue", "OIDC_CLIENT_SECRET": "geheim"}
    environment = os.environ | names | {"DJANGO_SETTINGS_MODULE": "webapp.config.settings"}
    done = subprocess.run([sys.executable, "-c", ADDRESS], env=environment, capture_output=True, text=True)
    assert done.stdout.strip() == found, done.stderr


def test_where_it_is_not_turned_on_there_is_no_trace_of_it(user: User) -> None:
    assert "with" not in Client().get("/login/").content.decode().partition("<main")[2]
    assert Client().get("/login/with/oidc/").status_code == Client().get("/account/linked/").status_code == 404
