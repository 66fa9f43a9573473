"""Every command says in one sentence why it cannot work: no database, no tables, no server, a bad environment."""

import io
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import get_commands

from tests.ports import free_port_block
from webapp.http import commands
from webapp.http.commands import command_actor

#: Commands that need tables, with arguments that are right.
NEED_TABLES = {
    "changepassword": ["ada"],
    "create_api_key": ["ada", "--name", "backup"],
    "createsuperuser": ["--noinput", "--username", "ada", "--email", "ada@example.org"],
    "doctor": [],
    "invite_user": [],
    "password_link": ["ada"],
    "second_factor_off": ["ada"],
    "import_photos": ["{folder}", "--gallery", "Friends"],
    "jobs": ["list"],
    "reindex": ["status"],
    "renditions": [],
    "search_photo": ["{folder}/a.jpg", "--gallery", "Friends"],
}
#: Commands that make the tables, list what is missing, or need none.
OTHERS = {"demo": ["--once"], "packs": ["list"], "showmigrations": [], "up": [], "workers": ["dlib"]}
COMMANDS = NEED_TABLES | OTHERS

#: Runs several command lines in one process, as manage.py runs one, and prints what each came to.
DRIVER = """
import contextlib, io, json, sys
from django.db import connections
from webapp.http.commands import run_command_line

def run(arguments):
    out, err, status = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            run_command_line(["manage.py", *arguments])
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 1
            print(end.code if isinstance(end.code, str) else "", file=sys.stderr)
    with contextlib.suppress(Exception):
        connections.close_all()
    return [status, out.getvalue(), err.getvalue()]

print(json.dumps({name: run([name, *rest]) for name, rest in json.loads(sys.argv[1]).items()}))
"""


@dataclass(frozen=True)
class Done:
    status: int
    stdout: str
    stderr: str


def run(folder: Path, commands: dict[str, list[str]], **environment: str) -> dict[str, Done]:
    """Run the commands in a process with this environment; return what each of them printed."""
    (folder / "a.jpg").write_bytes(b"a picture")
    lines = {name: [each.format(folder=folder) for each in rest] for name, rest in commands.items()}
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, json.dumps(lines)],
        env=os.environ
        | {"FACEQUEUE_DATA_DIR": str(folder), "DJANGO_SUPERUSER_PASSWORD": "8a7sd6f87", "SIGN_UP": "invited"}
        | environment,
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
    )
    assert done.stdout, done.stderr
    return {name: Done(*found) for name, found in json.loads(done.stdout).items()}


@pytest.fixture(scope="module", params=["a missing database", "an empty database"])
def without_tables(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Done]:
    folder = tmp_path_factory.mktemp("without-tables")
    if request.param == "an empty database":
        (folder / "db.sqlite3").touch()
    return run(folder, NEED_TABLES | {"showmigrations": []})


@pytest.fixture(scope="module")
def without_server(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Done]:
    pytest.importorskip("psycopg")
    url = f"postgres://ada:secret@127.0.0.1:{free_port_block()}/faces"
    commands = {name: rest for name, rest in COMMANDS.items() if name not in ("demo", "packs", "workers")}
    return run(tmp_path_factory.mktemp("without-server"), commands, DATABASE_URL=url)


@pytest.fixture(scope="module")
def with_a_bad_setting(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Done]:
    return run(tmp_path_factory.mktemp("bad-setting"), COMMANDS, PORT="ninety")


def one_sentence(done: Done) -> str:
    """Return the only line on stderr of a command that failed."""
    assert done.status != 0
    [sentence] = done.stderr.strip().splitlines()
    assert sentence.endswith(".")
    return sentence


def test_every_command_of_ours_is_tried() -> None:
    ours = {name for name, app in get_commands().items() if isinstance(app, str) and app.startswith("webapp.")}
    assert ours <= COMMANDS.keys()


@pytest.mark.parametrize("name", sorted(NEED_TABLES.keys() - {"doctor"}))
def test_without_tables_a_command_says_to_migrate(without_tables: dict[str, Done], name: str) -> None:
    assert "run `python manage.py migrate`" in one_sentence(without_tables[name])


