"""Who sends a request, for the door: the user of the session whose cookie it shows, or of its API key.

The door asks for every request, before Django does; so an answer is remembered for longer than most clients that are
refused are asked to wait: their next refusal costs no query. A session that ends meanwhile, or a key that is revoked,
opens the door a little longer, and nothing behind it: Django and the API look again.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from asgiref.sync import sync_to_async
from cachetools import TTLCache
from django.conf import settings
from django.db import InterfaceError, OperationalError, close_old_connections
from django.http import parse_cookie

from tasks.errors import DatabaseUnavailable
from webapp.accounts.authentication import shown_key
from webapp.accounts.current_user import client_key
from webapp.accounts.keys import bad_key, is_token, user_id_of_key
from webapp.accounts.sessions import user_of_session
from webapp.accounts.tokens import digest_of
from webapp.http.asgi import Message, is_api, path_of
from webapp.http.problems import Problem
from webapp.http.routes import Passenger, Who

#: How long an answer is remembered, and how many.
REMEMBERED_SECONDS: Final = 120.0
MOST_REMEMBERED: Final = 20_000
#: A longer cookie is not one of ours (Django's are 32 letters).
LONGEST_SESSION_KEY: Final = 64
_KEY_HEADERS: Final = {b"authorization": "Authorization", b"x-api-key": "X-Api-Key"}


@dataclass(frozen=True, slots=True)
class _Shown:
    """What a request shows of its sender: a session's key, or the digest of an API key."""

    value: str
    is_api_key: bool


class Passengers(Who):
    """Finds users by their sessions and API keys. Belongs to one event loop."""

    def __init__(self) -> None:
        self._remembered: TTLCache[_Shown, Passenger | None] = TTLCache(MOST_REMEMBERED, REMEMBERED_SECONDS)
        # One at a time, on a thread of their own: whoever shows invented cookies keeps no thread from the pages.
        self._lookup = asyncio.Lock()

    def is_known(self, scope: Message) -> bool:
        try:
            shown = _shown(scope)
        except Problem:
            return True
        return shown is None or shown in self._remembered

    async def __call__(self, scope: Message) -> Passenger | None:
        shown = _shown(scope)
        if shown is None:
            return None
        if shown not in self._remembered:
            async with self._lookup:
                if shown not in self._remembered:  # whoever waited here may have been answered by the one before
                    self._remembered[shown] = await _passenger(shown)
        passenger = self._remembered.get(shown)
        if passenger is None and shown.is_api_key:
            raise bad_key()
        return passenger


async def _passenger(shown: _Shown) -> Passenger | None:
    find: Callable[[str], Any] = user_id_of_key if shown.is_api_key else _user_id
    try:
        user_id = await sync_to_async(_on_a_good_connection)(find, shown.value)
    except (OperationalError, InterfaceError) as error:
        raise DatabaseUnavailable from error
    return None if user_id is None else Passenger(client=client_key(user_id))


def _on_a_good_connection(find: Callable[[str], Any], value: str) -> Any:
    close_old_connections()  # Django does so around its requests only: after a fault, this thread would keep its own
    return find(value)


def _user_id(session_key: str) -> Any:
    user = user_of_session(session_key)
    return None if user is None else user.pk


def _shown(scope: Message) -> _Shown | None:
    """Return what the request shows; None for nothing. Raises Problem for a key that cannot be one.

    A key counts for the API only, and there before a session: as `Needs` sees it.
    """
    token = shown_key(_headers(scope, _KEY_HEADERS)) if is_api(path_of(scope)) else None
    if token is not None:
        if not is_token(token):
            raise bad_key()
        return _Shown(digest_of(token), is_api_key=True)
    cookies = _headers(scope, {b"cookie": "Cookie"}, between="; ").get("Cookie", "")
    key: str = parse_cookie(cookies).get(settings.SESSION_COOKIE_NAME, "")
    return _Shown(key, is_api_key=False) if 0 < len(key) <= LONGEST_SESSION_KEY else None


def _headers(scope: Message, names: dict[bytes, str], between: str = ",") -> dict[str, str]:
    """Return these headers. There may be several of a name; they are joined as Django joins them."""
    found: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name = names.get(raw_name)
        if name is not None:
            value = raw_value.decode("latin-1")
            found[name] = found[name] + between + value if name in found else value
    return found
