"""Device cookies: a browser that has logged in to an account before is known to be its owner's.

Anybody can lock an account by guessing at it. With device cookies (OWASP, "Slow Down Online Guessing Attacks with
Device Cookies") that shuts out only browsers that have never logged in to it; a known one has attempts of its own.
"""

import hmac
import secrets
from typing import Final

from django.conf import settings
from django.core.signing import BadSignature, Signer
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.crypto import salted_hmac

COOKIE_NAME: Final = "device"
#: How long a browser is known after its last log-in, in seconds.
COOKIE_SECONDS: Final = 180 * 24 * 3600

_signer = Signer(salt="webapp.accounts.login.devices")


def account_key(username: str) -> str:
    """Return what stands for the account, whether there is such a user or not: a hash, which does not tell its name."""
    return salted_hmac("webapp.accounts.login.devices", username, algorithm="sha256").hexdigest()


def device_of(request: HttpRequest, username: str) -> str:
    """Return the id of the browser that has sent this; empty if it has never logged in to the account."""
    try:
        account, _, device = _signer.unsign(request.COOKIES.get(COOKIE_NAME, "")).partition(".")
    except BadSignature:
        return ""
    return device if hmac.compare_digest(account, account_key(username)) else ""


def remember_device(response: HttpResponse, username: str) -> None:
    """Make the browser that gets this response known, under a new id."""
    value = _signer.sign(f"{account_key(username)}.{secrets.token_hex(16)}")
    response.set_cookie(
        COOKIE_NAME,
        value,
        max_age=COOKIE_SECONDS,
        path=reverse("login"),
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )
