"""What a package's manifest says holds: which file does what, how pixels go in, and what the files' sums are."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.worker.recognition.synthetic_packs import detector_graph, recognizer_graph
from worker.errors import PackDamaged
from worker.recognition.packs.files import fingerprint
from worker.recognition.packs.manifest import manifest_files


def make_package(folder: Path, **changes: Any) -> Path:
    """Write a manifest package whose files have names that say nothing; `changes` replace top-level entries."""
    for name, content in (("one/model.onnx", recognizer_graph(seed=1)), ("two/model.onnx", detector_graph())):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_bytes(content)
    (folder / "MODEL.LICENSE").write_text("{}")
    (folder / "manifest.json").write_text(json.dumps(document(folder) | changes))
    return folder


def document(folder: Path) -> dict[str, Any]:
    return {
        "manifest_version": 2,
        "model_id": "raccoon_x",
        "license": "MODEL.LICENSE",
        "tasks": {
            "detection": {"file": "two/model.onnx", "sha256": digest(folder / "two/model.onnx")},
            "recognition": {
                "file": "one/model.onnx",
                "preprocessing": {"mean": 100.0, "std": 50.0},
                "embedding_dimension": 256,
            },
        },
    }


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def test_the_manifest_says_which_file_does_what_and_how_pixels_go_in(tmp_path: Path) -> None:
    folder = make_package(tmp_path / "package")

    stated = manifest_files(folder)

    assert stated is not None
    assert stated.name == "raccoon_x"
    assert stated.dimension == 256
    assert stated.detector.file == folder / "two/model.onnx"
    assert (stated.detector.mean, stated.detector.deviation) == (127.5, 128.0)  # InsightFace's when nothing is said
    assert stated.recognizer.file == folder / "one/model.onnx"
    assert (stated.recognizer.mean, stated.recognizer.deviation) == (100.0, 50.0)


def test_two_files_of_one_name_are_both_in_the_fingerprint(tmp_path: Path) -> None:
    folder = make_package(tmp_path / "package")

    stated = manifest_files(folder)

    assert stated is not None
    assert stated.digests == {name: digest(folder / name) for name in ("one/model.onnx", "two/model.onnx")}
    assert len(fingerprint(stated.digests)) == 64


def test_preprocessing_inside_the_graph_leaves_pixels_as_they_are(tmp_path: Path) -> None:
    folder = make_package(tmp_path / "package")
    tasks = document(folder)["tasks"]
    tasks["recognition"]["preprocessing"] = "embedded"
    (folder / "manifest.json").write_text(json.dumps(document(folder) | {"tasks": tasks}))

    stated = manifest_files(folder)

    assert stated is not None
    assert (stated.recognizer.mean, stated.recognizer.deviation) == (0.0, 1.0)


@pytest.mark.parametrize("text", [None, "{}", "[]", '{"manifest_version": 1}'])
def test_a_folder_without_a_manifest_of_version_2_is_an_ordinary_one(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "manifest.json").write_text(text)

    assert manifest_files(tmp_path) is None


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        pytest.param({"tasks": {}}, "no model for detection", id="no tasks"),
        pytest.param({"tasks": []}, "tasks must be an object", id="no mapping"),
        pytest.param({"license": "../MODEL.LICENSE"}, "escapes", id="a way up"),
        pytest.param({"tasks": {"detection": {"file": "gone.onnx"}}}, r"gone\.onnx", id="a missing file"),
        pytest.param({"tasks": {"detection": {"file": "/etc/x.onnx"}}}, "escapes", id="an absolute file"),
    ],
)
def test_a_manifest_that_is_not_valid_is_a_damaged_pack_with_the_reason(
    tmp_path: Path, changes: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(PackDamaged, match=sentence):
        manifest_files(make_package(tmp_path / "package", **changes))


def test_a_manifest_that_is_no_json_is_a_damaged_pack(tmp_path: Path) -> None:
    folder = make_package(tmp_path / "package")
    (folder / "manifest.json").write_text("{")

    with pytest.raises(PackDamaged, match="JSON"):
        manifest_files(folder)


def test_a_file_with_another_sum_than_the_manifest_says_is_a_damaged_pack(tmp_path: Path) -> None:
    folder = make_package(tmp_path / "package")
    (folder / "two/model.onnx").write_bytes(detector_graph(landmarks=False))

    with pytest.raises(PackDamaged, match=r"two/model\.onnx has another SHA-256"):
        manifest_files(folder)


def test_a_recognizer_for_other_crops_than_ours_is_refused(tmp_path: Path) -> None:
    folder = make_package(tmp_path / "package")
    tasks = document(folder)["tasks"]
    tasks["recognition"]["input_size"] = [128, 128]
    (folder / "manifest.json").write_text(json.dumps(document(folder) | {"tasks": tasks}))

    with pytest.raises(PackDamaged, match="112 pixels"):
        manifest_files(folder)
