"""A search queue and its workers in simulated time, behind a real Room: what a load test shows, in milliseconds."""

import heapq
import itertools
import random
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from tasks.web.room import Full, Room, Seen

LOOK_SECONDS = 0.15


@dataclass
class Search:
    client: str
    sent_at: float
    again: Callable[[], None]


@dataclass
class Simulation:
    """Workers with `slots` that each take `seconds_per_search()`; a search not begun by its deadline has expired."""

    seconds_per_search: Callable[[float], float]
    slots: int = 8
    timeout_seconds: float = 30.0
    most: int = 64
    now: float = 0.0
    answered: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    expired: int = 0
    longest_wait_seconds: float = 0.0

    def __post_init__(self) -> None:
        random.seed(7)  # return times are spread at random
        self.room = Room(most=self.most, timeout_seconds=self.timeout_seconds)
        self._number = itertools.count()
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._waiting: deque[Search] = deque()
        self._free_slots = self.slots
        self._look()

    def loops(self, client: str, count: int, *, honours: bool = True, begin: float = 0.0) -> None:
        """Let a client keep `count` searches going: the next follows an answer at once, or a refusal when told to."""
        for number in range(count):
            self._at(begin + number * 0.001, lambda: self._send(client, honours=honours))

    def every(self, client: str, seconds: float, *, begin: float = 0.0) -> None:
        """Let a client send one search in so many seconds, whatever becomes of it."""

        def tick() -> None:
            self._try(client, again=lambda: None)
            self._at(self.now + seconds, tick)

        self._at(begin, tick)

    def run(self, until: float) -> "Simulation":
        while self._events and self._events[0][0] <= until:
            self.now, _, event = heapq.heappop(self._events)
            event()
        self.now = until
        return self

    def count_anew(self) -> None:
        self.answered.clear()
        self.refused.clear()

    def _at(self, when: float, event: Callable[[], None]) -> None:
        heapq.heappush(self._events, (when, next(self._number), event))

    def _look(self) -> None:
        oldest = self.now - self._waiting[0].sent_at if self._waiting else 0.0
        self.room.look(Seen(waiting=len(self._waiting), oldest_seconds=oldest), at=self.now)
        self._at(self.now + LOOK_SECONDS, self._look)

    def _send(self, client: str, *, honours: bool) -> None:
        again = lambda: self._send(client, honours=honours)  # noqa: E731
        seconds = self._try(client, again=again)
        if seconds is not None:
            self._at(self.now + (seconds if honours else 0.1), again)

    def _try(self, client: str, *, again: Callable[[], None]) -> float | None:
        try:
            self.room.check(client, at=self.now)
        except Full as full:
            self.refused[client] += 1
            return full.return_seconds
        self.room.enter(client)
        self._waiting.append(Search(client, self.now, again))
        self._start()
        return None

    def _start(self) -> None:
        while self._free_slots and self._waiting:
            search = self._waiting.popleft()
            waited = self.now - search.sent_at
            self.longest_wait_seconds = max(self.longest_wait_seconds, waited)
            if waited > self.timeout_seconds:
                self.expired += 1
                self.room.shares.leave(search.client)
                continue
            self._free_slots -= 1
            self._at(self.now + self.seconds_per_search(self.now), lambda search=search: self._end(search))  # type: ignore[misc]

    def _end(self, search: Search) -> None:
        self._free_slots += 1
        self.room.shares.leave(search.client)
        self.room.rate.count_answer()
        self.answered[search.client] += 1
        search.again()
        self._start()


def at_rate(per_second: float, *, slots: int = 8) -> Callable[[float], float]:
    """Workers that together answer about so many searches per second; one search takes up to three times another's."""
    source = random.Random(7)
    return lambda _: slots / per_second * source.uniform(0.5, 1.5)
