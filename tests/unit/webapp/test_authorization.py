"""The authorization matrix, over all addresses that the URL configuration has: see `authorization.py` for its rows."""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from http.cookies import SimpleCookie
from typing import Any, Final

import pytest
from allauth.socialaccount.providers import registry
from allauth.socialaccount.providers.openid_connect.provider import OpenIDConnectProvider
from django.contrib.auth.models import User
from django.db import transaction
from django.test import Client
from django.urls import URLResolver, get_resolver

from tasks import clock
from tasks.web.memory import MemorySearchClient
from tests.unit.webapp import authorization
from tests.unit.webapp.authorization import (
    ADMIN_OF_STAFF,
    ANYBODY,
    FILE,
    NOBODY,
    PERMITTED,
    ROWS,
    ROWS_OF_SETTINGS,
    STAFF,
    USER,
    Row,
)
from tests.unit.webapp.conftest import add_indexed_photo, upload
from webapp.accounts.callers import ALL_SCOPES, Scope
from webapp.accounts.keys import key_create
from webapp.config.accounts import OIDC_ID, oidc_provider
from webapp.gallery import services
from webapp.gallery.members.invitations import invitation_create
from webapp.gallery.models import Gallery, Level, Member
from webapp.generations.models import Generation
from webapp.generations.selectors import active_generation
from webapp.people.services import face_name
from webapp.search.tickets import Ticket

#: Stands for the status of an answer that leads to the log-in.
LOG_IN: Final = -302
#: In the names of the gallery, its photo and its person: whoever has no level there never reads it.
CANARY: Final = "canary-7f3a"
#: Nobody listens there.
NO_PROVIDER: Final = "http://127.0.0.1:9"
METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")
#: Who is refused, and whose answers are complete.
ASKING_HEAD: Final = ("stranger", "owner", "superuser")
LEVELS: Final = {level.label: level for level in Level}


class Caller:
    """Somebody with a session, a key, or nothing to show."""

    def __init__(
        self,
        user: User | None = None,
        *,
        level: Level | None = None,
        scopes: frozenset[Scope] | None = None,
        galleries: list[Gallery] | None = None,
    ) -> None:
        """`scopes` None stands for a session; `level` is the one in the gallery of the world."""
        self.user, self.level, self.scopes = user, level, scopes
        if user is not None and scopes is not None:
            was_staff, user.is_staff = user.is_staff, True  # a key keeps a scope that its user has lost since
            _, token = key_create(user=user, name="key", scopes=scopes, galleries=galleries)
            user.is_staff = was_staff
            user.save()
            self.client = Client(headers={"Authorization": f"Bearer {token}"})
        else:
            self.client = Client()
            if user is not None:
                self.client.force_login(user)

    def expected(self, row: Row) -> set[int]:
        """Return the statuses that the row allows this caller's answer to have."""
        if row.who == NOBODY:
            return {404}
        if row.who == ANYBODY:
            return set(row.ok) | ({LOG_IN} if 302 in row.ok else set())
        if row.scope is None and (self.user is None or self.scopes is not None):
            return {LOG_IN}  # pages take no keys
        if self.user is None:
            return {401}
        if row.scope is not None and self.scopes is not None and row.scope not in self.scopes:
            return {403}
        if row.who == USER:
            return set(row.ok)
        if row.who in (STAFF, PERMITTED):
            if not self.user.is_staff:
                return {404}
            return set(row.ok) if row.who == STAFF or self.user.is_superuser else {403}
        if self.level is None:
            return {404}
        return set(row.ok) if self.level >= LEVELS[row.who] else {403}


