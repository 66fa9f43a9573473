"""Hosts with a wrong clock: a process of its own with Debian's faketime, or this process for one test."""

import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Final

import kombu.asynchronous.timer
import kombu.transport.redis
import pytest

from tasks.clock import clock

#: Two minutes: more than any message waits in these tests, so that nothing is on time by chance.
WRONG_SECONDS: Final = 120.0


def wrong_clock(offset_seconds: float) -> dict[str, str]:
    """Return what gives a process a wall clock that is ahead by that much; its monotonic clocks are left alone.

    Skips the test without faketime, which scripts/setup.sh installs for tests.
    """
    if shutil.which("faketime") is None:
        pytest.skip("needs faketime (Debian: apt install faketime)")
    # The library for processes with threads, wherever it is.
    asked = subprocess.run(
        ["faketime", "-m", "-f", "+0", "printenv", "LD_PRELOAD"], capture_output=True, text=True, check=True
    )
    tests = Path(__file__).parent
    return {
        "LD_PRELOAD": asked.stdout.strip(),
        "FAKETIME": f"{offset_seconds:+g}s",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "PYTHONPATH": os.pathsep.join(map(str, (tests / "wrong_clock", tests.parent))),
    }


def have_wrong_clock(monkeypatch: pytest.MonkeyPatch, offset_seconds: float) -> None:
    """Put this process' wall clock ahead, where Celery, kombu and our own clock read it; the shared time stays."""

    def wall() -> float:
        return time.time() + offset_seconds

    monkeypatch.setattr(clock, "_wall", wall)
    monkeypatch.setattr(clock, "_offset", time.time() - time.monotonic())
    monkeypatch.setattr(clock, "_measured_at", float("inf"))  # not measured again
    monkeypatch.setattr(kombu.transport.redis, "time", wall)
    monkeypatch.setattr(kombu.asynchronous.timer, "_time", wall)
