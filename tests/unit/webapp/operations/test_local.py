"""The processes that `manage.py up` starts: their environment, and the pack that they need."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from tests.packs import PACKS_DIR
from tests.unit.worker.recognition.synthetic_packs import make_pack
from webapp.operations import local
from webapp.operations.management.commands import demo
from webapp.operations.ports import LocalPorts


def test_an_empty_variable_leaves_the_processes_their_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWER_READ_ONLY", "")
    monkeypatch.setenv("SEARCH_CONCURRENCY", "")
    monkeypatch.setenv("INDEX_CONCURRENCY", "5")
    environment = local.process_environment(LocalPorts(web=9000), tmp_path)
    assert environment["FLOWER_READ_ONLY"] == "true"
    assert int(environment["SEARCH_CONCURRENCY"]) > 0
    assert environment["INDEX_CONCURRENCY"] == "5"


@pytest.fixture
def packs(settings: Any, tmp_path: Path) -> Path:
    settings.FACE_CONFIG = {"PACKS_DIR": str(tmp_path / "packs")}
    return tmp_path / "packs"


def test_a_pack_that_is_not_there_is_said_with_what_installs_it(packs: Path) -> None:
    assert local.missing_pack("dlib-plain") == (
        "The pack dlib-plain is not installed: `manage.py packs fetch dlib-plain` installs it."
    )
    (packs / "dlib").mkdir(parents=True)
    assert local.missing_pack("dlib") == (
        "The pack dlib is incomplete: `manage.py packs fetch dlib --force` installs it."
    )
    for nowhere in ("mine", str(packs / "gone"), str(packs.parent / "gone")):
        assert local.missing_pack(nowhere).startswith(f"There is no pack {nowhere!r}. `manage.py packs` lists those in")


@pytest.mark.parametrize("pack", ["größe", "a,b", "/packs/a,b"])
def test_what_no_pack_can_be_called_is_told_in_a_sentence(packs: Path, pack: str) -> None:
    assert "cannot be a pack: its name must be 1 to 100 letters" in local.missing_pack(pack)


def test_a_pack_that_is_there_is_not_missing_by_its_name_or_by_its_folder(packs: Path) -> None:
    packs.mkdir()
    (packs / "dlib").symlink_to(PACKS_DIR / "dlib")
    make_pack(packs / "mine")
    elsewhere = make_pack(packs.parent / "elsewhere" / "other")

    for pack in ("dlib", "dlib-plain", "mine", str(packs / "dlib"), str(packs / "mine"), str(elsewhere)):
        assert local.missing_pack(pack) == ""


@pytest.mark.parametrize(
    "start",
    [
        pytest.param(lambda folder: call_command("up"), id="up"),
        pytest.param(lambda folder: call_command("workers", "dlib"), id="workers"),
        pytest.param(lambda folder: demo._start_service(folder / "log"), id="demo"),
    ],
)
def test_nothing_is_started_without_the_pack(
    start: Callable[[Path], object], packs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "taken_ports", lambda _: "")

    with pytest.raises(CommandError, match=re.escape("`manage.py packs fetch dlib` installs it")):
        start(packs.parent)