class World:
    """A gallery with everything in it, and everybody who may want something of it."""

    def __init__(self) -> None:
        def user(name: str, **fields: Any) -> User:
            return User.objects.create_user(name, **fields)

        owner, viewer, editor, mate = (user(name) for name in ("owner", "viewer", "editor", "mate"))
        gallery = services.gallery_create(owner=owner, name=CANARY)
        other = services.gallery_create(owner=owner, name="Other")
        for member, level in ((viewer, Level.VIEWER), (editor, Level.EDITOR)):
            Member.objects.create(gallery=gallery, user=member, level=level)
        photo = add_indexed_photo(gallery, content=CANARY.encode(), name=f"{CANARY}.jpg")
        face = photo.faces.get()
        person = face_name(face=face, name=CANARY)
        assert person is not None
        assert photo.job is not None
        invitation, token = invitation_create(gallery=gallery, level=Level.EDITOR)
        active_generation()
        generation = Generation.objects.create(pack="other", collection="others", state=Generation.State.BUILDING)
        self.gallery = gallery
        self.renditions, self.crop = photo.renditions, face.crop
        self.values: dict[str, Any] = {
            "gallery_id": gallery.id,
            "photo_id": photo.id,
            "face_id": face.id,
            "person_id": person.id,
            "job_id": photo.job.id,
            "member_id": Member.objects.create(gallery=gallery, user=mate, level=Level.VIEWER).id,
            "invitation_id": invitation.id,
            "provider_id": OIDC_ID,
            "token": token,
            "user_code": "MQ",
            "session_id": "one",
            "number": generation.pk,
        }
        root = User.objects.create_superuser("root")
        self.callers = {
            "anonymous": Caller(),
            "stranger": Caller(user("stranger")),
            "viewer": Caller(viewer, level=Level.VIEWER),
            "editor": Caller(editor, level=Level.EDITOR),
            "owner": Caller(owner, level=Level.OWNER),
            **{f"{scope} key": Caller(owner, level=Level.OWNER, scopes=frozenset({scope})) for scope in Scope},
            "limited key": Caller(owner, scopes=ALL_SCOPES - {Scope.ADMIN}, galleries=[other]),
            "editor's key": Caller(editor, level=Level.EDITOR, scopes=ALL_SCOPES),
            "staff": Caller(user("staff", is_staff=True)),
            "superuser": Caller(root),
            "superuser's key": Caller(root, scopes=ALL_SCOPES),
        }
        #: Of each user, a key that no caller shows.
        self.own_keys = {
            each.pk: key_create(user=each, name="own", scopes=[Scope.READ])[0].pk for each in User.objects.all()
        }

    def ask(self, caller: Caller, row: Row, method: str | None = None) -> int:
        """Send the row's request, and undo what it does; return the status.

        Whoever has no level in the gallery must not read its names in any answer, except with an invitation to it.
        """
        ticket = Ticket(
            search_id="00000000000000000000000000000000",
            user_id=str(caller.user.pk if caller.user else None),
            gallery_ids=(str(self.gallery.id),),
            started=clock.now(),
            timeout_seconds=30.0,
        )
        key_id = self.own_keys[caller.user.pk] if caller.user else 0
        digest = self.crop if "/faces/" in row.path else self.renditions
        values = self.values | {"ticket": ticket.to_token(), "key_id": key_id, "digest": digest}
        path = row.path.format(**values)
        cookies = {name: each.value for name, each in caller.client.cookies.items()}
        with undone():
            if row.json is not None:
                body = _filled(row.json, values)
                response = caller.client.generic(method or row.method, path, body, "application/json")
            elif (method or row.method) == "POST":
                form = {name: upload() if value is FILE else value.format(**values) for name, value in row.form.items()}
                response = caller.client.post(path, form)
            else:
                response = caller.client.generic(method or row.method, path)
        if caller.level is None and "{token}" not in f"{row.path} {row.form} {row.json}":
            assert CANARY.encode() not in getattr(response, "content", b""), f"{row} shows the gallery"
        caller.client.cookies = SimpleCookie(cookies)  # a log-out undoes nobody's log-in for good
        is_log_in = response.status_code == 302 and response["Location"].startswith("/login/")
        return LOG_IN if is_log_in else response.status_code


def _filled(value: Any, values: dict[str, Any]) -> bytes:
    def fill(part: Any) -> Any:
        if isinstance(part, dict):
            return {name: fill(each) for name, each in part.items()}
        if isinstance(part, list):
            return [fill(each) for each in part]
        return part.format(**values) if isinstance(part, str) else part

    return json.dumps(fill(value)).encode()


@contextmanager
def undone() -> Iterator[None]:
    """Undo what the block writes to the database."""
    block = transaction.atomic()
    block._from_testcase = True  # so that services may open their own, durable, transactions in it
    with block:
        yield
        transaction.set_rollback(True)


@pytest.fixture
def world(db: None, face_search: MemorySearchClient) -> World:
    return World()


# Not a test per row: making the world takes longer than asking for a dozen rows.
@pytest.mark.parametrize("is_api", [False, True], ids=["pages", "the API"])
def test_answers_have_the_statuses_of_the_table(world: World, is_api: bool) -> None:
    assert _wrong(world, [row for row in ROWS if (row.scope is not None) == is_api]) == []


