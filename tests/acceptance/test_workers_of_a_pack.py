"""`manage.py workers PACK` beside a running service: the workers of the next generation's pack."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from django.conf import settings

from tests.service import RunningService
from tests.waiting import PATIENCE_SECONDS

pytestmark = [pytest.mark.services, pytest.mark.acceptance]

NEW = "dlib-plain"


@contextmanager
def workers_of(service: RunningService, pack: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "workers", pack],
            env=service.environment,
            cwd=settings.BASE_DIR,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE_SECONDS)


def reindex(service: RunningService, *arguments: str) -> Any:
    return json.loads(service.manage("reindex", *arguments, "--json").stdout)


def gate(service: RunningService, number: int, name: str) -> bool:
    """Return whether the gate of the generation is open."""
    [generation] = [each for each in reindex(service, "status") if each["number"] == number]
    [found] = [each for each in generation["gates"] if each["name"] == name]
    return bool(found["is_open"])


def test_workers_of_another_pack_open_its_gate_and_leave_nothing_behind(
    service: RunningService, tmp_path: Path
) -> None:
    number = reindex(service, "start", "--pack", NEW)["number"]
    try:
        assert not gate(service, number, "workers")
        with workers_of(service, NEW, tmp_path / "workers.log") as process:
            service.wait_until(lambda: gate(service, number, "workers"), "workers of the pack are there")
            started = psutil.Process(process.pid).children(recursive=True)
            queues = {queue for each in started for queue in each.cmdline() if queue.endswith(f".{NEW}")}
            assert queues == {f"{role}.{NEW}" for role in ("search", "index", "reindex")}
            os.kill(process.pid, signal.SIGTERM)
            assert process.wait(PATIENCE_SECONDS) == 128 + signal.SIGTERM
        _, alive = psutil.wait_procs(started, timeout=5)
        assert not alive
    finally:
        reindex(service, "drop", str(number))
        service.wait_until(
            lambda: all(each["number"] != number for each in reindex(service, "status")),
            "the generation is gone",
        )
