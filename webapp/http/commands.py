"""Management commands: one sentence instead of a traceback."""

import getpass
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper

import redis
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, execute_from_command_line
from django.db import DatabaseError

from tasks.dictionaries import check_dictionaries
from webapp.http.problems import Problem
from worker.errors import ConfigError, FaceQueueError

#: Failures that are not bugs: each has a sentence for the person at the terminal.
EXPECTED = (Problem, FaceQueueError, DatabaseError, redis.RedisError, ImproperlyConfigured)

#: What a shell expects of a command that SIGINT has ended: 128 and the signal's number.
_INTERRUPTED = 128 + signal.SIGINT


def failure_sentence(error: Exception) -> str:
    """Say in one sentence what failed and what to do. `error` is one of EXPECTED."""
    match error:
        case Problem():
            return error.message
        case ConfigError() | ImproperlyConfigured():
            return f"facequeue cannot start: {_one_line(error)}"
        case FaceQueueError():
            return str(error) or f"The face search failed ({error.code})."
        case DatabaseError():
            remedy = "" if _is_unmigrated(error) else "check that it runs and that DATABASE_URL is right, then "
            return (
                f"The database does not answer as expected ({_one_line(error)}): {remedy}run "
                "`python manage.py migrate`."
            )
        case _:
            return f"Redis does not answer ({_one_line(error)}): start the service with `make up`, or check REDIS_URL."


@contextmanager
def expected_failures() -> Iterator[None]:
    """Turn an expected failure into a CommandError, which Django prints as one sentence."""
    try:
        yield
    except EXPECTED as error:
        raise CommandError(failure_sentence(error)) from None


def command_actor() -> str:
    """Return who runs this command, for the audit log: "manage.py (ada)"."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, as containers may have
        name = str(os.getuid())
    return f"manage.py ({name})"


def run_command_line(arguments: list[str]) -> None:
    """Run any command, Django's own included; exit with a sentence when it fails as expected, or when Ctrl-C stops it.

    `--traceback` shows the traceback instead.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name that it cannot print must not end the command
    try:
        _read_settings()
        execute_from_command_line(arguments)
    except KeyboardInterrupt:
        if "--traceback" in arguments:
            raise
        print("\nStopped.", file=sys.stderr)
        sys.exit(_INTERRUPTED)
    except EXPECTED as error:
        if "--traceback" in arguments:
            raise
        sys.exit(failure_sentence(error))


def _read_settings() -> None:
    """Read all settings now: Django would hide a bad value behind "unknown command".

    Raises ConfigError, ImproperlyConfigured.
    """
    try:
        settings.INSTALLED_APPS  # noqa: B018
        check_dictionaries()
    except OSError as error:  # the data directory cannot be made
        raise ImproperlyConfigured(f"{error.filename}: {error.strerror}.") from error


def _is_unmigrated(error: DatabaseError) -> bool:
    """Tell whether a table or a column is missing, in the words of SQLite and of PostgreSQL."""
    return any(words in str(error) for words in ("no such table", "no such column", "does not exist"))


def _one_line(error: Exception) -> str:
    """Drivers put their hints on further lines."""
    return " ".join(str(error).split()) or type(error).__name__
