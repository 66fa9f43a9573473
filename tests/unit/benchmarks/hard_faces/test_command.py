"""The whole command, on the pictures that installed packages ship."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest

from benchmarks.hard_faces.__main__ import main
from tests.pictures import sample_bytes


@pytest.fixture(autouse=True)
def threads_of_opencv() -> Iterator[None]:
    before = cv2.getNumThreads()
    yield
    cv2.setNumThreads(before)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr("sys.argv", ["hard_faces", *map(str, arguments)])
    return main()


def test_the_table_compares_the_present_settings_with_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for person, name in (("Astronaut", "astronaut"), ("Coffee", "coffee"), ("Notes", "")):
        (tmp_path / person).mkdir()
        (tmp_path / person / "0.png").write_bytes(sample_bytes(name) if name else b"Taken at the office.")

    status = run(monkeypatch, "--photos", tmp_path, "--variant", "smallest_face_pixels=20")

    output = capsys.readouterr()
    rows = {line[:28].strip(): line[28:].split() for line in output.out.splitlines()}
    assert status == 0
    assert output.out.startswith("(0) present\n(1) smallest_face_pixels 20\n")
    assert rows["as it is"] == ["100.0", "100.0"]
    assert rows["small, 20 pixels"] == ["0.0", "100.0"]
    assert "'Coffee/0.png': no face is found in the photo itself." in output.err
    assert "'Notes/0.png'" in output.err


def test_photos_that_are_not_there_are_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "--photos", tmp_path / "none.tar") == 2
    assert "none.tar cannot be read" in capsys.readouterr().err
