"""API authentication: the session of the pages, with its CSRF check."""

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.http import HttpRequest
from ninja.security import APIKeyCookie


class SessionAuth(APIKeyCookie):
    """Requires a logged-in session, and a valid CSRF token for everything but reading.

    The CSRF check parses the body, so it runs in a thread, not on the event loop.
    """

    param_name = settings.SESSION_COOKIE_NAME

    async def __call__(self, request: HttpRequest) -> AbstractBaseUser | AnonymousUser | None:
        await sync_to_async(self._get_key)(request)
        return await self.authenticate(request, None)

    async def authenticate(self, request: HttpRequest, key: str | None) -> AbstractBaseUser | AnonymousUser | None:
        user = await request.auser()
        return user if user.is_authenticated else None
