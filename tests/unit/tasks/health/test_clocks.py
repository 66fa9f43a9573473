"""Whose clock is off Redis', and by how much: told, and never critical."""

import pytest

from tasks.health.checks import judge
from tasks.health.clocks import ClockReport, own_clock
from tasks.health.exposition import observed
from tasks.health.reports import WorkerReport
from tasks.messages.base import Target
from tests.clocks import have_wrong_clock

TARGET = Target(pack="dlib", collection="faces_dlib")


def worker(offset_seconds: float) -> WorkerReport:
    return WorkerReport(
        name="records-7@a", pid=7, queues=("records",), is_healthy=True, clock_offset_seconds=offset_seconds
    )


@pytest.mark.parametrize(
    ("offset", "said"),
    [(121.2, "121 s ahead of Redis'"), (-121.2, "121 s behind Redis'"), (2.1, "2.1 s ahead of Redis'")],
)
def test_a_worker_with_a_wrong_clock_is_named_and_still_serves(offset: float, said: str) -> None:
    found = {finding.name: finding for finding in judge((worker(offset),), TARGET).findings}["clock records-7@a"]
    assert (found.ok, found.is_critical, found.detail, found.value) == (False, False, said, offset)
    assert "Set the clock" in found.sentence


@pytest.mark.parametrize("offset", [0.0, 1.9, -2.0])
def test_a_clock_within_the_tolerance_is_no_finding(offset: float) -> None:
    report = judge((worker(offset),), TARGET, clocks=(ClockReport(process="web-1@b", offset_seconds=offset),))
    assert not [finding for finding in report.findings if finding.name.startswith("clock")]
    assert [each.process for each in report.clocks] == ["records-7@a", "web-1@b"]


def test_the_web_and_beat_are_named_too() -> None:
    clocks = (ClockReport(process="web-1@b", offset_seconds=-60.0), ClockReport(process="beat-2@c", offset_seconds=9.0))
    names = [finding.name for finding in judge((), TARGET, clocks=clocks).findings]
    assert {"clock web-1@b", "clock beat-2@c"} <= set(names)


def test_the_metrics_have_every_clock() -> None:
    clocks = (ClockReport(process="web-1@b", offset_seconds=-60.5), ClockReport(process="beat-2@c", offset_seconds=0.0))
    text = observed(queues=(), canaries=(), workers=(), clocks=clocks, now=0.0).decode()
    assert 'facequeue_clock_offset_seconds{process="web-1@b"} -60.5' in text
    assert 'facequeue_clock_offset_seconds{process="beat-2@c"} 0.0' in text


@pytest.mark.parametrize(("offset", "is_right"), [(0.0, True), (300.0, False)])
def test_doctor_looks_at_the_clock_of_its_own_host(
    monkeypatch: pytest.MonkeyPatch, offset: float, is_right: bool
) -> None:
    have_wrong_clock(monkeypatch, offset)
    finding = own_clock()
    assert (finding.name, finding.ok, finding.is_critical) == ("clock", is_right, False)
    assert finding.value == pytest.approx(offset, abs=1)
