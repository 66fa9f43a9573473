"""A ticket: the handle of a search in a client's hands. Signed, and valid only for the user who started the search."""

from dataclasses import asdict, dataclass

from django.core import signing

from tasks import clock
from webapp.http.problems import not_found

_SALT = "webapp.search.ticket"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """A search in progress. The database has no row for it: this value, signed, is its only record."""

    search_id: str
    user_id: str
    #: The galleries that were asked for; None stands for all that the user may see.
    gallery_ids: tuple[str, ...] | None
    #: The stored face that is searched for; None for an image.
    face_id: str | None = None
    #: Seconds since the epoch by the shared clock.
    started: float
    timeout_seconds: float

    @property
    def seconds_left(self) -> float:
        """How long an answer may still come; zero or less once the search has expired."""
        return self.started + self.timeout_seconds - clock.now()

    def to_token(self) -> str:
        """Return the ticket as signed text that is safe in a URL."""
        return signing.dumps(asdict(self), salt=_SALT, compress=True)


def ticket_from(token: str, *, user_id: object) -> Ticket:
    """Read a signed ticket. Raises not_found if it is forged or another user's."""
    try:
        values = signing.loads(token, salt=_SALT)
        # JSON has no tuples.
        ids = values.pop("gallery_ids")
        ticket = Ticket(**values, gallery_ids=None if ids is None else tuple(ids))
    except (signing.BadSignature, AttributeError, KeyError, TypeError):
        raise not_found("search") from None
    if ticket.user_id != str(user_id):
        raise not_found("search")
    return ticket
