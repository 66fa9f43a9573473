"""`make demo` and `make up` as a new user meets them."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

from tests.carriers import samples_archive
from tests.ports import free_port_block
from tests.waiting import HANG_SECONDS, PATIENCE_SECONDS, eventually
from webapp.operations import samples

pytestmark = pytest.mark.acceptance


def manage(*arguments: str, port: int, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PORT": str(port), "FACEQUEUE_DATA_DIR": str(folder)}
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        env=environment,
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,  # it gives up by itself when nothing moves
        check=False,
    )


def is_listened_on(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_the_demo_recognises_somebody_and_leaves_nothing_running_twice_in_a_row(tmp_path: Path):
    port = free_port_block()
    (tmp_path / "samples").mkdir()
    (tmp_path / "samples" / samples.ARCHIVE.name).symlink_to(samples_archive())
    for _ in range(2):
        done = manage("demo", "--once", port=port, folder=tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
        [heading] = [line for line in done.stdout.splitlines() if "rank" in line]
        rows = [line.split() for line in done.stdout.split(heading)[1].strip().splitlines()]
        rows = rows[: next(number for number, row in enumerate(rows) if not row)]
        assert [row[0] for row in rows] == [str(rank) for rank in range(1, 9)]
        are_theirs = [row[1] in samples.OTHERS_OF_SUBJECT for row in rows]
        assert are_theirs == [row[3] == "yes" for row in rows] == [True] * 4 + [False] * 4
        assert "log in as 'demo'" in done.stdout
        assert "WARNING" not in done.stdout + done.stderr, "it connects to nothing that is not there yet"
        assert not any(is_listened_on(port + offset) for offset in range(5))


#: A process that a shell starts in the background, as this one may be, would ignore Ctrl-C.
DEMO_THAT_HEEDS_CTRL_C = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from webapp.http.commands import run_command_line
run_command_line(["manage.py", "demo", "--once"])
"""


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_demo_that_is_stopped_before_the_table_does_not_pass(tmp_path: Path, sent: signal.Signals):
    port = free_port_block()
    with subprocess.Popen(
        [sys.executable, "-c", DEMO_THAT_HEEDS_CTRL_C],
        env=os.environ | {"PORT": str(port), "FACEQUEUE_DATA_DIR": str(tmp_path), "PIP_NO_INDEX": "1"},
        cwd=settings.BASE_DIR,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as demo:
        assert demo.stdout is not None
        assert demo.stdout.readline().startswith("Fetching")
        demo.send_signal(sent)
        said, complaint = demo.communicate(timeout=HANG_SECONDS)

    assert (demo.returncode, complaint.strip()) == (1, "CommandError: The demo was stopped before it had searched.")
    assert "Stopping." in said
    assert not any(is_listened_on(port + offset) for offset in range(5))


def test_a_taken_port_is_named(tmp_path: Path):
    port = free_port_block()
    with socket.socket() as other:
        other.bind(("127.0.0.1", port + 1))
        other.listen()
        for command in (["up"], ["demo", "--once"]):
            done = manage(*command, port=port, folder=tmp_path)
            assert done.returncode != 0
            assert f"{port + 1} (redis)" in done.stderr
            assert "Traceback" not in done.stderr


def test_a_bad_setting_stops_the_start_with_a_sentence(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "manage.py", "up"],
        env=os.environ | {"PORT": "ninety", "FACEQUEUE_DATA_DIR": str(tmp_path)},
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert done.stderr.strip() == "facequeue cannot start: PORT must be a whole number, not 'ninety'."


def test_up_says_when_it_is_ready_and_commands_in_another_terminal_find_it(tmp_path: Path):
    note = {"FACEQUEUE_RUNNING_FILE": str(tmp_path / "running.json")}
    port = free_port_block()
    log = tmp_path / "log"
    with log.open("wb") as output:
        up = subprocess.Popen(
            [sys.executable, "manage.py", "up"],
            env=os.environ | note | {"PORT": str(port), "FACEQUEUE_DATA_DIR": str(tmp_path / "data")},
            cwd=settings.BASE_DIR,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        eventually(
            lambda: "Everything is healthy after" in log.read_text(errors="replace"),
            "up is ready",
            details=lambda: log.read_text(errors="replace")[-3000:],
        )
        bare = {name: value for name, value in os.environ.items() if name not in ("PORT", "FACEQUEUE_DATA_DIR")}
        doctor = [sys.executable, "manage.py", "doctor"]
        done = subprocess.run(doctor, env=bare | note, cwd=settings.BASE_DIR, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"127.0.0.1:{port + 1}" in done.stdout
    finally:
        up.terminate()
        up.wait(PATIENCE_SECONDS)
    assert not Path(note["FACEQUEUE_RUNNING_FILE"]).exists()
