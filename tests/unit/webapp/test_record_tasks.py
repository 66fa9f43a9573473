"""Ticks that may take seconds run one at a time, so that a process of the records worker is free for other tasks."""

import fcntl
from pathlib import Path
from typing import Any

import pytest
from celery.exceptions import Retry

from tasks import names
from tasks.app import app
from tasks.beat.schedule import BEAT_SCHEDULE
from webapp.indexing import sweeping
from webapp.indexing.tasks import requeue_stale_photos

#: These take milliseconds.
SHORT = {names.FEED_INDEX_QUEUE, names.PURGE_SESSIONS}


@pytest.fixture
def lock(settings: Any, tmp_path: Path) -> Path:
    settings.DATA_DIR = tmp_path
    return tmp_path / "tick.lock"


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    runs: list[str] = []
    monkeypatch.setattr(sweeping, "stale_photos_requeue", lambda: runs.append("ran"))
    return runs


def test_a_tick_is_tried_again_while_another_one_runs(lock: Path, runs: list[str]) -> None:
    with lock.open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(Retry):
            requeue_stale_photos.run()
        assert runs == []
    assert requeue_stale_photos.apply().state == "SUCCESS"
    assert runs == ["ran"]


def test_a_tick_that_fails_lets_the_next_one_run(lock: Path, runs: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(sweeping, "stale_photos_requeue", lambda: 1 / 0)
        assert requeue_stale_photos.apply().state == "FAILURE"
    assert requeue_stale_photos.apply().state == "SUCCESS"


@pytest.mark.parametrize("name", sorted({entry["task"] for entry in BEAT_SCHEDULE.values()} - SHORT))
def test_every_long_tick_waits_for_its_turn(name: str, lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app.loader.import_default_modules()
    with lock.open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(Retry):
            app.tasks[name].run()
