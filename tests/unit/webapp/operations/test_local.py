"""The environment of the processes that `manage.py up` starts."""

from pathlib import Path

import pytest

from webapp.operations import local
from webapp.operations.ports import LocalPorts


def test_an_empty_variable_leaves_the_processes_their_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEB_HOST", "")
    monkeypatch.setenv("SEARCH_CONCURRENCY", "")
    monkeypatch.setenv("INDEX_CONCURRENCY", "5")
    environment = local.process_environment(LocalPorts(web=9000), tmp_path)
    assert environment["WEB_HOST"] == "127.0.0.1"
    assert int(environment["SEARCH_CONCURRENCY"]) > 0
    assert environment["INDEX_CONCURRENCY"] == "5"
