"""Waiting for what takes as long as the machine needs: a slow machine passes, and a service that stands still fails."""

import time
from collections.abc import Callable
from typing import Final

#: How long nothing may move before a test fails. A busy machine takes long, but it does not stand still for minutes.
PATIENCE_SECONDS: Final = 180.0
POLL_SECONDS: Final = 0.2
#: For `pytest.mark.timeout`: a guard against a test that hangs, never what decides.
HANG_SECONDS: Final = 1800


def nothing_moves() -> None:
    """The progress of what shows none until it is there: a single event."""


def eventually(
    condition: Callable[[], object],
    what: str,
    *,
    progress: Callable[[], object] = nothing_moves,
    is_working: Callable[[], bool] = bool,
    details: Callable[[], str] = str,
    patience_seconds: float = PATIENCE_SECONDS,
) -> float:
    """Wait until `condition` holds; return how many seconds that took.

    Fails, with `what` and `details()`, when `progress()` has returned the same value for `patience_seconds` and nobody
    `is_working()`. What `progress` returns should only go forward, such as photos by state: what flickers never ends.
    """
    started = moved_at = time.monotonic()
    seen = progress()
    while not condition():
        if (now := progress()) != seen:
            seen, moved_at = now, time.monotonic()
        standstill_seconds = time.monotonic() - moved_at
        if standstill_seconds >= patience_seconds and is_working():
            moved_at = time.monotonic()
            continue
        assert standstill_seconds < patience_seconds, (
            f"Nothing has moved for {standstill_seconds:.0f} s while waiting: {what} ({seen}).\n{details()}"
        )
        time.sleep(POLL_SECONDS)
    return time.monotonic() - started
