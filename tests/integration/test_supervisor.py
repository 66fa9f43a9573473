"""A process that ends is started again; Ctrl-C stops all, whatever each of them is doing."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.waiting import HANG_SECONDS, PATIENCE_SECONDS, eventually

pytestmark = [pytest.mark.services, pytest.mark.timeout(HANG_SECONDS)]

PROGRAM = """
import sys
from webapp.operations import supervisor
supervisor.FIRST_START_SECONDS = float(sys.argv[1])
supervisor.FIRST_PAUSE_SECONDS = 0.2
supervised = supervisor.Supervisor()
for number, command in enumerate(sys.argv[2:]):
    supervised.add_process(f"p{number}", command)
supervised.loop()
sys.exit(supervised.returncode)
"""
LASTING = "exec sleep 1000"


@contextmanager
def supervisor(folder: Path, *commands: str, first_start_seconds: float = 0) -> Iterator[subprocess.Popen[bytes]]:
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(first_start_seconds), *commands], stdout=log, stderr=subprocess.STDOUT
        )
    family = psutil.Process(process.pid).children
    try:
        yield process
    finally:
        for each in (*family(recursive=True), psutil.Process(process.pid)) if process.poll() is None else ():
            each.kill()
        process.wait()


def has(process: psutil.Process, condition: Callable[[psutil.Process], bool]) -> bool:
    """Whether the process fulfils the condition; one that ends while it is asked does not."""
    try:
        return condition(process)
    except psutil.NoSuchProcess:
        return False


def is_running(process: psutil.Process) -> bool:
    return has(process, lambda each: each.is_running() and each.status() != psutil.STATUS_ZOMBIE)


def log_of(folder: Path) -> str:
    return (folder / "log").read_text()


def wait_for(condition: Callable[[], object], folder: Path) -> None:
    eventually(condition, "the processes are as expected", details=lambda: log_of(folder))


def sleeping(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    children = psutil.Process(process.pid).children(recursive=True)
    return [each for each in children if has(each, lambda child: child.name() == "sleep")]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_what_ends_is_started_again_and_the_others_go_on(tmp_path: Path, number: signal.Signals):
    with supervisor(tmp_path, LASTING, LASTING) as process:
        wait_for(lambda: len(sleeping(process)) == 2, tmp_path)
        ended, kept = sleeping(process)
        ended.send_signal(number)
        wait_for(lambda: ended not in sleeping(process) and len(sleeping(process)) == 2, tmp_path)
        assert kept in sleeping(process)
        assert f"ended (rc={-number}), starts again" in log_of(tmp_path)


def test_the_pause_grows_while_a_process_keeps_ending(tmp_path: Path):
    with supervisor(tmp_path, "exit 3"):
        wait_for(lambda: "starts again in 0.8 s" in log_of(tmp_path), tmp_path)
    assert log_of(tmp_path).index("in 0.2 s") < log_of(tmp_path).index("in 0.4 s")


def test_what_a_killed_process_leaves_behind_is_killed_before_its_next_start(tmp_path: Path):
    with supervisor(tmp_path, "sleep 1000 & wait") as process:
        wait_for(lambda: sleeping(process), tmp_path)
        [orphan] = sleeping(process)
        orphan.parent().kill()
        wait_for(lambda: [each for each in sleeping(process) if each != orphan], tmp_path)
        assert not is_running(orphan)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_all_even_those_that_pause_or_have_been_restarted(tmp_path: Path, number: signal.Signals):
    with supervisor(tmp_path, LASTING, LASTING, "exit 3") as process:
        wait_for(lambda: len(sleeping(process)) == 2, tmp_path)
        restarted = sleeping(process)[0]
        restarted.kill()
        wait_for(lambda: restarted not in sleeping(process) and len(sleeping(process)) == 2, tmp_path)
        family = psutil.Process(process.pid).children(recursive=True)
        os.kill(process.pid, number)
        assert process.wait(PATIENCE_SECONDS) == 128 + number
        assert not [each for each in family if is_running(each)]
        assert "SIGKILL" not in log_of(tmp_path)


def test_one_that_never_starts_stops_all_with_its_status(tmp_path: Path):
    with supervisor(tmp_path, LASTING, "echo what is wrong; exit 3", first_start_seconds=10) as process:
        assert process.wait(PATIENCE_SECONDS) == 3
    assert "what is wrong" in log_of(tmp_path)
