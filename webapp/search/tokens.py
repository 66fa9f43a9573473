"""A job id in a client's hands: signed, and valid only for the user who started the search."""

import time
from dataclasses import asdict, dataclass

from django.core import signing

from webapp.http.problems import not_found

_SALT = "webapp.search.job"


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchJob:
    """A search under way. Nothing of it is in the database: this value, signed, is all there is."""

    job_id: str
    user_id: str
    gallery_id: str
    #: Seconds since the epoch.
    started: float
    timeout_seconds: float

    @property
    def seconds_left(self) -> float:
        """How long an answer may still come; at most 0 when the search has expired."""
        return self.started + self.timeout_seconds - time.time()

    def to_token(self) -> str:
        """Return the text to hand out; it is safe in a URL."""
        return signing.dumps(asdict(self), salt=_SALT)


def search_job(token: str, *, user_id: object) -> SearchJob:
    """Read a token. Raises not_found for a forged one, and for another user's as if there were no such search."""
    try:
        job = SearchJob(**signing.loads(token, salt=_SALT))
    except (signing.BadSignature, TypeError):
        raise not_found("search") from None
    if job.user_id != str(user_id):
        raise not_found("search")
    return job
