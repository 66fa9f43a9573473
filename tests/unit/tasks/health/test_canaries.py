"""Canaries: when they are sent, and when their silence is a problem."""

from typing import Any

import pytest

from tasks import clock, names
from tasks.beat.schedule import BEAT_SCHEDULE, beat_schedule
from tasks.health.canaries import CanaryReport, canary_problem
from tasks.health.checks import judge
from tasks.health.reports import WorkerReport
from tasks.messages.base import Target


def worker(*, uptime_seconds: float, queues: tuple[str, ...] = ("records",)) -> WorkerReport:
    now = clock.now()
    return WorkerReport(
        name="a", pid=1, queues=queues, is_healthy=True, started_at=now - uptime_seconds, reported_at=now
    )


def passed(age_seconds: float) -> CanaryReport:
    return CanaryReport(queue="records", at=clock.now() - age_seconds, seconds=0.1)


@pytest.mark.parametrize(
    ("last_seconds_ago", "uptimes_and_queues", "interval_seconds", "problem"),
    [
        pytest.param(20, [(999, "records")], 30.0, "", id="in time"),
        pytest.param(200, [(999, "records")], 30.0, "for 2", id="late"),
        pytest.param(None, [(999, "records")], 30.0, "No canary has come", id="never"),
        pytest.param(200, [(9, "records")], 30.0, "", id="the worker has just started"),
        pytest.param(200, [], 30.0, "", id="no worker"),
        pytest.param(None, [(999, "other")], 30.0, "", id="another queue's worker"),
        pytest.param(None, [(999, "records")], 0.0, "", id="no canaries"),
    ],
)
def test_silence_is_a_problem_where_somebody_should_have_heard(
    last_seconds_ago: float | None,
    uptimes_and_queues: list[tuple[float, str]],
    interval_seconds: float,
    problem: str,
) -> None:
    canaries = [] if last_seconds_ago is None else [passed(last_seconds_ago)]
    workers = [worker(uptime_seconds=uptime, queues=(queue,)) for uptime, queue in uptimes_and_queues]
    said = canary_problem("records", canaries, workers, interval_seconds=interval_seconds)
    assert (problem in said) if problem else not said


def test_a_late_canary_is_a_remark_and_no_reason_to_refuse_requests() -> None:
    target = Target(pack="dlib", collection="faces_dlib")
    workers = (worker(uptime_seconds=999, queues=("search.dlib", "index.dlib", "records")),)
    report = judge(workers, target, (passed(200),), canary_interval_seconds=30.0)
    assert report.is_healthy
    assert sum(problem.startswith("canary ") for problem in report.problems) == 3


def test_each_queue_has_a_canary_that_expires_when_it_is_missed(settings: Any) -> None:
    settings.CANARY_INTERVAL_SECONDS = 7.0
    entries = {name: entry for name, entry in beat_schedule().items() if name.startswith("canary")}
    assert {(entry["options"]["queue"], *entry["args"]) for entry in entries.values()} == {
        (queue, queue) for queue in ("search.dlib", "index.dlib", "reindex.dlib", "records")
    }
    assert all((entry["schedule"], entry["options"]["expires"]) == (7.0, 28.0) for entry in entries.values())
    assert entries["canary-records"]["task"] == names.RECORDS_CANARY


def test_canaries_can_be_turned_off(settings: Any) -> None:
    settings.CANARY_INTERVAL_SECONDS = settings.RECALL_INTERVAL_SECONDS = 0.0
    assert beat_schedule() == BEAT_SCHEDULE
