"""Authentication by name and password, with the hashing in the pool."""

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.hashers import check_password, make_password
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest

from webapp.accounts.login.pools import hashing_pool


def _users() -> QuerySet[User]:
    return User.objects.select_related("profile")


class PasswordBackend(ModelBackend):
    """Django's own, except that `aauthenticate` hashes in the pool; Django's hashes on the event loop."""

    def get_user(self, user_id: Any) -> User | None:
        """Return the user of a session, with the profile, which every page needs."""
        return self._allowed(_users().filter(pk=user_id).first())

    async def aget_user(self, user_id: Any) -> User | None:
        return self._allowed(await _users().filter(pk=user_id).afirst())

    def _allowed(self, user: User | None) -> User | None:
        return user if user is not None and self.user_can_authenticate(user) else None

    async def aauthenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> User | None:
        """Return the user, or None. Raises Busy when too many passwords wait to be hashed."""
        if username is None or password is None:
            return None
        try:
            user = await User.objects.aget_by_natural_key(username)
        except User.DoesNotExist:
            await hashing_pool.run(make_password, password)  # as long as for a name that exists
            return None
        outdated: list[str] = []
        if not await hashing_pool.run(check_password, password, user.password, setter=outdated.append):
            return None
        if not self.user_can_authenticate(user):
            return None
        if outdated:  # hashed by an earlier release of Django, with less work
            user.password = await hashing_pool.run(make_password, password)
            await user.asave(update_fields=["password"])
        return user
