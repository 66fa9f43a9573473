"""The whole command, on the pictures that installed packages ship."""

import json
import tarfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import cv2
import pytest

from benchmarks.accuracy.__main__ import main
from tests.pictures import sample, saved, varied

#: How a person's further photos differ from the first.
VARIED = ({}, {"light": 0.8}, {"degrees": 3, "jpeg_quality": 80})


@pytest.fixture(autouse=True)
def threads_of_opencv() -> Iterator[None]:
    before = cv2.getNumThreads()
    yield
    cv2.setNumThreads(before)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three photos each of two people, one of a group, one of no face, and a text."""
    root = tmp_path_factory.mktemp("photos") / "people"
    for person, name in (("Astronaut", "astronaut"), ("Tom_Hanks", "tom_hanks")):
        (root / person).mkdir(parents=True)
        for number, changes in enumerate(VARIED):
            (root / person / f"{number}.png").write_bytes(saved(varied(sample(name), **changes), "PNG"))
    for person, name in (("Group", "six_people"), ("Coffee", "coffee")):
        (root / person).mkdir()
        (root / person / "0.jpg").write_bytes(saved(sample(name), "JPEG"))
    (root / "Group" / "notes.txt").write_text("Taken at the office.")
    return root


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr("sys.argv", ["accuracy", *map(str, arguments)])
    return main()


def test_a_folder_is_measured_group_by_group(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "figures.json"

    status = run(monkeypatch, "--photos", photos, "--people", "A-Z", "--people", "T", "--json", report)

    output = capsys.readouterr()
    found = json.loads(report.read_text())
    everybody, t = (group["figures"][0] for group in found["groups"])
    [cost] = found["costs"]
    assert status == 0
    assert (everybody["photos"], everybody["people"], everybody["probes"]) == (8, 4, 6)
    assert everybody["missed"] == 1
    assert everybody["other_boxes"] >= 1
    assert everybody["rank_1"]["value"] == 1.0
    assert everybody["rank_1"]["low"] < 1.0
    assert everybody["same"]["mean"] > everybody["different"]["mean"]
    assert (t["photos"], t["people"], t["probes"], t["missed"]) == (3, 1, 3, 0)
    assert found["unreadable_photos"] == 1
    assert cost["total_ms"] == pytest.approx(sum(cost["stages_ms"].values()))
    assert "People A-Z: 8 photos of 4 people, 6 probes." in output.out
    assert "| photos without a face | 1 |" in output.out
    assert "People T: 3 photos of 1 people, 3 probes." in output.out
    assert "left out: 'Group/notes.txt'" in output.err


def test_an_archive_gives_the_figures_of_its_folder(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = tmp_path / "photos.tar"
    with tarfile.open(packed, "w") as tar:
        tar.add(photos, arcname=".")
        trick = tarfile.TarInfo("../../Eve/1.jpg")
        tar.addfile(trick, BytesIO())
    figures = []
    for source in (photos, packed):
        assert run(monkeypatch, "--photos", source, "--people", "S-T", "--json", tmp_path / "figures.json") == 0
        figures.append(json.loads((tmp_path / "figures.json").read_text())["groups"])

    assert figures[0] == figures[1]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        pytest.param(["--people", "X-Z"], "holds no photos of people with these letters", id="nobody"),
        pytest.param(["--pack", "nowhere"], "nowhere", id="no such pack"),
    ],
)
def test_what_cannot_be_measured_is_a_sentence(
    photos: Path,
    arguments: list[str],
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(monkeypatch, "--photos", photos, *arguments) == 2

    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--people", "E-A"], "'E-A' is not a letter or a range of letters"),
        (["--limit", "0"], "'0' is not a whole number from 1"),
        (["--pack", "a/dlib", "--pack", "b/dlib"], "two of the packs have the same name"),
    ],
)
def test_a_bad_argument_is_a_sentence(
    arguments: list[str], sentence: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        run(monkeypatch, "--photos", ".", *arguments)

    assert sentence in capsys.readouterr().err
