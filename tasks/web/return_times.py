"""When somebody who was refused is asked to return, and whose turn it is then.

Those who were refused and whose time has not come are a second queue, outside the service. With `n` clients there and
`r` answers per second they are told to return within about n / r, a little sooner so that the room never stands empty.
A client that returns at that time has a *claim*: a place that those without one must leave free. Without claims,
whoever was just answered would take the place that this freed, again and again, before anybody else could ask.

A client that does not wait as asked lengthens only its own time: it counts once in everybody else's. The caller gives
the time, in seconds by any clock that never goes back.
"""

import heapq
import random
from collections import Counter, deque
from typing import Final

#: The range of what is asked for, in seconds, before it is spread. The longest, spread, is shorter than the web keeps
#: idle connections open (30 s): a client that returns must not meet one that is just being closed.
SHORTEST_SECONDS: Final = 2.0
LONGEST_SECONDS: Final = 19.0
#: Clients that should return for each answer.
RETURNS_PER_ANSWER: Final = 1.25
#: Times are spread by this share in both directions: clients refused together must not return together.
SPREAD: Final = 0.5
#: How long a claim lasts.
CLAIM_SECONDS: Final = 10.0
#: The most refusals that are remembered; further ones get a time and no claim.
MOST_REMEMBERED: Final = 20_000


class ReturnTimes:
    """The refusals of this process that have not ended in an answer."""

    def __init__(self) -> None:
        self._due: list[tuple[float, str]] = []  # a heap
        self._outside: Counter[str] = Counter()
        self._lapsing: deque[tuple[float, str]] = deque()
        self._claims: Counter[str] = Counter()

    def others_outside(self, client: str) -> int:
        """Return how many other clients were refused and are to return."""
        return len(self._outside) - (client in self._outside)

    def next_seconds(self, client: str, *, at: float, answers_per_second: float) -> float:
        """Return after how many seconds the client, who is refused now, should ask again."""
        waiting = max(len(self._outside), self._outside[client])
        expected = waiting / (RETURNS_PER_ANSWER * max(answers_per_second, 1e-3))
        seconds = min(max(expected, SHORTEST_SECONDS), LONGEST_SECONDS)
        seconds *= random.uniform(1 - SPREAD, 1 + SPREAD)  # noqa: S311 - no secret
        if len(self._due) < MOST_REMEMBERED:
            heapq.heappush(self._due, (at + seconds, client))
            self._outside[client] += 1
        return seconds

    def has_claim(self, client: str, *, at: float) -> bool:
        """Tell whether the client was refused before and has returned at its time."""
        while self._due and self._due[0][0] <= at:
            due, due_client = heapq.heappop(self._due)
            _take(self._outside, due_client)
            self._claims[due_client] += 1
            self._lapsing.append((due + CLAIM_SECONDS, due_client))
        while self._lapsing and self._lapsing[0][0] <= at:
            _take(self._claims, self._lapsing.popleft()[1])
        return client in self._claims

    def use_claim(self, client: str) -> None:
        """The client has got its place."""
        _take(self._claims, client)


def _take(counts: Counter[str], client: str) -> None:
    counts[client] -= 1
    if counts[client] <= 0:
        del counts[client]
