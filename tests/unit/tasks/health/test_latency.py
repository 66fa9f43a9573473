"""What searches took lately."""

from tasks.health.latency import ENOUGH_SEARCHES, WINDOW_SECONDS, RecentSearches


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_few_searches_say_nothing() -> None:
    recent = RecentSearches()
    for _ in range(ENOUGH_SEARCHES - 1):
        recent.record(1.0)
    assert recent.summary() is None


def test_the_95th_percentile_is_that_of_the_window() -> None:
    clock = Clock()
    recent = RecentSearches(clock=clock)
    for _ in range(50):
        recent.record(9.0)
    clock.now += WINDOW_SECONDS + 1
    for hundredth in range(1, 101):
        recent.record(hundredth / 100)
    summary = recent.summary()
    assert summary is not None
    assert summary.count == 100
    assert 940 < summary.p95_ms < 960
