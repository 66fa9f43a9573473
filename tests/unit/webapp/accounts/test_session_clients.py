"""Who sends a request, as the door asks before Django handles it."""

from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client

from webapp.accounts.session_clients import SessionClients

pytestmark = pytest.mark.django_db(transaction=True)

#: None of these names a session.
COOKIES = [None, "other=1", "sessionid=unknown", 'sessionid="', ";;=", "sessionid=", "sessionid=" + "x" * 65]


def scope(cookie: str | None) -> Any:
    return {"headers": [] if cookie is None else [(b"cookie", cookie.encode())]}


async def test_a_session_names_its_user(client: Client) -> None:
    user = await User.objects.acreate(username="ada")
    await client.aforce_login(user)
    key = client.cookies[settings.SESSION_COOKIE_NAME].value
    assert await SessionClients()(scope(f"{settings.SESSION_COOKIE_NAME}={key}; other=1")) == f"user:{user.pk}"


@pytest.mark.parametrize("cookie", COOKIES)
async def test_anybody_else_is_anonymous(cookie: str | None) -> None:
    assert await SessionClients()(scope(cookie)) == "anonymous"
