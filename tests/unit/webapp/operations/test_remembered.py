"""A running `up` is found by commands in another terminal, and nothing is left of one that has ended."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.conf import settings

from webapp.operations.remembered import NOTE_VARIABLE, remembered_environment

UP = """
import sys
from pathlib import Path
from webapp.operations.remembered import remember
with remember(port=int(sys.argv[2]), data_dir=Path(sys.argv[3])) as is_remembered:
    print(is_remembered, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {NOTE_VARIABLE: str(tmp_path / "var" / "running.json")}


@contextmanager
def up(environment: dict[str, str], data_dir: Path, port: int = 9000) -> Iterator["subprocess.Popen[str]"]:
    """A process that is remembered as `manage.py up` is, until its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", UP, "up", str(port), str(data_dir)],
        env=os.environ | environment,
        cwd=settings.BASE_DIR,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        process.first_line = process.stdout.readline().strip()  # type: ignore[attr-defined]
        yield process


def test_a_running_one_is_found_until_it_ends(environment: dict[str, str], tmp_path: Path) -> None:
    assert remembered_environment(environment) == {}
    with up(environment, tmp_path):
        found = {"PORT": "9000", "FACEQUEUE_DATA_DIR": str(tmp_path)}
        assert remembered_environment(environment) == found
        assert remembered_environment(environment | found) == found
        assert remembered_environment(environment | {"PORT": "", "FACEQUEUE_DATA_DIR": ""}) == found
    assert remembered_environment(environment) == {}
    assert not Path(environment[NOTE_VARIABLE]).exists()


@pytest.mark.parametrize("variable", [{"PORT": "9500"}, {"FACEQUEUE_DATA_DIR": "/elsewhere"}])
def test_an_environment_that_points_elsewhere_wins(
    environment: dict[str, str], tmp_path: Path, variable: dict[str, str]
) -> None:
    with up(environment, tmp_path):
        assert remembered_environment(environment | variable) == {}


def test_one_that_was_killed_is_forgotten(environment: dict[str, str], tmp_path: Path) -> None:
    with up(environment, tmp_path) as process:
        process.kill()
        process.wait()
    assert Path(environment[NOTE_VARIABLE]).exists()
    assert remembered_environment(environment) == {}
    with up(environment, tmp_path, port=9100) as process:
        assert remembered_environment(environment)["PORT"] == "9100"


def test_a_process_that_only_has_the_same_id_is_not_taken_for_it(environment: dict[str, str], tmp_path: Path) -> None:
    path = Path(environment[NOTE_VARIABLE])
    with up(environment, tmp_path):
        note = json.loads(path.read_text())
        path.write_text(json.dumps(note | {"started": note["started"] - 60}))
        assert remembered_environment(environment) == {}


def test_the_first_of_two_is_remembered(environment: dict[str, str], tmp_path: Path) -> None:
    with up(environment, tmp_path) as first:
        with up(environment, tmp_path, port=9100) as second:
            assert (first.first_line, second.first_line) == ("True", "False")  # type: ignore[attr-defined]
        assert remembered_environment(environment)["PORT"] == "9000"


def test_manage_py_uses_it(environment: dict[str, str], tmp_path: Path) -> None:
    inherited = {name: value for name, value in os.environ.items() if name not in ("PORT", "FACEQUEUE_DATA_DIR")}
    show = ["shell", "-v", "0", "-c", "from django.conf import settings; print(settings.PORTS.web, settings.DATA_DIR)"]
    with up(environment, tmp_path):
        done = subprocess.run(
            [sys.executable, "manage.py", *show],
            env=inherited | environment,
            cwd=settings.BASE_DIR,
            capture_output=True,
            text=True,
        )
    assert done.stdout.split() == ["9000", str(tmp_path)], done.stderr
