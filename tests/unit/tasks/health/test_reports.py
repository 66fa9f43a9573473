"""Reports that workers of different releases exchange."""

from tasks.health.reports import WorkerReport


def test_a_report_of_a_release_without_metrics_is_understood() -> None:
    report = WorkerReport.model_validate_json('{"name": "a", "pid": 1, "queues": [], "is_healthy": true}')

    assert report.metrics is None
