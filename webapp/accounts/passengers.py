"""Who sends a request, for the door: the user of the session whose cookie it shows.

The door asks for every request, before Django does; so an answer is remembered for longer than most clients that are
refused are asked to wait: their next refusal costs no query. A session that ends meanwhile opens the door a little
longer, and nothing behind it: Django looks again.
"""

import asyncio
from importlib import import_module
from typing import Any, Final

from asgiref.sync import sync_to_async
from cachetools import TTLCache
from django.conf import settings
from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY, get_user_model
from django.db import InterfaceError, OperationalError, close_old_connections
from django.http import parse_cookie
from django.utils.crypto import constant_time_compare

from tasks.errors import DatabaseUnavailable
from webapp.accounts.current_user import client_key
from webapp.http.asgi import Message
from webapp.http.routes import Passenger, Who

#: How long an answer is remembered, and how many.
REMEMBERED_SECONDS: Final = 120.0
MOST_REMEMBERED: Final = 20_000
#: A longer cookie is not one of ours (Django's are 32 letters).
LONGEST_KEY: Final = 64


class SessionPassengers(Who):
    """Finds users by their sessions. Belongs to one event loop."""

    def __init__(self) -> None:
        self._remembered: TTLCache[str, Passenger | None] = TTLCache(MOST_REMEMBERED, REMEMBERED_SECONDS)
        # One at a time, on a thread of their own: whoever shows invented cookies keeps no thread from the pages.
        self._lookup = asyncio.Lock()

    def is_known(self, scope: Message) -> bool:
        key = _session_key(scope)
        return not key or key in self._remembered

    async def __call__(self, scope: Message) -> Passenger | None:
        key = _session_key(scope)
        if not key:
            return None
        if key not in self._remembered:
            async with self._lookup:
                if key not in self._remembered:  # whoever waited here may have been answered by the one before
                    self._remembered[key] = await _passenger(key)
        return self._remembered.get(key)


async def _passenger(session_key: str) -> Passenger | None:
    try:
        user_id = await sync_to_async(_user_id)(session_key)
    except (OperationalError, InterfaceError) as error:
        raise DatabaseUnavailable from error
    return None if user_id is None else Passenger(client=client_key(user_id))


def _user_id(session_key: str) -> Any:
    """Return the id of the user whom Django would find in this session; None for nobody."""
    close_old_connections()  # Django does so around its requests only: after a fault, this thread would keep its own
    session = import_module(settings.SESSION_ENGINE).SessionStore(session_key)
    user_id = session.get(SESSION_KEY)
    if user_id is None:
        return None
    user: Any = get_user_model()._default_manager.filter(pk=user_id, is_active=True).first()
    if user is None:
        return None
    shown = session.get(HASH_SESSION_KEY, "")
    hashes = (user.get_session_auth_hash(), *user.get_session_auth_fallback_hash())
    return user.pk if any(constant_time_compare(shown, known) for known in hashes) else None


def _session_key(scope: Message) -> str:
    # There may be several such headers; Django joins them in the same way.
    cookies = b"; ".join(value for name, value in scope["headers"] if name == b"cookie")
    key: str = parse_cookie(cookies.decode("latin-1")).get(settings.SESSION_COOKIE_NAME, "")
    return key if len(key) <= LONGEST_KEY else ""
