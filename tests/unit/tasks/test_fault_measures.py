"""Measures against faults that are a setting or a word on a command line; `docs/faults.md` says against which."""

import re
from pathlib import Path

import pytest
from django.conf import settings

PROCFILE = (settings.BASE_DIR / "Procfile").read_text()
COMPOSE = (settings.BASE_DIR / "docker-compose.yml").read_text()
FAULTS = (settings.BASE_DIR / "docs" / "faults.md").read_text()
MODES = 33


def worker_commands(text: str) -> list[str]:
    """Return each worker's command line; in Compose's file it goes over two lines."""
    return re.findall(r"celery -A tasks\.app worker [^\n]*(?:\n\s+--[^\n]*)*", text)


@pytest.mark.parametrize("text", [PROCFILE, COMPOSE], ids=["Procfile", "docker-compose.yml"])
def test_every_worker_has_one_queue_and_starts_without_talking_to_others(text: str) -> None:
    commands = worker_commands(text)
    queues = [re.findall(r'--queues "?([a-z]+)', command) for command in commands]
    assert sorted(queues) == [["index"], ["records"], ["reindex"], ["search"]]
    for command in commands:
        assert {"--without-mingle", "--without-gossip"} <= set(command.split()), command


def test_no_setting_lets_pickle_in() -> None:
    assert (settings.CELERY_ACCEPT_CONTENT, settings.CELERY_RESULT_ACCEPT_CONTENT) == (["json"], ["json"])
    # Django's caches pickle what they keep; only one in this process' own memory may.
    backends = {cache["BACKEND"] for cache in settings.CACHES.values()}
    assert backends <= {
        "django.core.cache.backends.locmem.LocMemCache",
        "django.core.cache.backends.dummy.DummyCache",
    }
    assert settings.SESSION_SERIALIZER == "django.contrib.sessions.serializers.JSONSerializer"


def rows() -> list[list[str]]:
    lines = [line for line in FAULTS.splitlines() if re.match(r"\| \d+ \|", line)]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_table_of_faults_has_every_mode() -> None:
    assert [int(row[0]) for row in rows()] == list(range(1, MODES + 1))
    assert all(len(row) == 4 and all(row) for row in rows())


def test_the_table_of_faults_names_tests_that_there_are() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", FAULTS)
    assert len(named) > MODES / 2
    for path, function in named:
        file: Path = settings.BASE_DIR / path
        assert file.is_file(), path
        assert f"def {function}(" in file.read_text() or not function, f"{path}::{function}"
