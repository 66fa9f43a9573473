"""How fast a generation is filled, so that searches keep their latency.

Without a limit of the operator's, the rate is found out: as long as nobody searches there is none. When searches come,
nothing is sent for a while, to learn what they take by themselves; from then on the rate goes up while they take hardly
more than that, and down when they do, as in TCP's congestion control (Chiu and Jain, 1989), but for an increase by a
factor: rates of different work lie orders of magnitude apart. Each step is judged by searches that were sent after the
one before it, else a slow minute would be paid for several times.

In a simulation of 40 minutes - 1 to 10 searches a second, times that vary by a third and with the machine's other work
by a seventh, re-indexing that makes a search 1.3 to 3 times as long - the numbers below kept the 95th percentile at
1.13 to 1.28 times its own without it on average, and at 1.44 at most.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from tasks.health.latency import WINDOW_SECONDS
from tasks.health.reports import WorkerReport
from webapp.generations.models import Entry, Generation

#: What a generation may catch up at once after a pause of the tick, in seconds.
LONGEST_BREAK_SECONDS = 5.0
#: Without any limit: more than any worker does.
UNLIMITED = 1_000_000
#: How much longer searches may take before the rate goes down. The rate is tried out beyond it, so it is well below the
#: half that a re-index may cost.
BEARABLE = 1.2
#: How long after a change reports tell of nothing before it: their window, their age, and what was in the queue.
SEEN_SECONDS = WINDOW_SECONDS + 5.0
#: By which factors the rate is changed. Going down is the quicker one: searches are felt, a re-index is waited for.
FASTER, SLOWER = 1.5, 0.5
#: A rate goes up only if so much of it was sent: where workers are slower, more of it says nothing. Half of a low one
#: is lost in rounding.
LEAST_USED = 0.4
#: The first rate, in photos per second: of photos that a model looks at, and of copies.
FIRST_RATE, FIRST_COPY_RATE = 2.0, 1000.0
#: The rate never falls below this share of the first one: a re-index must end.
LEAST_SHARE = 0.1
#: For how long it is taken that searches would take the same without the re-index, in seconds. Listening again costs a
#: twenty-fourth of the time.
BASELINE_SECONDS = 600.0


def photos_allowed(
    generation: Generation, reports: Sequence[WorkerReport], now: datetime, *, first_rate: float = FIRST_RATE
) -> int:
    """Return how many photos may be sent to the generation now."""
    rate = generation.rate_limit
    if rate is None:
        latency_ms = search_p95_ms(reports)
        if latency_ms is None:
            return UNLIMITED
        rate = _chosen(generation, latency_ms, now, first_rate)
    since = generation.fed_at or generation.created
    longest_seconds = max(LONGEST_BREAK_SECONDS, 1 / rate) if rate else 0.0  # one photo at last, however low the rate
    return int(rate * min((now - since).total_seconds(), longest_seconds))


def search_p95_ms(reports: Sequence[WorkerReport]) -> float | None:
    """Return what searches take in the slowest search worker; None while there are too few to tell."""
    return max((each.search_latency.p95_ms for each in reports if each.search_latency), default=None)


def _chosen(generation: Generation, latency_ms: float, now: datetime, first_rate: float) -> float:
    """Return the rate in photos per second that searches bear; remember it."""
    rate = generation.chosen_rate or first_rate
    if generation.baseline_at is None or now - generation.baseline_at > timedelta(seconds=BASELINE_SECONDS):
        if generation.fed_at is not None and now - generation.fed_at < timedelta(seconds=SEEN_SECONDS):
            return 0.0  # listen first
        generation.baseline_ms, generation.baseline_at = latency_ms, now
        generation.chosen_rate, generation.paced_at = rate, now
        generation.save(update_fields=["baseline_ms", "baseline_at", "chosen_rate", "paced_at"])
    elif generation.paced_at is None or now - generation.paced_at >= timedelta(seconds=SEEN_SECONDS):
        rate = _next_rate(generation, rate, latency_ms, now)
        least = LEAST_SHARE * first_rate
        if rate < least:  # searches are slow whatever is sent: it may not be the re-index that slows them
            rate, generation.baseline_at = least, None
        generation.chosen_rate, generation.paced_at = rate, now
        generation.save(update_fields=["baseline_at", "chosen_rate", "paced_at"])
    return rate


def _next_rate(generation: Generation, rate: float, latency_ms: float, now: datetime) -> float:
    """Return the rate after `rate`, judged by what searches took and by what was sent since it was chosen."""
    since = generation.paced_at or generation.created
    sent = generation.entries.filter(state__in=Entry.State.values, enqueued_at__gte=since).count()
    tried = sent / (now - since).total_seconds()
    if latency_ms <= BEARABLE * (generation.baseline_ms or latency_ms):
        return rate * FASTER if tried >= LEAST_USED * rate else rate
    return min(rate, tried) * SLOWER if sent else rate
