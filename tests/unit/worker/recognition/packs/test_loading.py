"""A pack is found by its name, verified, and told apart by its fingerprint."""

import hashlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.packs import PACKS_DIR
from tests.unit.worker.recognition.synthetic_packs import detector_graph, make_pack, recognizer_graph
from tests.unit.worker.recognition.zoo_graphs import make_zoo_pack
from worker.config import FaceConfig
from worker.errors import ConfigError, PackDamaged, PackMissing
from worker.recognition.packs.catalogue import KNOWN_PACKS
from worker.recognition.packs.entries import KnownPack
from worker.recognition.packs.files import file_digests, fingerprint
from worker.recognition.packs.loading import load_pack


def config(packs_dir: Path, pack: str = "small", **others: object) -> FaceConfig:
    return FaceConfig(packs_dir=packs_dir, pack=pack, **others)  # type: ignore[arg-type]


def test_a_pack_that_is_not_there_says_where_it_was_looked_for_and_which_files_are_wanted(tmp_path: Path) -> None:
    with pytest.raises(PackMissing) as caught:
        load_pack(config(tmp_path, "mine"))

    assert str(tmp_path / "mine") in str(caught.value)
    assert "detector" in str(caught.value)
    assert "recognizer" in str(caught.value)


@pytest.mark.parametrize("known", KNOWN_PACKS, ids=lambda pack: pack.name)
def test_a_known_pack_that_is_not_there_names_its_files_and_the_command_that_gets_them(
    tmp_path: Path, known: KnownPack
) -> None:
    with pytest.raises(PackMissing) as caught:
        load_pack(config(tmp_path, known.name))

    for said in (*known.model_names, f"`manage.py packs fetch {known.name}`"):
        assert said in str(caught.value)


def test_a_known_pack_that_is_not_all_there_names_what_it_lacks(tmp_path: Path) -> None:
    (tmp_path / "buffalo_s").mkdir()
    (tmp_path / "buffalo_s" / "det_500m.onnx").write_bytes(b"")

    with pytest.raises(PackMissing, match=r"has no w600k_mbf\.onnx\. .*packs fetch buffalo_s --force"):
        load_pack(config(tmp_path, "buffalo_s"))


def test_a_file_under_a_known_name_with_another_sum_is_a_damaged_pack(tmp_path: Path) -> None:
    """Also when it could be loaded: a gallery must not be filled by a model that only has the name."""
    make_zoo_pack(tmp_path / "opencv_zoo")
    make_pack(tmp_path / "buffalo_s")
    (tmp_path / "buffalo_s" / "det.onnx").rename(tmp_path / "buffalo_s" / "det_500m.onnx")
    (tmp_path / "buffalo_s" / "rec.onnx").rename(tmp_path / "buffalo_s" / "w600k_mbf.onnx")

    with pytest.raises(PackDamaged, match=r"face_detection_yunet_2023mar\.onnx is not the file .*--force"):
        load_pack(config(tmp_path, "opencv_zoo"))
    with pytest.raises(PackDamaged, match=r"det_500m\.onnx is not the file .*--force"):
        load_pack(config(tmp_path, "buffalo_s"))


def test_the_same_files_under_a_name_of_their_own_are_a_pack(tmp_path: Path) -> None:
    make_zoo_pack(tmp_path / "mine")
    pack = load_pack(config(tmp_path, "mine"))
    for model in pack.models:
        model.close()

    assert pack.name == "mine"


@pytest.mark.parametrize("name", ["small", "zoo"])
@pytest.mark.parametrize("size", ["smallest_face_pixels", "longest_side_pixels"])
def test_a_size_that_the_packs_detector_does_not_have_is_refused_by_name(tmp_path: Path, name: str, size: str) -> None:
    make_pack(tmp_path / "small")
    make_zoo_pack(tmp_path / "zoo")

    with pytest.raises(ConfigError) as caught:
        load_pack(config(tmp_path, name, **{size: 100}))

    assert str(caught.value) == (
        f"FACE_CONFIG {size.upper()} is set, and the detector of the pack '{name}' has no such setting."
    )


@pytest.mark.parametrize("name", ["../secret", "a/b"])
def test_a_name_does_not_lead_out_of_the_packs_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(PackMissing, match="neither"):
        load_pack(config(tmp_path, name))


def test_a_folder_that_cannot_be_looked_into_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(PackMissing, match=r"^The pack's folder .*x/a cannot be read: File name too long\.$"):
        load_pack(config(tmp_path, f"/{'x' * 300}/a"))


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


def test_packs_that_find_the_same_faces_have_the_same_detector(tmp_path: Path) -> None:
    folders = [make_pack(tmp_path / name, seed=seed) for seed, name in enumerate(("small", "other"))]
    (folders[1] / "det.onnx").rename(folders[1] / "detector.onnx")
    one, other = (load_pack(config(tmp_path, folder.name)) for folder in folders)

    assert one.detector_fingerprint == other.detector_fingerprint
    assert one.detector_fingerprint != one.fingerprint != other.fingerprint


@pytest.mark.parametrize("make", [make_pack, make_zoo_pack])
def test_what_changes_the_faces_that_are_found_changes_the_detector(
    tmp_path: Path, make: Callable[[Path], Path]
) -> None:
    make(tmp_path / "small")
    finding = [{"min_face_score": 0.6}, {"min_face_pixels": 40}, {"min_face_quality": 0.2}, {"reduced_decoding": True}]
    running = [{}, {"max_waiting": 7}, {"runs_at_once": 1}]

    changed, same = (
        {load_pack(config(tmp_path, **options)).detector_fingerprint for options in each} for each in (finding, running)
    )

    # The pack's own score set by hand is the same score.
    assert load_pack(config(tmp_path, min_face_score=0.5)).detector_fingerprint in same
    assert len(changed) == len(finding)
    assert len(same) == 1
    assert not changed & same


def test_a_fingerprint_holds_names_as_well_as_contents() -> None:
    assert fingerprint({"a": b"x", "b": b"y"}) == fingerprint({"b": b"y", "a": b"x"})
    assert fingerprint({"a": b"x", "b": b"y"}) != fingerprint({"a": b"y", "b": b"x"})
    assert fingerprint({"a": b"xb", "c": b""}) != fingerprint({"a": b"x", "bc": b""})


def test_a_fingerprint_is_what_galleries_remember_of_earlier_releases(tmp_path: Path) -> None:
    (tmp_path / "rec.onnx").write_bytes(b"recognizer")
    remembered = "797b51531f38374ddb6e4a1a93340df999a90d16683a23e603fd3826c5737664"

    assert fingerprint({"det.onnx": b"detector", "rec.onnx": tmp_path / "rec.onnx"}) == remembered


def test_a_digest_that_is_known_already_stands_for_its_content(tmp_path: Path) -> None:
    files = [tmp_path / "a.onnx", tmp_path / "b.onnx"]
    for file in files:
        file.write_bytes(file.name.encode())
    digests = file_digests(files)

    assert digests == {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
    assert fingerprint(digests) == fingerprint({file.name: file for file in files})


def test_a_file_that_is_not_there_or_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(PackMissing, match=r"gone\.onnx"):
        file_digests([tmp_path / "gone.onnx"])
    with pytest.raises(PackDamaged, match=str(tmp_path)):
        file_digests([tmp_path])


@pytest.mark.parametrize("pack", ["dlib", "small"])
def test_a_provider_that_is_not_there_is_refused_and_the_others_are_named(tmp_path: Path, pack: str) -> None:
    make_pack(tmp_path / "small")
    (tmp_path / "dlib").symlink_to(PACKS_DIR / "dlib")

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
