"""Checking passwords and codes: each check is counted before it is made, and hashes in the pool."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from django.contrib.auth import aauthenticate
from django.contrib.auth.hashers import check_password
from django.contrib.auth.models import User
from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables

from tasks import clock
from webapp.accounts.login.devices import device_of
from webapp.accounts.login.limits import (
    ACCOUNT_ATTEMPTS,
    Attempt,
    attempt_begin,
    attempt_forget,
    attempt_of,
    new_attempt,
)
from webapp.accounts.login.pools import hashing_pool
from webapp.accounts.sessions import LOGGED_IN_AT
from webapp.http.problems import Problem
from worker.errors import Busy

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

#: Longer passwords are refused before they are hashed.
LONGEST_PASSWORD: Final = 4096
#: For how long a log-in stands for a password that the user does not have.
FRESH_SECONDS: Final = 10 * 60


async def hashed(function: Callable[..., Result], *args: Any, **options: Any) -> Result:
    """Call a function that hashes a password, in the pool. Raises Problem (`busy`)."""
    try:
        return await hashing_pool.run(function, *args, **options)
    except Busy as error:
        raise Problem.from_error(error) from error


@sensitive_variables("password")
async def user_of_password(request: HttpRequest, username: str, password: str) -> User | None:
    """Return the user; None if the name or the password is wrong. Raises Problem when it is not even looked at."""
    attempt = attempt_of(username=username, address=_address(request), device=device_of(request, username))

    async def find() -> Any:
        return await aauthenticate(request, username=username, password=password)

    return await _counted(request, attempt, find)


@sensitive_variables("password")
async def identity_confirm(request: HttpRequest, password: str) -> None:
    """Raise Problem unless this is the password of the user who is logged in, and not somebody at their browser.

    A user without a password, who logs in with OpenID Connect, must have done so a few minutes ago at most.
    Attempts count for the account alone: nobody else uses them up.
    """
    user: Any = await request.auser()
    if not user.has_usable_password():
        if clock.now() - await request.session.aget(LOGGED_IN_AT, 0) > FRESH_SECONDS:
            raise Problem(
                "log_in_again", "Please log out, log in again, and repeat this within ten minutes.", status=400
            )
        return

    async def check() -> bool:
        return await hashing_pool.run(check_password, password, user.password)

    if not await _counted(request, new_attempt({f"login:confirm:{user.pk}": ACCOUNT_ATTEMPTS}), check):
        raise Problem("wrong_password", "That is not your password.", status=400)


async def code_confirm(request: HttpRequest, user_id: int, check: Callable[[], Awaitable[bool]]) -> bool:
    """Return whether the code is right. Raises Problem after too many that were not."""
    return await _counted(request, new_attempt({f"login:code:{user_id}": ACCOUNT_ATTEMPTS}), check)


async def _counted(request: HttpRequest, attempt: Attempt, check: Callable[[], Awaitable[Result]]) -> Result:
    """Make the check and return what it returns; if that is true, the attempt does not count."""
    try:
        hashing_pool.check_room()  # before Redis and the database are asked in vain
    except Busy as error:
        raise Problem.from_error(error) from error
    await attempt_or_refuse(request, attempt, "There were too many wrong passwords or codes.")
    try:
        result = await check()
    except Busy as error:
        await attempt_forget(attempt)
        raise Problem.from_error(error) from error
    if result:
        await attempt_forget(attempt)
    return result


async def attempt_or_refuse(request: HttpRequest, attempt: Attempt, sentence: str) -> None:
    """Count the attempt. Raises Problem (`too_many_attempts`), with the sentence, if there were too many."""
    if seconds := await attempt_begin(attempt):
        logger.info("A log-in from %s was refused: too many attempts before.", _address(request))
        sentence = f"{sentence} Please try again in {-(-seconds // 60)} min."
        raise Problem("too_many_attempts", sentence, status=429, retry_after_seconds=seconds)


def _address(request: HttpRequest) -> str:
    address: str = request.META.get("REMOTE_ADDR", "")
    return address
