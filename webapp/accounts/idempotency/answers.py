"""Idempotency-Key: a client that does not know whether its request arrived sends it again, and it is carried out once.

As draft-ietf-httpapi-idempotency-key-header-07 describes it. The first answer is kept in the database (redis-cache may
forget it), for a day and for the newest thousand requests of a user. `begin` belongs behind the authentication of every
writing operation, and `keeping_answers` around it. Searches write nothing, so the header means nothing there.
"""

import hashlib
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from asgiref.sync import iscoroutinefunction, sync_to_async
from django.db import OperationalError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from tasks import clock
from webapp.accounts.callers import Caller
from webapp.accounts.idempotency.digests import digest_of
from webapp.accounts.models import KeptAnswer
from webapp.http.errors.answers import answer
from webapp.http.problems import Problem
from webapp.http.routes import WITHOUT_BODY

logger = logging.getLogger(__name__)

HEADER: Final = "Idempotency-Key"
#: Marks an answer that is a repeat of the first one.
REPLAYED: Final = "Idempotent-Replayed"
_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")
#: How long an answer is kept.
KEPT: Final = timedelta(days=1)
#: How many answers of a user are kept.
MOST_KEPT: Final = 1000
#: A request that has not been answered for so long was lost with its process, and may be sent again.
LEASE: Final = timedelta(minutes=5)
#: Of a longer answer, and of one that shows a secret, only the fact is kept that the request was carried out.
LARGEST_BYTES: Final = 256 * 1024
#: When to ask again while the first request is still being carried out.
RETRY_SECONDS: Final = 2
#: The Cache-Control of an answer that shows a secret which is stored as a hash only, and so not here either.
NO_STORE: Final = "no-store"

Run = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class _Begun:
    """The row of a request that is being carried out, as long as no repeat has taken it over."""

    pk: int
    started_at: datetime


class Repeated(Exception):
    """The request is a repeat; `response` is the first answer."""

    def __init__(self, kept: KeptAnswer) -> None:
        super().__init__("A repeated request.")
        self.response = HttpResponse(bytes(kept.content), status=kept.status, headers=kept.headers)
        self.response[REPLAYED] = "true"


def begin(request: HttpRequest, caller: Caller) -> None:
    """Note that the request is being carried out, if it writes and has an Idempotency-Key.

    Raises Repeated for one that has been answered, and Problem for one that is being carried out, or whose key belongs
    to another request. Reads the body.
    """
    key = request.headers.get(HEADER)
    if key is None or request.method in WITHOUT_BODY:
        return
    if not _KEY.fullmatch(key):
        raise Problem("bad_idempotency_key", f"The {HEADER} must be 1 to 255 visible ASCII characters.", status=400)
    now = clock.utcnow()
    digest = digest_of(request)
    asked = {"user_id": caller.user.pk, "request": digest, "started_at": now}
    row, is_new = KeptAnswer.objects.get_or_create(name=_name(caller, key), defaults=asked)
    if is_new:
        _forget_oldest(caller)
    elif row.started_at <= now - KEPT or (row.status is None and row.started_at <= now - LEASE):
        _take_over(row, asked)
    else:
        _check_repeat(row, digest)
    request.begun = _Begun(row.pk, now)  # type: ignore[attr-defined]


def keeping_answers(run: Run) -> Run:
    """Return an operation's `run` that keeps the answer to a request that has begun.

    It does so in the operation's own thread: when the client goes away, Django gives up the request, but not that.
    """
    if iscoroutinefunction(run):

        async def run_async(request: HttpRequest, **path: Any) -> HttpResponseBase:
            response: HttpResponseBase = await run(request, **path)
            if _begun(request) is not None:
                await sync_to_async(_finish)(request, response)
            return response

        return run_async

    def run_and_keep(request: HttpRequest, **path: Any) -> HttpResponseBase:
        response: HttpResponseBase = run(request, **path)
        _finish(request, response)
        return response

    return run_and_keep


def answers_purge() -> None:
    """Delete the answers that have been kept for long enough."""
    KeptAnswer.objects.filter(started_at__lte=clock.utcnow() - KEPT).delete()


def _name(caller: Caller, key: str) -> str:
    """Each API key of a user has Idempotency-Keys of its own, and so have the user's sessions."""
    return hashlib.sha256(f"{caller.user.pk} {caller.key_id or 'session'} {key}".encode()).hexdigest()


def _check_repeat(row: KeptAnswer, request: str) -> None:
    """Raise Repeated, or Problem when there is no answer to repeat."""
    if row.request != request:
        sentence = f"This {HEADER} belongs to another request; please choose a new one for each."
        raise Problem("idempotency_key_reused", sentence, status=422)
    if row.status is None:
        raise _in_progress()
    raise Repeated(row)


def _take_over(row: KeptAnswer, asked: dict[str, Any]) -> None:
    """Begin anew under the name of a request that is over or lost. Raises Problem when another repeat was quicker."""
    unchanged = KeptAnswer.objects.filter(pk=row.pk, started_at=row.started_at)
    if not unchanged.update(**asked, status=None, headers={}, content=b""):
        raise _in_progress()


def _in_progress() -> Problem:
    return Problem(
        "idempotency_in_progress",
        f"The first request with this {HEADER} is still being carried out; please ask again in a moment.",
        status=409,
        retry_after_seconds=RETRY_SECONDS,
    )


def _begun(request: HttpRequest) -> _Begun | None:
    if request.method in WITHOUT_BODY:  # a copy of the request, with which its condition is looked into
        return None
    return getattr(request, "begun", None)


def _finish(request: HttpRequest, response: HttpResponseBase) -> None:
    """Keep the answer to a request that has begun; forget the request if asking again may help."""
    begun = _begun(request)
    if begun is None:
        return
    row = KeptAnswer.objects.filter(pk=begun.pk, started_at=begun.started_at)
    is_refused_for_now = response.status_code >= 400 and "Retry-After" in response
    try:
        if response.status_code >= 500 or is_refused_for_now or not isinstance(response, HttpResponse):
            row.delete()
        else:
            _keep(row, request, response)
    except OperationalError as error:  # the client gets its answer; to a repeat, the request is still under way
        logger.error("The answer to a request with an %s could not be kept: %s", HEADER, error)


def _keep(row: QuerySet[KeptAnswer], request: HttpRequest, response: HttpResponse) -> None:
    if len(response.content) > LARGEST_BYTES or response.get("Cache-Control") == NO_STORE:
        sentence = "This request was carried out, but its answer was not kept: it was too large, or showed a secret."
        response = answer(request, Problem("idempotency_answer_not_kept", sentence, status=409))
    row.update(status=response.status_code, headers=dict(response.headers), content=response.content)


def _forget_oldest(caller: Caller) -> None:
    """Delete what the user has beyond MOST_KEPT; what is still being carried out stays."""
    beyond = KeptAnswer.objects.filter(user=caller.user.pk).values_list("started_at", flat=True)[MOST_KEPT:][:1]
    for oldest in beyond:
        KeptAnswer.objects.filter(user=caller.user.pk, started_at__lte=oldest, status__isnull=False).delete()
