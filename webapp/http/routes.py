"""What the door asks of a request before it reads the body: one entry per kind of address.

The table itself is in webapp/config/routes.py: config is the room that knows all addresses.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from webapp.http.asgi import Message

#: Methods whose requests have no body (RFC 9110 section 9.3: a body of theirs has no meaning).
WITHOUT_BODY: Final = frozenset({"GET", "HEAD", "OPTIONS"})
ALL_METHODS: Final = WITHOUT_BODY | {"POST", "PUT", "PATCH", "DELETE"}

#: Where a body goes while it arrives: to memory, or to a file in the data directory.
Kind = Literal["form", "query image", "photos"]


@dataclass(frozen=True, slots=True)
class Passenger:
    """Who sends a request, as far as the door must know. `client` is the key that rates and shares are counted by."""

    client: str


class Who(Protocol):
    """Finds out who sends a request, from what its headers show: a session cookie, an API key."""

    def is_known(self, scope: Message) -> bool:
        """Tell whether the answer costs no query: nothing is shown, or it was looked up a moment ago."""
        ...

    async def __call__(self, scope: Message) -> Passenger | None:
        """Return the sender; None for a stranger.

        Raises Problem for one who shows something that is worth nothing, and DatabaseUnavailable.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """The rules for the addresses whose whole path matches `pattern`."""

    pattern: str = ".*"
    methods: frozenset[str] = ALL_METHODS
    kind: Kind = "form"
    #: The largest body. A function, because it may follow from settings that are read later.
    largest_bytes: Callable[[], int]
    #: Whether strangers may send a body, too. A request without a body is for the view to judge.
    is_open: bool = False
    #: How long a body may fall behind its rate.
    patience_seconds: float = 10.0


class Routes:
    """The first route that matches a path; for any other path, `other`."""

    def __init__(self, routes: Iterable[Route], *, other: Route) -> None:
        self.listed = tuple(routes)
        self._other = other
        self._compiled = tuple((re.compile(route.pattern), route) for route in self.listed)

    def find(self, path: str) -> Route:
        for pattern, route in self._compiled:
            if pattern.fullmatch(path):
                return route
        return self._other
