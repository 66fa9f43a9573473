"""Pacing: how fast a generation is filled, so that searches keep their latency.

An operator may set a limit. Otherwise, there is none while nobody searches. When searches arrive, nothing is sent for a
while in order to measure their latency without re-indexing (the baseline). After that the rate rises while the latency
stays close to the baseline, and falls when it does not. This resembles TCP's congestion control (Chiu and Jain, 1989),
except that the rate rises by a factor, because rates of different work are orders of magnitude apart. Each step is
judged only by searches sent after the previous one; otherwise one slow minute would lower the rate several times.

In a simulation of 40 minutes, the constants below kept the 95th percentile of search latency at 1.13 to 1.28 times the
baseline on average, and at most at 1.44 times. It had 1 to 10 searches a second, whose times varied by a third, and by
a seventh with other work on the machine; re-indexing made each search 1.3 to 3 times as long.
"""

import math
from collections.abc import Sequence
from datetime import datetime, timedelta

from tasks.health.latency import WINDOW_SECONDS
from tasks.health.reports import WorkerReport
from webapp.generations.models import Entry, Generation

#: After a pause of the tick, the photos of at most this many seconds are sent at once.
LONGEST_BREAK_SECONDS = 5.0
#: Stands for no limit: more photos than any worker can index between two ticks.
UNLIMITED = 1_000_000
#: The latency, as a multiple of the baseline, above which the rate falls. Trying out a higher rate exceeds it, so it is
#: well below the factor of 1.5 that re-indexing may cost.
BEARABLE = 1.2
#: Seconds after a change until reports no longer include anything from before it: their window and age, and the queue.
SEEN_SECONDS = WINDOW_SECONDS + 5.0
#: The factors by which the rate changes. It falls faster than it rises: users feel slow searches, not slow re-indexing.
FASTER, SLOWER = 1.5, 0.5
#: The rate rises only if at least this share of it was sent: if workers cannot keep up, raising it would show nothing.
#: Rounding alone loses half of a low rate.
LEAST_USED = 0.4
#: The initial rates in photos per second: of indexed photos and of copied ones.
FIRST_RATE, FIRST_COPY_RATE = 2.0, 1000.0
#: The rate never falls below this share of the initial one, so that re-indexing ends.
LEAST_SHARE = 0.1
#: How long a baseline stays valid, in seconds. Measuring it again costs a twenty-fourth of the time.
BASELINE_SECONDS = 600.0


def photos_allowed(
    generation: Generation, reports: Sequence[WorkerReport], now: datetime, *, first_rate: float = FIRST_RATE
) -> int:
    """Return how many photos may be sent to the generation now."""
    rate = _usable(generation.rate_limit)
    if rate is None:
        latency_ms = search_p95_ms(reports)
        if latency_ms is None:
            return UNLIMITED
        rate = _chosen(generation, latency_ms, now, first_rate)
    since = generation.fed_at or generation.created
    longest_seconds = (
        max(LONGEST_BREAK_SECONDS, 1 / rate) if rate else 0.0
    )  # however low the rate, it allows one photo at some point
    return int(rate * min((now - since).total_seconds(), longest_seconds))


def search_p95_ms(reports: Sequence[WorkerReport]) -> float | None:
    """Return the 95th percentile of search latency in the slowest search worker; None if there are too few searches."""
    return max((each.search_latency.p95_ms for each in reports if each.search_latency), default=None)


def _usable(rate: float | None) -> float | None:
    """Return a stored rate as one to reckon with: whatever was stored once, it must not end the tick."""
    if rate is None or math.isnan(rate):
        return None
    return min(max(rate, 0.0), UNLIMITED)


def _chosen(generation: Generation, latency_ms: float, now: datetime, first_rate: float) -> float:
    """Return the rate in photos per second at which searches keep their latency; store it."""
    rate = _usable(generation.chosen_rate) or first_rate
    if generation.baseline_at is None or now - generation.baseline_at > timedelta(seconds=BASELINE_SECONDS):
        if generation.fed_at is not None and now - generation.fed_at < timedelta(seconds=SEEN_SECONDS):
            return 0.0  # measure the baseline first
        generation.baseline_ms, generation.baseline_at = latency_ms, now
        generation.chosen_rate, generation.paced_at = rate, now
        generation.save(update_fields=["baseline_ms", "baseline_at", "chosen_rate", "paced_at"])
    elif generation.paced_at is None or now - generation.paced_at >= timedelta(seconds=SEEN_SECONDS):
        rate = _next_rate(generation, rate, latency_ms, now)
        least = LEAST_SHARE * first_rate
        if rate < least:  # searches stay slow however little is sent, so the cause may be something else
            rate, generation.baseline_at = least, None
        rate = min(rate, UNLIMITED)
        generation.chosen_rate, generation.paced_at = rate, now
        generation.save(update_fields=["baseline_at", "chosen_rate", "paced_at"])
    return rate


def _next_rate(generation: Generation, rate: float, latency_ms: float, now: datetime) -> float:
    """Return the rate that follows `rate`, given the search latency and what was sent since `rate` was chosen."""
    since = generation.paced_at or generation.created
    sent = generation.entries.filter(state__in=Entry.State.values, enqueued_at__gte=since).count()
    tried = sent / (now - since).total_seconds()
    if latency_ms <= BEARABLE * (generation.baseline_ms or latency_ms):
        return rate * FASTER if tried >= LEAST_USED * rate else rate
    return min(rate, tried) * SLOWER if sent else rate
