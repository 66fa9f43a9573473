"""The room for searches: how many may be in flight, and who may have one more. No I/O; tests run it in simulated time.

A search that would wait too long is better refused at once, before its image is uploaded. What the room holds follows
the rate of answers, so that a search that is let in is started well before its deadline; who gets a place is decided by
`Shares`, and when the others should return by `ReturnTimes`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from tasks.web.answer_rate import AnswerRate
from tasks.web.return_times import ReturnTimes
from tasks.web.shares import NOBODY, Shares

#: The share of its deadline that a search may be expected to wait: the rate may fall to an eighth before it expires.
EXPECTED_WAIT_SHARE: Final = 0.125
#: When the oldest search has waited for this share of its deadline, the rate has fallen faster than the estimate.
OLDEST_WAIT_SHARE: Final = 0.5
#: The share of the room that is left, at most, to those who were refused before and return.
CLAIMED_SHARE: Final = 0.25
#: Even the slowest service takes so many, as only those that it takes show how fast it is.
FEWEST: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What Redis says of the searches of all processes."""

    #: Messages in the queue.
    waiting: int
    #: For how long the oldest of them has waited.
    oldest_seconds: float = 0.0
    #: Searches in flight of other processes, by client.
    others: Mapping[str, int] = field(default_factory=dict)


class Full(Exception):
    """There is no room for this client's search now: for nobody's, or only because of those that it has in flight."""

    def __init__(self, return_seconds: float, *, is_share: bool) -> None:
        super().__init__(f"no room for {return_seconds:.1f} s")
        self.return_seconds = return_seconds
        self.is_share = is_share


class Room:
    """Decides who may come in. Times are seconds by any clock that never goes back; the caller gives them."""

    def __init__(self, *, most: int, timeout_seconds: float) -> None:
        """Hold at most `most` searches in flight. `timeout_seconds` is the deadline of those that name none."""
        self._most = most
        self._timeout_seconds = timeout_seconds
        self._returns = ReturnTimes()
        self._seen = Seen(waiting=0)
        #: Messages that no process accounts for: of one that died, or of searches that were cancelled or expired.
        self._unaccounted = 0
        self.shares = Shares()
        self.rate = AnswerRate()

    def look(self, seen: Seen, *, at: float) -> None:
        """Note what Redis says. Call it several times a second while any search is in flight."""
        self._seen = seen
        self.shares.note_others(seen.others)
        self._unaccounted = max(0, seen.waiting - self.shares.in_flight)
        self.rate.look(at=at, is_backlogged=seen.waiting > 0)

    def bound(self, timeout_seconds: float | None = None) -> int:
        """Return how many searches with this deadline may be in flight; 0 while the oldest waits for too long."""
        timeout_seconds = self._timeout_seconds if timeout_seconds is None else timeout_seconds
        # An older one has expired: a message of a worker that died, delivered again, says nothing of those that live.
        if OLDEST_WAIT_SHARE * timeout_seconds < self._seen.oldest_seconds <= timeout_seconds:
            return 0
        by_rate = int(self.rate.per_second * EXPECTED_WAIT_SHARE * timeout_seconds)
        return min(self._most, max(FEWEST, by_rate))

    def check(self, client: str, *, at: float, timeout_seconds: float | None = None) -> None:
        """Raise Full when the client may not have one more search in flight."""
        bound = self.bound(timeout_seconds)
        free = places = bound - self.shares.in_flight - self._unaccounted
        if client != NOBODY and not self._returns.has_claim(client, at=at):
            places -= min(self._returns.others_outside(client), int(bound * CLAIMED_SHARE))
        if not self.shares.may_enter(client, places=places):
            seconds = self._returns.next_seconds(client, at=at, answers_per_second=self.rate.per_second)
            raise Full(seconds, is_share=free > 0 and self.shares.of(client) > 0)

    def enter(self, client: str) -> None:
        """The client, whom `check` has let in, has one more search in flight, until `shares.leave`."""
        self.shares.enter(client)
        self._returns.use_claim(client)
