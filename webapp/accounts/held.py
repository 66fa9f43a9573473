"""The caller of a request that is held, as they are now: a key may be revoked meanwhile, and a session may end."""

from django.contrib.auth import get_user
from django.http import HttpRequest

from webapp.accounts.authentication import shown_key
from webapp.accounts.callers import Caller
from webapp.accounts.keys import caller_of_key
from webapp.http.problems import Problem


def caller_now(request: HttpRequest) -> Caller:
    """Return the caller of a request that was let in earlier. Blocks for a query or two.

    Raises Problem: `bad_key` for a key that no longer works, `not_logged_in` for a session that is over.
    """
    token = shown_key(request.headers)
    if token is not None:
        return caller_of_key(token)
    again = HttpRequest()
    again.session = type(request.session)(request.session.session_key)
    user = get_user(again)
    if not user.is_authenticated:
        raise Problem("not_logged_in", "Please log in first.", status=401)
    return Caller(user=user)
