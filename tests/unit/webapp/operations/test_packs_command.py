"""`manage.py packs` shows what there is and may be used for what, and installs a pack."""

import io
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from tests.unit.worker.recognition.packs.small_carriers import (
    ALPHA,
    BETA,
    carrier_of,
    conversion,
    make_wheel,
    small_pack,
)
from tests.unit.worker.recognition.synthetic_packs import make_pack
from tests.unit.worker.recognition.zoo_graphs import DETECTOR, make_zoo_pack
from worker.recognition.packs import catalogue, inventory
from worker.recognition.packs.catalogue import KNOWN_PACKS, known_pack


@pytest.fixture(autouse=True)
def packs_dir(settings: Any, tmp_path: Path) -> Path:
    settings.FACE_CONFIG = settings.FACE_CONFIG | {"PACKS_DIR": str(tmp_path / "packs"), "PACK": "dlib"}
    return tmp_path / "packs"


def packs(*arguments: Any) -> tuple[str, str]:
    """Run the command; return what it printed, and what it printed on the side."""
    out, err = io.StringIO(), io.StringIO()
    call_command("packs", *map(str, arguments), stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def line_of(printed: str, name: str) -> str:
    [line] = [line for line in printed.splitlines() if name in line.split()]
    return line


@pytest.mark.parametrize("arguments", [[], ["list"]])
def test_every_pack_is_a_line_with_its_licence_and_whether_it_is_here(packs_dir: Path, arguments: list[str]) -> None:
    make_pack(packs_dir / "mine")

    printed, _ = packs(*arguments)

    assert line_of(printed, "dlib").split()[:4] == ["*", "dlib", "not", "installed"]
    assert line_of(printed, "dlib-plain").split()[:3] == ["dlib-plain", "not", "installed"]
    assert "not installed" in line_of(printed, "buffalo_l")
    assert "non-commercial research" in line_of(printed, "buffalo_l")
    assert "128  yes" in line_of(printed, "opencv_zoo")
    assert line_of(printed, "mine").split()[:2] == ["mine", "installed"]
    assert line_of(printed, "mine").endswith(str(packs_dir / "mine"))


def test_the_configured_pack_is_marked(settings: Any, packs_dir: Path) -> None:
    folder = make_pack(packs_dir.parent / "elsewhere" / "mine")
    settings.FACE_CONFIG = settings.FACE_CONFIG | {"PACK": str(folder)}

    printed, _ = packs()

    assert [line.split()[1] for line in printed.splitlines()[1:-1] if line.startswith("*")] == ["mine"]


@pytest.mark.parametrize("arguments", [["--json"], ["--json", "list"], ["list", "--json"]])
def test_the_list_can_be_read_by_a_program(arguments: list[str]) -> None:
    entries = json.loads(packs(*arguments)[0])

    assert [entry["name"] for entry in entries] == [known.name for known in KNOWN_PACKS]
    assert entries[3]["known"]["licence"]["allows_commercial_use"] is False
    assert entries[0]["is_active"] is True


def test_a_pack_that_is_not_here_is_shown_with_where_it_is_published() -> None:
    printed, _ = packs("show", "buffalo_l")

    assert "non-commercial research only" in printed
    assert "det_10g.onnx (16,923,827 bytes)" in printed
    assert "https://github.com/deepinsight/insightface/releases" in printed
    assert "sha256" not in printed


def test_an_installed_pack_is_shown_with_the_sums_of_its_files(packs_dir: Path) -> None:
    make_pack(packs_dir / "mine")

    sums = json.loads(packs("show", "mine", "--json")[0])["sha256"]

    assert sorted(sums) == ["det.onnx", "genderage.onnx", "rec.onnx"]
    assert sums["det.onnx"] in packs("show", "mine")[0]


def test_a_damaged_pack_is_a_sentence_when_it_is_shown(packs_dir: Path) -> None:
    make_zoo_pack(packs_dir / "opencv_zoo")

    with pytest.raises(CommandError, match=rf"{DETECTOR} is not the file that was published"):
        packs("show", "opencv_zoo")


def test_a_pack_of_which_nothing_is_known_is_a_sentence() -> None:
    with pytest.raises(CommandError, match="There is no known pack 'nobody'"):
        packs("show", "nobody")


def test_a_folder_is_installed_and_listed(packs_dir: Path, tmp_path: Path) -> None:
    make_pack(tmp_path / "source")

    printed, _ = packs("fetch", "mine", "--from", tmp_path / "source")

    assert "FACE_PACK=mine" in printed
    assert "installed" in line_of(packs()[0], "mine")
    with pytest.raises(CommandError, match="--force"):
        packs("fetch", "mine", "--from", tmp_path / "source")
    summary = json.loads(packs("fetch", "mine", "--from", tmp_path / "source", "--force", "--json")[0])
    assert summary["folder"] == str(packs_dir / "mine")
    assert sorted(summary["sha256"]) == ["det.onnx", "genderage.onnx", "rec.onnx"]


def test_a_non_commercial_licence_is_said_before_the_pack_is_fetched(tmp_path: Path) -> None:
    out, err = io.StringIO(), io.StringIO()

    with pytest.raises(CommandError, match="There is no"):
        call_command("packs", "fetch", "buffalo_l", "--from", str(tmp_path / "gone"), "--json", stdout=out, stderr=err)

    assert "non-commercial research only" in err.getvalue()
    assert out.getvalue() == ""


def test_a_licence_that_allows_commercial_use_is_no_warning(tmp_path: Path) -> None:
    err = io.StringIO()

    with pytest.raises(CommandError):
        call_command("packs", "fetch", "opencv_zoo", "--from", str(tmp_path / "gone"), stderr=err)

    assert err.getvalue() == ""


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two small wheels, of which the pack `dlib` is made in this test; another pack shares its folder."""
    alpha = make_wheel(tmp_path / "wheels", "alpha", "1.0", ALPHA)
    beta = make_wheel(tmp_path / "wheels", "beta", "2.0", BETA)
    dlib = replace(small_pack(carrier_of(alpha, ALPHA), carrier_of(beta, BETA)), name="dlib")
    plain = replace(dlib, name="dlib-plain", shares_folder_of="dlib", mirrors=False)
    monkeypatch.setitem(sys.modules, "worker.recognition.packs.dlib_conversion", conversion())
    monkeypatch.setattr(inventory, "KNOWN_PACKS", (dlib, plain))
    for pack in (dlib, plain):
        monkeypatch.setitem(catalogue._BY_NAME, pack.name, pack)
    return tmp_path / "wheels"


def test_a_pack_is_made_from_two_packages_and_another_shares_its_folder(packs_dir: Path, wheels: Path) -> None:
    printed, _ = packs("fetch", "dlib", "--from", *sorted(wheels.iterdir()))

    assert f"Installed in {packs_dir / 'dlib'}. Start with FACE_PACK=dlib," in printed
    assert line_of(packs()[0], "dlib").split()[:3] == ["*", "dlib", "installed"]
    assert line_of(packs()[0], "dlib-plain").split()[:2] == ["dlib-plain", "installed"]
    assert sorted(json.loads(packs("show", "dlib-plain", "--json")[0])["sha256"]) == ["a.onnx", "b.onnx"]

    printed, _ = packs("fetch", "dlib-plain")
    assert printed.startswith(f"dlib-plain is there already: it has the files of dlib, in {packs_dir / 'dlib'}.")
    assert "FACE_PACK=dlib-plain" in printed
    with pytest.raises(CommandError, match="exists already; --force replaces it"):
        packs("fetch", "dlib", "--from", wheels)


def test_the_second_name_of_a_folder_installs_it_too(packs_dir: Path, wheels: Path) -> None:
    summary = json.loads(packs("fetch", "dlib-plain", "--from", wheels, "--json")[0])

    assert (summary["name"], summary["folder"]) == ("dlib-plain", str(packs_dir / "dlib"))
    assert json.loads(packs("fetch", "dlib-plain", "--json")[0]) == summary


def test_a_pack_of_another_release_is_listed_with_what_to_do_and_shown_as_a_sentence(
    packs_dir: Path, wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packs("fetch", "dlib", "--from", wheels)
    monkeypatch.setitem(sys.modules, "worker.recognition.packs.dlib_conversion", conversion(version=8))

    printed, _ = packs()
    assert "dlib is incomplete, or of another release: `manage.py packs fetch dlib --force` installs" in printed
    assert printed.count("--force") == 1  # the packs of one folder need one fetch
    with pytest.raises(CommandError, match="made by version 7 of the conversion; this release has version 8"):
        packs("show", "dlib")


def test_licence_and_provenance_of_each_part_are_shown_in_full() -> None:
    printed, _ = packs("show", "dlib")
    known = known_pack("dlib")
    assert known is not None

    for carrier in known.carriers:
        for said in (f"{carrier.package} {carrier.version}", carrier.licence.sentence, carrier.provenance):
            assert said in printed
        for file in (carrier.wheel, *carrier.files):
            assert f"{file.name} ({file.size_bytes:,} bytes)" in printed
            assert str(file.sha256) in printed


@pytest.mark.parametrize(
    ("name", "threshold"),
    [
        ("dlib", "0.8 or more (measured by benchmarks.accuracy)"),
        ("opencv_zoo", "0.363 or more (not measured here)"),
        ("buffalo_l", "0.4 or more (not measured here)"),
    ],
)
def test_a_threshold_is_shown_with_its_source(name: str, threshold: str) -> None:
    assert f"a match at a similarity of {threshold}\n" in packs("show", name)[0]
