"""API authentication: by an API key, or by the session of the pages with its CSRF check."""

from collections.abc import Callable, Mapping

from django.http import HttpRequest
from ninja.utils import check_csrf

from webapp.accounts.callers import Caller, Scope
from webapp.accounts.idempotency.answers import begin
from webapp.accounts.keys import bad_key, caller_of_key
from webapp.accounts.sessions import user_of_session
from webapp.accounts.staff import check_staff
from webapp.http.problems import CHALLENGE, Problem, Unauthenticated, not_logged_in


class ScopeMissing(Problem):
    def __init__(self, scope: Scope) -> None:
        super().__init__("scope_missing", f"This API key lacks the scope “{scope}”.", status=403)
        self._scope = scope

    @property
    def headers(self) -> dict[str, str]:
        challenge = f'{CHALLENGE}, error="insufficient_scope", scope="{self._scope}"'  # RFC 6750 section 3.1
        return super().headers | {"WWW-Authenticate": challenge}


class Needs:
    """Lets in the callers who may use an operation of this scope; `caller_of` returns them.

    One callable that does everything in one visit to a thread: under load, each visit has to wait for its turn.
    """

    def __init__(
        self,
        scope: Scope,
        *,
        permission: str | None = None,
        prepare: Callable[[HttpRequest], None] | None = None,
    ) -> None:
        """`permission` is for operations that only staff may use; "" means any of them.

        `prepare` is called before anything reads the request's body.
        """
        self.scope = scope
        self.permission = permission
        self._prepare = prepare

    def __call__(self, request: HttpRequest) -> Caller | None:
        """Return the caller; None for a stranger. Raises Problem, and Repeated for a request that has been answered."""
        if self._prepare is not None:
            self._prepare(request)
        token = shown_key(request.headers)
        caller = _session_caller(request) if token is None else caller_of_key(token)
        if caller is None:
            return None
        if self.scope not in caller.scopes:
            raise ScopeMissing(self.scope)
        if self.permission is not None:
            check_staff(caller.user, self.permission)
            caller.check_unlimited()
        if self.scope != Scope.SEARCH:  # searches write nothing
            begin(request, caller)
        return caller


def caller_now(request: HttpRequest) -> Caller:
    """Return the caller of a request that was let in and then held: meanwhile a key may have been revoked.

    Blocks for a query or two. Raises Problem: `bad_key` for a key that no longer works, `not_logged_in` for a session
    that is over.
    """
    token = shown_key(request.headers)
    if token is not None:
        return caller_of_key(token)
    user = user_of_session(request.session.session_key or "")
    if user is None:
        raise not_logged_in()
    return Caller(user=user)


def shown_key(headers: Mapping[str, str]) -> str | None:
    """Return the API key that a request shows; None if it shows none, so that a session counts.

    `headers` are looked up as "Authorization" and "X-Api-Key". Raises Problem for credentials of another kind, which
    must not silently count for nothing, and for two different keys.
    """
    authorization, key = headers.get("Authorization"), headers.get("X-Api-Key")
    if authorization is None:
        return key
    kind, _, token = authorization.strip().partition(" ")
    token = token.strip()
    if kind.lower() != "bearer":
        raise Unauthenticated("bad_key", "The Authorization header must be “Bearer KEY”, with an API key.")
    if not token:
        raise bad_key()
    if key is not None and key != token:
        raise Problem("two_keys", "This request shows two different API keys.", status=400)
    return token


def _session_caller(request: HttpRequest) -> Caller | None:
    if not request.user.is_authenticated:
        return None
    if check_csrf(request):
        raise Problem("csrf", "The CSRF token is missing or wrong.", status=403)
    return Caller(user=request.user)
