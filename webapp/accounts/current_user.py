"""The user whose request is being handled, for code that has no request."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.http.response import HttpResponseBase

#: Returns the current user when awaited: a request that never asks does not read the session.
_user: ContextVar[Callable[[], Awaitable[AbstractBaseUser | AnonymousUser]]] = ContextVar("current user")


async def current_user() -> AbstractBaseUser:
    """Return the logged-in user. Raises PermissionDenied when nobody is logged in, or outside a request."""
    find = _user.get(None)
    user = await find() if find is not None else None
    if user is None or isinstance(user, AnonymousUser) or not user.is_authenticated:
        raise PermissionDenied("Please log in first.")
    return user


def client_key(user_id: object) -> str:
    """Return the name under which a user's share of the room for searches is counted."""
    return f"user:{user_id}"


@contextmanager
def acting_as(user: AbstractBaseUser) -> Iterator[None]:
    """Make `user` the current user for the block, as in a script."""

    async def find() -> AbstractBaseUser:
        return user

    token = _user.set(find)
    try:
        yield
    finally:
        _user.reset(token)


class CurrentUserMiddleware:
    """Makes the request's user the current user. Belongs after AuthenticationMiddleware."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        if iscoroutinefunction(self):
            return self.__acall__(request)
        token = _user.set(request.auser)
        try:
            return self.get_response(request)
        finally:
            _user.reset(token)

    async def __acall__(self, request: HttpRequest) -> HttpResponseBase:
        token = _user.set(request.auser)
        try:
            response: HttpResponseBase = await self.get_response(request)
            return response
        finally:
            _user.reset(token)
