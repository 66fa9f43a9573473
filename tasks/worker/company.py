"""Who opens photos in this process at the same time: many messages together, or one alone."""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager


class Company:
    """First come, first served, so nobody waits for ever. Safe to share between threads."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._queue: deque[object] = deque()
        self._inside = 0
        self._is_alone = False

    @property
    def waiting(self) -> int:
        """How many threads wait to come in."""
        return len(self._queue)

    @contextmanager
    def join(self, *, alone: bool) -> Iterator[None]:
        """Run the block beside others, or `alone`. Blocks while somebody is alone, or has come first to be it."""
        me = object()
        with self._changed:
            self._queue.append(me)
            self._changed.wait_for(lambda: self._queue[0] is me and not self._is_alone and not (alone and self._inside))
            self._queue.popleft()
            self._inside += 1
            self._is_alone = alone
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                self._is_alone = False
                self._changed.notify_all()
