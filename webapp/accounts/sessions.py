"""Sessions in the database: whose each is, and when it was last seen; so people can list theirs and end them.

They end by the shared clock, whichever host of the web made them or reads them. Django's own compare the wall clocks of
hosts: one that is weeks ahead would log everybody out.
"""

import hashlib
import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from asgiref.sync import sync_to_async
from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in
from django.contrib.sessions.backends import db
from django.db import OperationalError
from django.db.models import QuerySet
from django.dispatch import receiver
from django.http import HttpRequest
from django.utils.crypto import constant_time_compare

from tasks import clock
from webapp.accounts.models import Session

logger = logging.getLogger(__name__)

#: How old `seen_at` may be before it is written again: a page must not cost a write.
SEEN_EVERY: Final = timedelta(minutes=5)
#: Keys in a session's data: where its user logged in.
ADDRESS, BROWSER, LOGGED_IN_AT = "address", "browser", "logged_in_at"
LONGEST_BROWSER: Final = 200

#: What the name of a browser or a system is recognised by, the first that is found: most name others besides.
_BROWSERS: Final = {"Edg": "Edge", "OPR/": "Opera", "Firefox/": "Firefox", "Chrome/": "Chrome", "Safari/": "Safari"}
_SYSTEMS: Final = {
    "Android": "Android",
    "iPhone": "iPhone",
    "iPad": "iPad",
    "Windows": "Windows",
    "Mac OS X": "macOS",
    "CrOS": "ChromeOS",
    "Linux": "Linux",
}


class SessionStore(db.SessionStore):
    """SESSION_ENGINE names this module; Django expects the class under this name."""

    @classmethod
    def get_model_class(cls) -> type[Session]:
        return Session

    def create_model_instance(self, data: dict[str, Any]) -> Session:
        return self._of_its_user(super().create_model_instance(data), data)

    async def acreate_model_instance(self, data: dict[str, Any]) -> Session:
        return self._of_its_user(await super().acreate_model_instance(data), data)

    @staticmethod
    def _of_its_user(row: Any, data: dict[str, Any]) -> Session:
        found: Session = row
        found.user_id = data.get(SESSION_KEY)
        return found

    def get_expiry_date(self, **kwargs: Any) -> datetime:
        return super().get_expiry_date(**{"modification": clock.utcnow()} | kwargs)

    async def aget_expiry_date(self, **kwargs: Any) -> datetime:
        return await super().aget_expiry_date(**{"modification": clock.utcnow()} | kwargs)

    def _validate_session_key(self, key: str | None) -> bool:
        """Refuse a cookie that no session of ours has had: a quoted one may hold NUL, at which PostgreSQL fails."""
        return bool(super()._validate_session_key(key)) and str(key).isascii() and str(key).isalnum()  # type: ignore[misc]

    def _get_session_from_db(self) -> Session | None:
        found = self._kept(self._living().first())
        if found is not None and _is_due(found):
            _note_seen(found)
        return found

    async def _aget_session_from_db(self) -> Session | None:
        found = self._kept(await self._living().afirst())
        if found is not None and _is_due(found):
            await sync_to_async(_note_seen)(found)
        return found

    def _living(self) -> QuerySet[Session]:
        return Session.objects.filter(session_key=self.session_key, expire_date__gt=clock.utcnow())

    def _kept(self, found: Session | None) -> Session | None:
        if found is None:
            self._session_key = None
        return found

    @classmethod
    def clear_expired(cls) -> None:
        Session.objects.filter(expire_date__lt=clock.utcnow()).delete()

    @classmethod
    async def aclear_expired(cls) -> None:
        await Session.objects.filter(expire_date__lt=clock.utcnow()).adelete()


def _is_due(row: Session) -> bool:
    return clock.utcnow() - row.seen_at > SEEN_EVERY


def _note_seen(row: Session) -> None:
    try:
        Session.objects.filter(pk=row.pk).update(seen_at=clock.utcnow())
    except OperationalError as error:  # a database that takes no writes still shows pages
        logger.warning("When a session was last seen could not be noted: %s", error)


@receiver(user_logged_in)
def note_origin(request: HttpRequest, **_: Any) -> None:
    """Note in the session where and when its user logged in."""
    request.session[ADDRESS] = request.META.get("REMOTE_ADDR", "")
    request.session[BROWSER] = request.META.get("HTTP_USER_AGENT", "")[:LONGEST_BROWSER]
    request.session[LOGGED_IN_AT] = clock.now()


def user_of_session(key: str) -> User | None:
    """Return the user whom Django would find in the session of this key; None for nobody. Renews no session's hash."""
    session = SessionStore(key)
    user_id = session.get(SESSION_KEY)
    user = None if user_id is None else User.objects.filter(pk=user_id, is_active=True).first()
    if user is None:
        return None
    shown = session.get(HASH_SESSION_KEY, "")
    hashes = (user.get_session_auth_hash(), *user.get_session_auth_fallback_hash())
    return user if any(constant_time_compare(shown, known) for known in hashes) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSession:
    """A session as its user sees it. `id` stands for its key, which is a secret."""

    id: str
    browser: str
    address: str
    logged_in_at: datetime | None
    seen_at: datetime
    is_this_one: bool


def open_sessions_of(user_id: int, *, this_key: str | None) -> list[OpenSession]:
    """Return the sessions in which the user is logged in, the last seen first."""
    found = []
    for row in _open(user_id).order_by("-seen_at", "session_key"):
        data = SessionStore().decode(row.session_data)
        since = data.get(LOGGED_IN_AT)
        found.append(
            OpenSession(
                id=_public_id(row.session_key),
                browser=browser_name(data.get(BROWSER, "")),
                address=data.get(ADDRESS, ""),
                logged_in_at=None if since is None else datetime.fromtimestamp(since, tz=UTC),
                seen_at=row.seen_at,
                is_this_one=row.session_key == this_key,
            )
        )
    return found


def session_end(*, user_id: int, id: str) -> bool:
    """End one of the user's sessions; return whether there was one of this id."""
    keys = [key for key in _open(user_id).values_list("session_key", flat=True) if _public_id(key) == id]
    return bool(Session.objects.filter(session_key__in=keys).delete()[0])


def sessions_end(*, user_id: int, but: str | None = None) -> int:
    """End all of the user's sessions, except the one with this key; return how many."""
    return Session.objects.filter(user=user_id).exclude(session_key=but or "").delete()[0]


def browser_name(user_agent: str) -> str:
    """Return, for example, "Firefox on Linux"."""
    browser = next((name for mark, name in _BROWSERS.items() if mark in user_agent), "")
    system = next((name for mark, name in _SYSTEMS.items() if mark in user_agent), "")
    return " on ".join(filter(None, [browser, system])) or "unknown browser"


def _open(user_id: int) -> QuerySet[Session]:
    return Session.objects.filter(user=user_id, expire_date__gt=clock.utcnow())


def _public_id(session_key: str) -> str:
    return hashlib.sha256(session_key.encode()).hexdigest()[:20]
