"""A re-index goes as fast as searches bear."""

from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from tasks.health.latency import SearchLatency
from tasks.health.reports import WorkerReport
from webapp.gallery.models import Gallery, Photo
from webapp.generations.models import Entry, Generation
from webapp.indexing.pacing import (
    BASELINE_SECONDS,
    FASTER,
    FIRST_RATE,
    LEAST_SHARE,
    LONGEST_BREAK_SECONDS,
    SEEN_SECONDS,
    SLOWER,
    UNLIMITED,
    photos_allowed,
)

pytestmark = pytest.mark.django_db

#: More than a first rate and some steps up can send between two steps.
PHOTOS = 500
QUIET_MS, SLOW_MS = 50.0, 100.0


def reports(*p95_ms: float) -> list[WorkerReport]:
    return [
        WorkerReport(
            name=f"search@{number}",
            pid=1,
            queues=("search.dlib",),
            is_healthy=True,
            search_latency=SearchLatency(count=9, p95_ms=value),
        )
        for number, value in enumerate(p95_ms)
    ]


@pytest.fixture
def generation(gallery: Gallery) -> Generation:
    """A generation with PHOTOS entries, none of which was sent."""
    photos = [
        Photo(gallery=gallery, filename=f"{number}.jpg", sha256=str(number), byte_size=1) for number in range(PHOTOS)
    ]
    Photo.objects.bulk_create(photos)
    generation = Generation.objects.create(pack="other", collection="faces_other")
    Entry.objects.bulk_create(Entry(generation=generation, photo=photo) for photo in photos)
    return generation


def after(generation: Generation, seconds: float) -> datetime:
    return (generation.fed_at or generation.created) + timedelta(seconds=seconds)


def send(generation: Generation, count: int, at: datetime) -> None:
    """Write down what a feed does: so many photos were sent at that time."""
    ids = generation.entries.values_list("id", flat=True)[:count]
    generation.entries.filter(id__in=list(ids)).update(enqueued_at=at)
    generation.fed_at = at
    generation.save()


def rate_after(generation: Generation, *latencies_ms: float, used: float = 1.0) -> float:
    """Return the rate that is chosen when searches take so long, one step after the other.

    `used` is the share of each rate that is sent.
    """
    now = timezone.now() + timedelta(minutes=1)
    for latency_ms in latencies_ms:
        photos_allowed(generation, reports(latency_ms), now)
        assert generation.chosen_rate is not None
        send(generation, round(generation.chosen_rate * used * SEEN_SECONDS), now + timedelta(seconds=1))
        now += timedelta(seconds=SEEN_SECONDS)
    generation.refresh_from_db()
    assert generation.chosen_rate is not None
    return generation.chosen_rate


def test_while_nobody_searches_there_is_no_limit(generation: Generation) -> None:
    assert photos_allowed(generation, reports(), timezone.now()) == UNLIMITED


def test_an_operators_limit_holds_whoever_searches(generation: Generation) -> None:
    generation.rate_limit = 3.0
    assert photos_allowed(generation, reports(), after(generation, 2)) == 6
    assert photos_allowed(generation, reports(9000.0), after(generation, 2)) == 6


@pytest.mark.parametrize("stored", [1e308, float("inf"), float("nan"), -1.0, 0.0])
def test_no_rate_that_is_stored_already_ends_the_tick(generation: Generation, stored: float) -> None:
    for field in ("rate_limit", "chosen_rate"):
        Generation.objects.filter(pk=generation.pk).update(rate_limit=None, chosen_rate=None, baseline_at=None)
        Generation.objects.filter(pk=generation.pk).update(**{field: stored})
        generation.refresh_from_db()
        for latencies in ((), (QUIET_MS,), (SLOW_MS,)):
            allowed = photos_allowed(generation, reports(*latencies), after(generation, 1e6))
            assert 0 <= allowed <= LONGEST_BREAK_SECONDS * UNLIMITED


def test_a_break_is_not_caught_up(generation: Generation) -> None:
    generation.rate_limit = 3.0
    assert photos_allowed(generation, reports(), after(generation, 3600)) == 15


def test_it_listens_before_it_judges(generation: Generation) -> None:
    generation.fed_at = timezone.now()
    assert photos_allowed(generation, reports(QUIET_MS), after(generation, SEEN_SECONDS - 1)) == 0
    assert generation.baseline_ms is None
    assert photos_allowed(generation, reports(QUIET_MS), after(generation, SEEN_SECONDS + 1)) > 0
    assert (generation.baseline_ms, generation.chosen_rate) == (QUIET_MS, FIRST_RATE)


def test_it_goes_faster_while_searches_take_no_longer(generation: Generation) -> None:
    rate = rate_after(generation, QUIET_MS, QUIET_MS, QUIET_MS * 1.1)
    assert rate == pytest.approx(FIRST_RATE * FASTER**2)


def test_it_goes_slower_when_they_do(generation: Generation) -> None:
    assert rate_after(generation, QUIET_MS, SLOW_MS, SLOW_MS) == pytest.approx(FIRST_RATE * SLOWER**2, rel=0.05)


def test_a_step_is_judged_by_the_searches_after_it_only(generation: Generation) -> None:
    rate_after(generation, QUIET_MS)
    photos_allowed(generation, reports(SLOW_MS), (generation.paced_at or timezone.now()) + timedelta(seconds=5))
    assert generation.chosen_rate == FIRST_RATE


def test_a_rate_that_the_workers_do_not_reach_is_not_raised(generation: Generation) -> None:
    assert rate_after(generation, *[QUIET_MS] * 5, used=0.3) == FIRST_RATE


def test_it_goes_slower_than_what_was_really_sent(generation: Generation) -> None:
    assert rate_after(generation, QUIET_MS, SLOW_MS, used=0.5) == pytest.approx(FIRST_RATE / 2 * SLOWER)


def test_searches_that_are_slow_without_it_do_not_lower_its_rate(generation: Generation) -> None:
    assert rate_after(generation, QUIET_MS, *[SLOW_MS] * 5, used=0.0) == FIRST_RATE


def test_the_slowest_worker_counts(generation: Generation) -> None:
    now = timezone.now() + timedelta(minutes=1)
    photos_allowed(generation, reports(QUIET_MS), now)
    send(generation, 50, now)
    photos_allowed(generation, reports(QUIET_MS, SLOW_MS), now + timedelta(seconds=SEEN_SECONDS))
    assert generation.chosen_rate is not None
    assert generation.chosen_rate < FIRST_RATE


def test_it_never_stops(generation: Generation) -> None:
    assert rate_after(generation, QUIET_MS, *[SLOW_MS] * 30) == pytest.approx(LEAST_SHARE * FIRST_RATE)


def test_slow_searches_at_the_lowest_rate_are_taken_for_the_usual_ones(generation: Generation) -> None:
    rate_after(generation, QUIET_MS, *[SLOW_MS] * 6)
    assert generation.baseline_at is None
    quiet = after(generation, SEEN_SECONDS)
    photos_allowed(generation, reports(SLOW_MS), quiet)
    assert (generation.baseline_ms, generation.baseline_at) == (SLOW_MS, quiet)


def test_a_baseline_is_found_out_again_some_day(generation: Generation) -> None:
    rate_after(generation, QUIET_MS, QUIET_MS)
    later = timezone.now() + timedelta(seconds=BASELINE_SECONDS + 120)
    photos_allowed(generation, reports(80.0), later)
    assert generation.baseline_ms == 80.0
