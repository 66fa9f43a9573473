"""`make demo` and `make up` as a new user meets them."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

from tests.ports import free_port_block
from tests.waiting import HANG_SECONDS
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


def test_the_demo_shows_the_expected_photo_first_and_leaves_nothing_running_twice_in_a_row(tmp_path: Path):
    port = free_port_block()
    for _ in range(2):
        done = manage("demo", "--once", port=port, folder=tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
        [heading] = [line for line in done.stdout.splitlines() if "rank" in line]
        first = done.stdout.split(heading)[1].split()
        assert first[:2] == ["1", samples.PORTRAIT]
        assert "log in as 'demo'" in done.stdout
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
