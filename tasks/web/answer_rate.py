"""How many searches per second the workers answer when they are busy: what the bound of the search queue follows.

Answers say what the workers *can* do only while searches wait for them. So a second in which some waited throughout
moves the estimate, up or down; any other second can only raise it. An estimate that nothing confirms falls back to a
cautious assumption: what the machine could do an hour ago says little about now.
"""

import math
from typing import Final

#: What is assumed before anything was measured, in answers per second; less than one CPU core answers.
ASSUMED_PER_SECOND: Final = 4.0
#: Answers are counted over at least this long, in seconds.
WINDOW_SECONDS: Final = 1.0
#: The estimate follows a lasting change of the rate by 63 % within this many seconds.
FOLLOW_SECONDS: Final = 3.0
#: An estimate that nothing confirms loses 63 % of its distance from the assumption within this many seconds.
FORGET_SECONDS: Final = 60.0
#: After so long without a look nobody knows whether searches waited in between.
GAP_SECONDS: Final = 5.0


class AnswerRate:
    """An estimate of the workers' rate. The caller gives the time, in seconds by any clock that never goes back."""

    def __init__(self) -> None:
        self.per_second = ASSUMED_PER_SECOND
        self._answers = 0
        self._window_began = float("-inf")
        self._looked_at = float("-inf")
        self._is_backlogged = True

    def count_answer(self) -> None:
        self._answers += 1

    def look(self, *, at: float, is_backlogged: bool) -> None:
        """Note whether searches wait for a worker now; call it several times a second while any is in flight."""
        gap, self._looked_at = at - self._looked_at, at
        if not is_backlogged:  # workers that keep up are no slower than assumed
            self.per_second = max(self.per_second, ASSUMED_PER_SECOND)
        seconds = at - self._window_began
        if gap > GAP_SECONDS:
            self._forget(0.0 if math.isinf(gap) else gap)
            self._begin(at)
            return
        self._is_backlogged = self._is_backlogged and is_backlogged
        if seconds < WINDOW_SECONDS:
            return
        measured = self._answers / seconds
        if self._is_backlogged or measured > self.per_second:
            self.per_second += (measured - self.per_second) * (1 - math.exp(-seconds / FOLLOW_SECONDS))
        else:
            self._forget(seconds)
        self._begin(at)

    def _forget(self, seconds: float) -> None:
        more = max(0.0, self.per_second - ASSUMED_PER_SECOND)
        self.per_second -= more * (1 - math.exp(-seconds / FORGET_SECONDS))

    def _begin(self, at: float) -> None:
        self._window_began, self._answers, self._is_backlogged = at, 0, True
