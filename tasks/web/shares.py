"""Who has how many searches in flight, and who may have one more: dynamic thresholds.

A client may have at most as many searches in flight as there are places left (Choudhury and Hahne, "Dynamic Queue
Length Thresholds for Shared-Memory Packet Switches", IEEE/ACM Transactions on Networking 6(2), 1998, with alpha = 1).
So one client that asks for everything gets half of the places, two such clients get a third each, k of them
1 / (k + 1); what is left stays open to everybody else. Nobody's share is reserved, and nothing is configured.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Final

#: The client of commands: nobody in particular, so only the room as a whole bounds it.
NOBODY: Final = ""


class Shares:
    """Searches in flight: let in, and not yet answered, expired or cancelled. Those of this process, and the others."""

    def __init__(self) -> None:
        self._own: Counter[str] = Counter()
        self._others: Counter[str] = Counter()

    @property
    def own(self) -> Counter[str]:
        """Searches of this process in flight, by client."""
        return self._own

    @property
    def in_flight(self) -> int:
        return self._own.total() + self._others.total()

    def of(self, client: str) -> int:
        """Return how many searches the client has in flight."""
        return self._own[client] + self._others[client]

    def note_others(self, in_flight: Mapping[str, int]) -> None:
        """Note the searches of other processes, by client."""
        self._others = Counter(in_flight)

    def may_enter(self, client: str, *, places: int) -> bool:
        """Tell whether the client may have one more search in flight while this many `places` are free."""
        return places > 0 if client == NOBODY else places > self.of(client)

    def enter(self, client: str) -> None:
        self._own[client] += 1

    def leave(self, client: str) -> None:
        self._own[client] -= 1
        if self._own[client] <= 0:
            del self._own[client]
