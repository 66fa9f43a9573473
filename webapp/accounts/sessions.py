"""Sessions in the database that end by the shared clock, whichever host of the web made them or reads them.

Django's own compare the wall clocks of hosts: one that is weeks ahead would log everybody out, and `clearsessions`
there would delete every session.
"""

from datetime import datetime
from typing import Any

from django.contrib.sessions.backends import db
from django.contrib.sessions.models import Session
from django.db.models import QuerySet

from tasks import clock


class SessionStore(db.SessionStore):
    """SESSION_ENGINE names this module; Django expects the class under this name."""

    def get_expiry_date(self, **kwargs: Any) -> datetime:
        return super().get_expiry_date(**{"modification": clock.utcnow()} | kwargs)

    async def aget_expiry_date(self, **kwargs: Any) -> datetime:
        return await super().aget_expiry_date(**{"modification": clock.utcnow()} | kwargs)

    def _validate_session_key(self, key: str | None) -> bool:
        """Refuse a cookie that no session of ours has had: a quoted one may hold NUL, at which PostgreSQL fails."""
        return bool(super()._validate_session_key(key)) and str(key).isascii() and str(key).isalnum()  # type: ignore[misc]

    def _get_session_from_db(self) -> Session | None:
        return self._kept(self._living().first())

    async def _aget_session_from_db(self) -> Session | None:
        return self._kept(await self._living().afirst())

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