def test_without_tables_doctor_still_checks_everything(without_tables: dict[str, Done]) -> None:
    done = without_tables["doctor"]
    assert done.status == 1
    assert "WRONG  migrations" in done.stdout
    assert "run `python manage.py migrate`" in done.stdout.lower()
    assert "WRONG  beat" in done.stdout
    assert "Traceback" not in done.stderr
    assert done.stderr.strip().endswith("checks failed.")


def test_without_tables_the_migrations_can_be_listed(without_tables: dict[str, Done]) -> None:
    done = without_tables["showmigrations"]
    assert (done.status, done.stderr) == (0, "")


@pytest.mark.parametrize("name", sorted(COMMANDS.keys() - {"demo", "doctor", "packs", "workers"}))
def test_without_a_database_server_a_command_says_what_to_check(without_server: dict[str, Done], name: str) -> None:
    assert "check that it runs and that DATABASE_URL is right" in one_sentence(without_server[name])


def test_without_a_database_server_doctor_still_checks_everything(without_server: dict[str, Done]) -> None:
    done = without_server["doctor"]
    assert "WRONG  database" in done.stdout
    assert "WRONG  beat" in done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_with_a_bad_setting_no_command_starts(with_a_bad_setting: dict[str, Done], name: str) -> None:
    sentence = "facequeue cannot start: PORT must be a whole number, not 'ninety'."
    assert one_sentence(with_a_bad_setting[name]) == sentence


@pytest.mark.parametrize(
    "environment",
    [
        pytest.param({"FACEQUEUE_DATA_DIR": "/proc/nowhere"}, id="a data directory that cannot be made"),
        pytest.param({"DATABASE_URL": "nonsense"}, id="a database URL that is none"),
        pytest.param({"LOG_FORMAT": "xml"}, id="no such choice"),
        pytest.param({"MILVUS_INDEX_PARAMS": "nlist"}, id="not JSON"),
    ],
)
def test_whatever_is_wrong_with_the_environment_is_one_sentence(tmp_path: Path, environment: dict[str, Any]) -> None:
    assert one_sentence(run(tmp_path, {"jobs": ["list"]}, **environment)["jobs"])


def test_manage_py_prints_the_sentence_or_with_an_option_the_traceback(tmp_path: Path) -> None:
    command = [sys.executable, "manage.py", "jobs"]
    environment = os.environ | {"FACEQUEUE_DATA_DIR": str(tmp_path)}

    def run_it(*options: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*command, *options], env=environment, cwd=settings.BASE_DIR, capture_output=True, text=True
        )

    done = run_it()
    assert "run `python manage.py migrate`" in one_sentence(Done(done.returncode, done.stdout, done.stderr))
    assert "Traceback" in run_it("--traceback").stderr


#: Says when the command runs, and is then stopped in the middle of it. A process that a shell starts in the background,
#: as this one may be, would ignore the signal.
HANGING_COMMAND = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
from webapp.http.commands import run_command_line
from webapp.operations.management.commands import packs
def hang(*_, **__): print("begun", flush=True); time.sleep(600)
packs.install = hang
run_command_line(["manage.py", "packs", "fetch", "dlib"])
"""


def test_a_command_that_is_interrupted_says_so(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HANGING_COMMAND],
        env=os.environ | {"FACEQUEUE_DATA_DIR": str(tmp_path)},
        cwd=settings.BASE_DIR,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as command:
        assert command.stdout is not None
        assert command.stdout.readline() == "begun\n"
        command.send_signal(signal.SIGINT)
        _, said = command.communicate()

    assert (command.returncode, said.strip()) == (130, "Stopped.")


def test_whoever_has_no_name_in_the_system_is_named_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found: 12345")

    monkeypatch.setattr("getpass.getuser", nameless)
    assert command_actor() == f"manage.py ({os.getuid()})"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_name_that_the_terminal_cannot_print_does_not_end_the_command(
    monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    printed = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(printed, encoding=encoding))
    monkeypatch.setattr(commands, "execute_from_command_line", lambda _: print("\u732b.jpg \udce9"))
    commands.run_command_line(["manage.py", "import_photos"])
    sys.stdout.flush()
    assert printed.getvalue() == b"\\u732b.jpg \\udce9\n"
