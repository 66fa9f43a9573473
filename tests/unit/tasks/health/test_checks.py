"""The health report is what the workers say, and silence is not health."""

import pytest

from tasks.health.checks import judge, unreachable
from tasks.health.inspection import QueueStatus, stuck_problem
from tasks.health.reports import WorkerReport
from tasks.messages.base import Target

TARGET = Target(pack="dlib", collection="faces_dlib")


def worker(name: str, *queues: str, is_healthy: bool = True, collection_status: str = "loaded") -> WorkerReport:
    return WorkerReport(
        name=name,
        pid=1,
        queues=queues,
        is_healthy=is_healthy,
        problem="" if is_healthy else "Milvus does not answer.",
        connection_status="connected" if is_healthy else "disconnected",
        collection_status=collection_status,
        pack=queues[0].partition(".")[2],
        fingerprint="f" * 64,
    )


SEARCH = worker("search@a", "search.dlib")
INDEX = worker("index@a", "index.dlib")
RECORDS = worker("records@a", "records")


def test_a_healthy_worker_for_each_queue_is_a_healthy_service():
    report = judge((SEARCH, INDEX, RECORDS), TARGET)
    assert report.is_healthy
    assert (report.connection_status, report.collection_status, report.problems) == ("connected", "loaded", ())


@pytest.mark.parametrize(
    ("present", "missing"),
    [
        pytest.param((INDEX, RECORDS), "search.dlib", id="no search worker"),
        pytest.param((SEARCH, RECORDS), "index.dlib", id="no index worker"),
        pytest.param((SEARCH, INDEX), "records", id="no records worker"),
    ],
)
def test_a_queue_without_a_worker_is_named(present, missing):
    report = judge(present, TARGET)
    assert not report.is_healthy
    assert any(missing in problem for problem in report.problems)


def test_a_worker_of_another_pack_does_not_count():
    other = worker("search@b", "search.buffalo_l")
    assert not judge((other, INDEX, RECORDS), TARGET).is_healthy


def test_one_sick_worker_is_named_while_another_still_serves():
    sick = worker("search@b", "search.dlib", is_healthy=False)
    report = judge((sick, SEARCH, INDEX, RECORDS), TARGET)
    assert report.connection_status == "connected"
    assert any("search@b" in problem for problem in report.problems)


def test_a_healthy_worker_with_a_problem_is_named_and_the_service_stays_ready():
    remarking = SEARCH.model_copy(update={"problem": "The broker was away for a moment."})
    report = judge((remarking, INDEX, RECORDS), TARGET)
    assert report.is_healthy
    assert report.problems == ("worker search@a: The broker was away for a moment.",)


def consumer(*, active_tasks: int = 0, uptime_seconds: float = 999.0) -> WorkerReport:
    return RECORDS.model_copy(
        update={"active_tasks": active_tasks, "started_at": 1000.0, "reported_at": 1000.0 + uptime_seconds}
    )


@pytest.mark.parametrize(
    ("oldest_seconds", "workers", "is_stuck"),
    [
        pytest.param(200.0, [consumer()], True, id="workers that do nothing"),
        pytest.param(
            200.0, [consumer(), consumer(active_tasks=1)], False, id="one of them works: it waits for its turn"
        ),
        pytest.param(200.0, [consumer(uptime_seconds=5)], False, id="a worker that has just started"),
        pytest.param(20.0, [consumer()], False, id="not for long"),
        pytest.param(None, [consumer()], False, id="nothing waits"),
        pytest.param(200.0, [SEARCH], False, id="nobody consumes it: another problem"),
    ],
)
def test_a_queue_is_stuck_when_messages_wait_though_its_workers_are_idle(oldest_seconds, workers, is_stuck):
    queue = QueueStatus(name="records", waiting=3, oldest_seconds=oldest_seconds)
    problem = stuck_problem(queue, workers)
    assert bool(problem) == is_stuck
    assert not is_stuck or "records has waited 200 seconds" in problem


def test_each_finding_has_a_name_of_its_own_and_a_remedy_when_it_is_wrong():
    sick = worker("search@b", "search.dlib", is_healthy=False)
    for workers in ((), (sick,), (SEARCH, INDEX, RECORDS), (sick, SEARCH, INDEX, RECORDS)):
        findings = judge(workers, TARGET, canary_interval_seconds=30.0).findings
        names = [finding.name for finding in findings]
        assert len(set(names)) == len(names)
        assert all(finding.ok or finding.remedy or finding.name.startswith("worker ") for finding in findings)


def test_nothing_is_known_without_redis_cache_and_the_service_is_not_ready():
    report = unreachable()
    assert (report.is_healthy, report.connection_status) == (False, "unknown")
    assert "redis-cache" in report.problems[0]
