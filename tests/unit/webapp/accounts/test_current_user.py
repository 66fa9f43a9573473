"""The current user: set by the middleware for the request, and by nothing else."""

import asyncio
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse

from webapp.accounts.current_user import CurrentUserMiddleware, acting_as, current_user

ADA, EVE = User(username="ada"), User(username="eve")


def request_of(user: Any) -> HttpRequest:
    async def auser() -> Any:
        await asyncio.sleep(0)
        return user

    request = HttpRequest()
    request.auser = auser
    return request


async def view(request: HttpRequest) -> HttpResponse:
    return HttpResponse((await current_user()).get_username())


async def test_each_of_several_requests_at_once_has_its_own_user() -> None:
    middleware = CurrentUserMiddleware(view)
    responses = await asyncio.gather(*(middleware(request_of(user)) for user in (ADA, EVE, ADA)))
    assert [response.content for response in responses] == [b"ada", b"eve", b"ada"]


def test_a_synchronous_server_has_it_too() -> None:
    assert CurrentUserMiddleware(async_to_sync(view))(request_of(ADA)).content == b"ada"
    with pytest.raises(PermissionDenied):
        async_to_sync(current_user)()


async def test_a_request_that_never_asks_does_not_look_the_user_up() -> None:
    async def other_view(_: HttpRequest) -> HttpResponse:
        return HttpResponse()

    request = HttpRequest()
    request.auser = None  # type: ignore[assignment]
    assert (await CurrentUserMiddleware(other_view)(request)).status_code == 200


async def test_nobody_is_the_current_user_without_a_login() -> None:
    with pytest.raises(PermissionDenied):
        await CurrentUserMiddleware(view)(request_of(AnonymousUser()))
    with pytest.raises(PermissionDenied):
        await current_user()


async def test_a_script_acts_as_a_user_for_a_block() -> None:
    with acting_as(ADA):
        assert await current_user() is ADA
    with pytest.raises(PermissionDenied):
        await current_user()
