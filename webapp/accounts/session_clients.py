"""Who sends a request, from its session cookie, before Django handles it: remembered for a while."""

from http.cookies import CookieError, SimpleCookie
from importlib import import_module
from typing import Any, Final

from asgiref.sync import sync_to_async
from cachetools import TTLCache
from django.conf import settings
from django.contrib.auth import SESSION_KEY

from webapp.accounts.current_user import client_key

#: Longer than any Retry-After: a client that returns and is refused again must not cost a query. Whose a session is
#: does not change, and whether it is still valid is not asked here.
KEPT_SECONDS: Final = 600.0
MOST_KEPT: Final = 10_000
#: A longer session key is nobody's, and not worth remembering.
LONGEST_KEY: Final = 64


class SessionClients:
    """Returns the client of a scope: a user, or "anonymous"."""

    def __init__(self) -> None:
        self._known: TTLCache[str, str] = TTLCache(maxsize=MOST_KEPT, ttl=KEPT_SECONDS)
        self._store = import_module(settings.SESSION_ENGINE).SessionStore

    async def __call__(self, scope: Any) -> str:
        key = _session_key(scope)
        if key is None:
            return "anonymous"
        if key not in self._known:
            self._known[key] = await sync_to_async(self._client)(key)
        return self._known[key]

    def _client(self, key: str) -> str:
        user_id = self._store(key).get(SESSION_KEY)
        return "anonymous" if user_id is None else client_key(user_id)


def _session_key(scope: Any) -> str | None:
    for name, value in scope["headers"]:
        if name == b"cookie":
            try:
                morsel = SimpleCookie(value.decode("latin-1")).get(settings.SESSION_COOKIE_NAME)
            except CookieError:
                return None
            return morsel.value if morsel and len(morsel.value) <= LONGEST_KEY else None
    return None