def _wrong(world: World, rows: Iterable[Row]) -> list[str]:
    """Return which answers to whom have another status than the rows say."""
    wrong = []
    for row in rows:
        for name, caller in world.callers.items():
            wanted = _wanted(name, caller, row)
            if (status := world.ask(caller, row)) not in wanted:
                wrong.append(f"{row} ({name}): {status} instead of {wanted}")
            # HEAD answers as GET does: whoever asks, it takes the same way.
            if row.method != "GET" or name not in ASKING_HEAD:
                continue
            if (status := world.ask(caller, row, "HEAD")) not in wanted:
                wrong.append(f"HEAD {row.path} ({name}): {status} instead of {wanted}")
    return wrong


def _wanted(name: str, caller: Caller, row: Row) -> set[int]:
    return {row.others[name]} if name in row.others else caller.expected(row)


# -- completeness -------------------------------------------------------------------------------------------


def paths() -> list[str]:
    """Return every address of the URL configuration, with {names} for its parameters."""
    return sorted({_named(pattern) for pattern in _patterns(get_resolver().url_patterns, "/")})


def _patterns(patterns: list[Any], prefix: str) -> Iterator[str]:
    for each in patterns:
        path = prefix + str(each.pattern)
        if isinstance(each, URLResolver):
            yield from _patterns(each.url_patterns, path)
        else:
            yield path


def _named(pattern: str) -> str:
    pattern = re.sub(r"\(\?P<(\w+)>[^)]*\)", r"{\1}", pattern).replace("^", "").replace("$", "")
    return re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", pattern)


ALL_PATHS: Final = paths()
PATHS: Final = [path for path in ALL_PATHS if not path.startswith("/admin/")]
ADMIN_PATHS: Final = [path for path in ALL_PATHS if path.startswith("/admin/")]


def _methods_of(path: str) -> set[str]:
    return {row.method for row in ROWS if row.path.partition("?")[0] == path}


def test_every_address_has_a_row() -> None:
    missing = [path for path in PATHS if not _methods_of(path)]
    assert missing == [], f"Please add a line per method to ROWS in {authorization.__file__}."


def test_pages_that_settings_turn_on_are_for_those_of_the_table(
    world: World, turn_on: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OIDC_CLIENT_ID", "OIDC_CLIENT_SECRET"):
        monkeypatch.setenv(name, "x" * 32)
    monkeypatch.setitem(registry.provider_map, OpenIDConnectProvider.id, OpenIDConnectProvider)
    turn_on(
        OIDC_NAME="Example",
        SOCIALACCOUNT_PROVIDERS=oidc_provider(NO_PROVIDER, "Example"),
        TOTP=True,
        SIGN_UP="open",
        EMAIL_URL="smtp://localhost",
        PUBLIC_URL="http://testserver",
        OIDC_ISSUER=NO_PROVIDER,
    )
    added = set(paths()) - set(ALL_PATHS)
    assert {row.path for row in ROWS_OF_SETTINGS} == added
    assert _wrong(world, ROWS_OF_SETTINGS) == []


def test_every_row_has_an_address() -> None:
    assert [str(row) for row in ROWS if row.path.partition("?")[0] not in PATHS] == []


def test_no_row_is_there_twice() -> None:
    assert len({str(row) for row in ROWS}) == len(ROWS)


def test_a_method_without_a_row_is_refused_whoever_asks(world: World) -> None:
    answered = []
    for path in PATHS:
        for method in METHODS:
            if method in _methods_of(path):
                continue
            row = Row(method=method, path=path, who=NOBODY, ok=frozenset())
            for name in ("owner", "superuser's key" if path.startswith("/api/") else "superuser"):
                status = world.ask(world.callers[name], row)
                if status not in (LOG_IN, 401, 403, 404, 405):
                    answered.append(f"{row} ({name}): {status}")
    assert answered == [], f"Please add a line for each of these to ROWS in {authorization.__file__}."


def test_the_admin_is_for_staff_and_all_but_its_first_page_needs_a_permission(world: World) -> None:
    wrong = []
    for path in ADMIN_PATHS:
        address = re.sub(r"{\w+}", "1", path)
        for method in ("GET", "POST"):
            for name in ("anonymous", "stranger", "owner", "admin key"):
                status = world.callers[name].client.generic(method, address).status_code
                if status not in (302, 404):
                    wrong.append(f"{method} {path} ({name}): {status}")
        response = world.callers["staff"].client.get(address)
        if response.status_code == 302 and response["Location"].startswith("/admin/"):
            continue  # to another address of these, because there is no such row
        if response.status_code not in ({ADMIN_OF_STAFF[path]} if path in ADMIN_OF_STAFF else {403, 404, 405}):
            wrong.append(f"GET {path} (staff): {response.status_code}")
    assert wrong == []
