"""The caller of a request that is held, as they are now: a key may be revoked meanwhile, and a session may end."""

from django.http import HttpRequest

from webapp.accounts.authentication import shown_key
from webapp.accounts.callers import Caller
from webapp.accounts.keys import caller_of_key
from webapp.accounts.sessions import user_of_session
from webapp.http.problems import not_logged_in


def caller_now(request: HttpRequest) -> Caller:
    """Return the caller of a request that was let in earlier. Blocks for a query or two.

    Raises Problem: `bad_key` for a key that no longer works, `not_logged_in` for a session that is over.
    """
    token = shown_key(request.headers)
    if token is not None:
        return caller_of_key(token)
    user = user_of_session(request.session.session_key or "")
    if user is None:
        raise not_logged_in()
    return Caller(user=user)
