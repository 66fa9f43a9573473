"""A pack is found by its name, verified, and told apart by its fingerprint."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.recognition.synthetic_packs import detector_graph, make_pack, recognizer_graph
from worker.config import FaceConfig
from worker.errors import ConfigError, PackDamaged, PackMissing
from worker.recognition.pack_files import fingerprint
from worker.recognition.packs import load_pack


def config(packs_dir: Path, pack: str = "small", **others: object) -> FaceConfig:
    return FaceConfig(packs_dir=packs_dir, pack=pack, **others)  # type: ignore[arg-type]


def test_a_pack_that_is_not_there_says_where_it_was_looked_for_and_which_files_are_wanted(tmp_path: Path) -> None:
    with pytest.raises(PackMissing) as caught:
        load_pack(config(tmp_path, "buffalo_l"))

    assert str(tmp_path / "buffalo_l") in str(caught.value)
    assert "detector" in str(caught.value)
    assert "recognizer" in str(caught.value)


@pytest.mark.parametrize("name", ["../secret", "a/b", ".", ".."])
def test_a_name_does_not_lead_out_of_the_packs_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(PackMissing, match="neither"):
        load_pack(config(tmp_path, name))


@pytest.mark.parametrize("missing", ["det.onnx", "rec.onnx"])
def test_a_folder_without_one_of_the_two_models_says_which(tmp_path: Path, missing: str) -> None:
    (make_pack(tmp_path / "small") / missing).unlink()
    word = {"det.onnx": "no detector", "rec.onnx": "no recognizer"}[missing]

    with pytest.raises(PackMissing, match=word):
        load_pack(config(tmp_path))


@pytest.mark.parametrize("name", ["det.onnx", "rec.onnx"])
@pytest.mark.parametrize("content", [b"", b"no onnx at all", b"cut"], ids=["empty", "text", "cut"])
def test_an_unreadable_model_is_a_damaged_pack(tmp_path: Path, name: str, content: bytes) -> None:
    file = make_pack(tmp_path / "small") / name
    file.write_bytes(file.read_bytes()[:-200] if content == b"cut" else content)

    with pytest.raises(PackDamaged, match=name):
        load_pack(config(tmp_path))


def test_a_detector_without_landmarks_is_a_damaged_pack(tmp_path: Path) -> None:
    (make_pack(tmp_path / "small") / "det.onnx").write_bytes(detector_graph(landmarks=False))

    with pytest.raises(PackDamaged, match="landmarks"):
        load_pack(config(tmp_path))


def test_a_pack_may_be_named_by_its_absolute_folder(tmp_path: Path) -> None:
    folder = make_pack(tmp_path / "elsewhere" / "mine")

    pack = load_pack(config(tmp_path / "packs", str(folder)))

    assert pack.name == "mine"


def test_the_same_files_have_the_same_fingerprint_wherever_they_lie(tmp_path: Path) -> None:
    make_pack(tmp_path / "one" / "small")
    make_pack(tmp_path / "two" / "small")
    make_pack(tmp_path / "three" / "small", seed=2)
    one, two, three = (load_pack(config(tmp_path / name)).fingerprint for name in ("one", "two", "three"))

    assert one == two
    assert len(one) == 64
    assert one != three


def test_files_that_the_pack_does_not_use_are_not_in_its_fingerprint(tmp_path: Path) -> None:
    folder = make_pack(tmp_path / "small")
    before = load_pack(config(tmp_path)).fingerprint
    (folder / "genderage.onnx").write_bytes(recognizer_graph(seed=9, side=96))
    (folder / "README").write_text("hello")

    assert load_pack(config(tmp_path)).fingerprint == before


def test_a_fingerprint_holds_names_as_well_as_contents() -> None:
    assert fingerprint({"a": b"x", "b": b"y"}) == fingerprint({"b": b"y", "a": b"x"})
    assert fingerprint({"a": b"x", "b": b"y"}) != fingerprint({"a": b"y", "b": b"x"})
    assert fingerprint({"a": b"xb", "c": b""}) != fingerprint({"a": b"x", "bc": b""})


@pytest.mark.parametrize("pack", ["starter", "small"])
def test_a_provider_that_is_not_there_is_refused_and_the_others_are_named(tmp_path: Path, pack: str) -> None:
    make_pack(tmp_path / "small")

    with pytest.raises(ConfigError, match=r"NoSuchExecutionProvider.*CPUExecutionProvider"):
        load_pack(config(tmp_path, pack, providers=("NoSuchExecutionProvider",)))


def test_the_light_modules_import_no_model_library() -> None:
    code = (
        "import sys, worker.face_index, worker.errors, worker.config, worker.recognition.interfaces\n"
        "heavy = {'onnxruntime', 'onnx', 'insightface', 'cv2', 'skimage', 'celery', 'django', 'pymilvus'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )

    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert answer.stdout.strip() == "[]"
