"""The caller of a request: a user, and what they may do here and now. Every rule about access starts from it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from uuid import UUID

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.http import HttpRequest

from webapp.accounts.current_user import client_key
from webapp.http.problems import Problem


class Scope(StrEnum):
    """What an API key may be used for. None includes another."""

    #: See galleries, photos, people and jobs.
    READ = "read"
    #: Add, change, share and delete them.
    WRITE = "write"
    #: Search, verify and detect.
    SEARCH = "search"
    #: What the permissions of its user, one of the staff, allow besides.
    ADMIN = "admin"


ALL_SCOPES: Final = frozenset(Scope)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks. A session may do all that its user may; an API key, what its scopes and galleries leave of that."""

    user: AbstractBaseUser | AnonymousUser
    scopes: frozenset[Scope] = ALL_SCOPES
    #: The galleries that the key is limited to; None: all.
    gallery_ids: frozenset[UUID] | None = None
    #: The row of the key; None for a session. A caller whose key is revoked meanwhile sees nothing any more.
    key_id: int | None = None

    @property
    def is_known(self) -> bool:
        """Whether this is a user, and not a stranger."""
        return self.user.is_authenticated

    @property
    def client(self) -> str:
        """The name under which the caller's share of the service is counted: a user's keys share it."""
        return client_key(self.user.pk)

    def check_unlimited(self) -> None:
        """Raise Problem (`key_limited`) for a key that is limited to galleries: this concerns more than those."""
        if self.gallery_ids is not None:
            sentence = "This API key is limited to some galleries, and this concerns more than those."
            raise Problem("key_limited", sentence, status=403)


def caller_of(request: HttpRequest) -> Caller:
    """Return the caller that `Needs` found for an API operation; for a page, the session's user.

    In an async view, await `request.auser()` first: this reads the session.
    """
    auth = getattr(request, "auth", None)
    return auth if isinstance(auth, Caller) else Caller(user=request.user)
