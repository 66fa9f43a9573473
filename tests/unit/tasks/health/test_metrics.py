"""What the queue's metrics count, and that the dashboard asks for nothing else."""

import json
import re
import urllib.request
import uuid
from types import SimpleNamespace
from typing import Any, get_args

import pytest
from celery.exceptions import Retry
from celery.signals import task_postrun, task_prerun, task_revoked
from django.conf import settings
from prometheus_client import CollectorRegistry, Counter

from tasks import clock
from tasks.errors import QueryImageGone
from tasks.health import exposition, metrics
from tasks.health.canaries import CanaryReport
from tasks.health.inspection import QueueStatus
from tasks.health.reports import WorkerReport
from tasks.worker import metrics_endpoint
from worker.errors import ConfigError
from worker.vector_search.monitoring import METRIC_PREFIX, MetricName

DASHBOARD = settings.BASE_DIR / "docker" / "grafana" / "facequeue.json"
ALERTS = settings.BASE_DIR / "docker" / "prometheus" / "alerts.yml"


def value(name: str, **labels: str) -> float:
    return metrics.REGISTRY.get_sample_value(name, labels) or 0.0


def run(name: str, *, state: str, retval: Any = None, **request: Any) -> None:
    """Send the signals of one task."""
    task = SimpleNamespace(name=name, request=SimpleNamespace(**{"eta": None, **request}))
    task_id = str(uuid.uuid4())
    task_prerun.send(sender=task.name, task_id=task_id, task=task)
    task_postrun.send(sender=task.name, task_id=task_id, task=task, retval=retval, state=state)


@pytest.mark.parametrize(
    ("state", "retval", "code"),
    [
        ("SUCCESS", None, "ok"),
        ("SUCCESS", {"faces": [], "error": None}, "ok"),
        ("SUCCESS", {"error": {"code": "not_an_image", "message": "x"}}, "not_an_image"),
        ("FAILURE", QueryImageGone("x"), "query_image_gone"),
        ("FAILURE", ZeroDivisionError("x"), "internal"),
        ("RETRY", Retry("x"), "retried"),
        ("IGNORED", None, "ignored"),
    ],
)
def test_a_task_is_counted_by_what_became_of_it(state: str, retval: Any, code: str) -> None:
    name = f"task-{uuid.uuid4()}"
    run(name, state=state, retval=retval)
    assert value("facequeue_outcomes_total", task=name, code=code) == 1
    assert value("facequeue_task_seconds_count", task=name) == 1


def test_a_search_that_expired_in_the_queue_is_counted() -> None:
    name = f"task-{uuid.uuid4()}"
    task_revoked.send(sender=None, request=SimpleNamespace(task=name), terminated=False, signum=None, expired=True)
    assert value("facequeue_outcomes_total", task=name, code="expired") == 1


def test_the_wait_in_the_queue_is_from_sending_to_the_start() -> None:
    name = f"task-{uuid.uuid4()}"
    run(name, state="SUCCESS", sent_at=clock.now() - 100)
    assert 100 <= value("facequeue_queue_wait_seconds_sum", task=name) < 160


def test_a_retry_that_was_meant_to_wait_is_no_wait_in_the_queue() -> None:
    name = f"task-{uuid.uuid4()}"
    run(name, state="SUCCESS", sent_at=clock.now() - 100, eta="2026-01-01T00:00:00+00:00")
    run(name, state="SUCCESS")  # sent by a release that gave no time
    assert value("facequeue_queue_wait_seconds_count", task=name) == 0


def test_a_worker_serves_its_own_metrics_and_those_of_its_vector_store() -> None:
    others = CollectorRegistry()
    Counter("of_the_store", "x", registry=others).inc()
    metrics.StageRecorder("search").record("decode", 0.01)

    endpoint = metrics_endpoint.MetricsEndpoint("127.0.0.1", 0, others)
    try:
        with urllib.request.urlopen(f"http://{endpoint.address}/metrics") as answer:
            text = answer.read().decode()
    finally:
        endpoint.close()

    assert 'facequeue_stage_seconds_count{role="search",stage="decode"}' in text
    assert "of_the_store_total 1.0" in text


def test_a_port_that_is_taken_stops_the_start_with_a_sentence() -> None:
    first = metrics_endpoint.MetricsEndpoint("127.0.0.1", 0)
    port = int(first.address.rpartition(":")[2])
    try:
        with pytest.raises(ConfigError, match="METRICS_PORT"):
            metrics_endpoint.MetricsEndpoint("127.0.0.1", port)
    finally:
        first.close()


def test_what_is_observed_has_the_age_of_everything() -> None:
    text = exposition.observed(
        queues=[QueueStatus(name="records", waiting=3, oldest_seconds=4.5), QueueStatus(name="empty", waiting=0)],
        canaries=(CanaryReport(queue="records", at=990.0, seconds=0.25),),
        workers=(
            WorkerReport(
                name="a",
                pid=1,
                queues=(),
                is_healthy=True,
                role="search",
                reported_at=998.0,
                breaker="open",
                memory_mb=1,
            ),
        ),
        now=1000.0,
    ).decode()

    for line in (
        'facequeue_queue_depth{queue="records"} 3.0',
        'facequeue_queue_oldest_seconds{queue="records"} 4.5',
        'facequeue_queue_oldest_seconds{queue="empty"} 0.0',
        'facequeue_canary_age_seconds{queue="records"} 10.0',
        'facequeue_canary_seconds{queue="records"} 0.25',
        'facequeue_worker_report_age_seconds{role="search",worker="a"} 2.0',
        'facequeue_worker_healthy{role="search",worker="a"} 1.0',
        'facequeue_worker_breaker_open{role="search",worker="a"} 1.0',
        'facequeue_worker_memory_bytes{role="search",worker="a"} 1.048576e+06',
    ):
        assert line in text.splitlines(), line


def known_names() -> set[str]:
    """Every name that our endpoints can show."""
    store = {
        METRIC_PREFIX + name: "histogram" if name.endswith("_seconds") else "counter" for name in get_args(MetricName)
    }
    kinds = store | {family.name: family.type for family in metrics.REGISTRY.collect()}
    parts = {"histogram": ("_bucket", "_sum", "_count"), "counter": ("_total",), "gauge": ("",)}
    return set(exposition.OBSERVED) | {name + part for name, kind in kinds.items() for part in parts[kind]}


def test_the_dashboard_asks_for_metrics_that_there_are() -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    queries = [target["expr"] for panel in panels for target in panel.get("targets", ())]
    asked = {name for query in queries for name in re.findall(r"\bfacequeue_\w+", query)}
    assert len(queries) > 10
    assert asked - known_names() == set()
    assert {name for name in exposition.OBSERVED if name not in asked} == set(), "observed, and shown nowhere"


def test_the_alerts_ask_for_metrics_that_there_are() -> None:
    asked = set(re.findall(r"\bfacequeue_\w+", ALERTS.read_text()))
    assert asked
    assert asked - known_names() == set()
