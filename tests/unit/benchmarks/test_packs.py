"""The packs that tests and benchmarks run on cost what the published ones cost, and find the planted faces."""

import math
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
from insightface.app import FaceAnalysis

from benchmarks import architectures, packs
from benchmarks.packs import make_pack, scene
from worker.recognition.interfaces import Box, Image

#: Millions of multiplications of a run on one picture (facts of the published configurations).
_COSTS = [
    (architectures.scrfd_500m, 640, 734),
    (architectures.mobilefacenet, 112, 438),
    pytest.param(architectures.scrfd_10g, 640, 13_341, marks=pytest.mark.long),
    pytest.param(architectures.iresnet50, 112, 6_309, marks=pytest.mark.long),
]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pack(tmp_path_factory.mktemp("packs") / "tiny", "tiny", all_models=True)


@pytest.fixture(scope="module")
def analysis(tiny: Path) -> Any:
    return _analysis(tiny, allowed_modules=["detection", "recognition"])


def _analysis(folder: Path, **options: Any) -> Any:
    analysis = FaceAnalysis(name=str(folder), providers=["CPUExecutionProvider"], **options)
    analysis.prepare(ctx_id=0, det_size=(640, 640))
    return analysis


def _through_jpeg(picture: Image, quality: int) -> Image:
    _, jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return cv2.imdecode(jpeg, cv2.IMREAD_COLOR)


def _overlap_of_each(boxes: list[Box], faces: list[Any]) -> list[float]:
    found = [Box(**dict(zip(("left", "top", "right", "bottom"), map(float, face.bbox), strict=True))) for face in faces]
    return [max(box.overlap(other) for other in found) for box in boxes]


def _millions_of_multiplications(model: onnx.ModelProto, side: int) -> float:
    """Run the graph once with what its convolutions give as outputs; the file's own shapes are symbolic."""
    weights = {constant.name: constant.dims for constant in model.graph.initializer}
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    linear = sum(math.prod(weights[node.input[1]]) for node in model.graph.node if node.op_type == "Gemm")
    del model.graph.output[:]
    model.graph.output.extend(onnx.helper.make_empty_tensor_value_info(node.output[0]) for node in convolutions)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    outputs = session.run(None, {"input.1": np.zeros((1, 3, side, side), np.float32)})
    each = (math.prod(weights[n.input[1]][1:]) * output.size for n, output in zip(convolutions, outputs, strict=True))
    return (linear + sum(each)) / 1e6


@pytest.mark.parametrize(("build", "side", "millions"), _COSTS)
def test_a_network_costs_what_the_published_one_costs(build: Any, side: int, millions: int) -> None:
    assert _millions_of_multiplications(build(seed=1), side) == pytest.approx(millions, rel=0.01)


@pytest.mark.parametrize("build", [architectures.scrfd_500m, architectures.scrfd_10g])
def test_a_detector_has_the_published_interface(build: Any) -> None:
    model = build(seed=1, thin=8)
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])

    outputs = session.run(None, {"input.1": np.zeros((1, 3, 64, 96), np.float32)})

    rows = [2 * (64 // stride) * (96 // stride) for stride in (8, 16, 32)]
    assert session.get_inputs()[0].shape == [1, 3, "?", "?"]
    assert [output.shape for output in outputs] == [(row, width) for width in (1, 4, 10) for row in rows]


@pytest.mark.parametrize("build", [architectures.mobilefacenet, architectures.iresnet50])
def test_a_recognizer_takes_any_batch_and_has_one_slope_a_channel(build: Any) -> None:
    model = build(seed=1, thin=8)
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    slopes = {constant.name: onnx.numpy_helper.to_array(constant) for constant in model.graph.initializer}

    [rows] = session.run(None, {"input.1": np.random.default_rng(0).random((3, 3, 112, 112), np.float32)})

    assert rows.shape == (3, 512)
    assert np.isfinite(rows).all()
    of_nodes = [slopes[node.input[1]] for node in model.graph.node if node.op_type == "PRelu"]
    assert all(each.shape == (each.size, 1, 1) and each.std() > 0 for each in of_nodes)
    assert min(each.min() for each in of_nodes) < 0


@pytest.mark.parametrize(
    ("faces", "size", "quality"),
    [
        (0, (1280, 886), 90),
        (1, (1280, 886), 75),
        (1, (886, 1280), 95),
        (3, (640, 640), 85),
        (5, (1280, 886), 90),
        (12, (4000, 3000), 75),
        (30, (1280, 886), 85),
        (30, (640, 443), 90),
    ],
)
def test_exactly_the_planted_faces_are_found(analysis: Any, faces: int, size: tuple[int, int], quality: int) -> None:
    for seed in range(3):
        picture, boxes = scene(faces=faces, size=size, seed=seed)

        found = analysis.get(_through_jpeg(picture, quality))

        assert picture.shape == (size[1], size[0], 3)
        assert len(boxes) == len(found) == faces
        assert all(overlap > 0.9 for overlap in _overlap_of_each(boxes, found))
        assert all(face.det_score > 0.75 for face in found)


def test_planted_faces_are_of_all_sizes() -> None:
    boxes = [box for seed in range(60) for box in scene(faces=1, size=(640, 640), seed=seed)[1]]

    assert {round(box.width) for box in boxes} == {24, 40, 72, 120, 220, 400}


def test_different_faces_have_different_embeddings(analysis: Any) -> None:
    rows = np.stack([face.normed_embedding for face in analysis.get(scene(faces=30, seed=1)[0])])

    cosines = rows @ rows.T - np.eye(30)

    assert cosines.max() < 0.9


def test_the_same_seed_gives_the_same_scene_and_the_same_files(tiny: Path, tmp_path: Path) -> None:
    again = make_pack(tmp_path / "again", "tiny", all_models=True)
    other = make_pack(tmp_path / "other", "tiny", seed=2)

    assert np.array_equal(scene(faces=4, seed=3)[0], scene(faces=4, seed=3)[0])
    assert not np.array_equal(scene(faces=4, seed=3)[0], scene(faces=4, seed=4)[0])
    for file in sorted(tiny.glob("*.onnx")):
        assert (again / file.name).read_bytes() == file.read_bytes()
    for file in sorted(other.glob("*.onnx")):
        assert (tiny / file.name).read_bytes() != file.read_bytes()


def test_the_random_layers_show_in_what_is_found(analysis: Any, tmp_path: Path) -> None:
    picture, _ = scene(faces=2, seed=5)

    [one, other] = analysis.get(picture)[:2]
    again = _analysis(make_pack(tmp_path, "tiny", seed=2), allowed_modules=["detection"]).get(picture)

    assert all(first.det_score != second.det_score for first, second in pairwise([one, other]))
    assert sorted(face.det_score for face in again) != sorted([one.det_score, other.det_score])


def test_a_scene_without_room_is_refused() -> None:
    with pytest.raises(ValueError, match="No room for 1000 faces"):
        scene(faces=1000)


def test_face_analysis_takes_the_whole_pack_for_what_it_is(tiny: Path) -> None:
    whole = _analysis(tiny)

    [face] = whole.get(scene(faces=1, seed=0)[0])

    assert set(whole.models) == {"detection", "recognition", "landmark_3d_68", "landmark_2d_106", "genderage"}
    assert face.landmark_3d_68.shape == (68, 3)
    assert face.landmark_2d_106.shape == (106, 2)
    assert face.gender in (0, 1)


def test_a_cached_pack_is_built_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packs, "CACHE", tmp_path / "cache")

    folder = packs.cached_pack("tiny")
    monkeypatch.setattr(packs, "make_pack", None)

    assert packs.cached_pack("tiny") == folder
    assert sorted(file.name for file in folder.iterdir()) == ["det_500m.onnx", "w600k_mbf.onnx"]
    assert list(folder.parent.iterdir()) == [folder]


def test_the_command_writes_a_pack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["packs", str(tmp_path / "new"), "--size", "tiny", "--all-models"])

    packs.main()

    assert len(list((tmp_path / "new").glob("*.onnx"))) == 5
    assert "det_500m.onnx" in capsys.readouterr().out


@pytest.mark.long
@pytest.mark.parametrize("size", ["small", "large"])
def test_the_real_sizes_find_exactly_the_planted_faces(size: packs.Size, tmp_path: Path) -> None:
    analysis = _analysis(make_pack(tmp_path, size), allowed_modules=["detection", "recognition"])
    for seed in range(10):
        picture, boxes = scene(faces=3 * seed, seed=seed)

        found = analysis.get(_through_jpeg(picture, 85))

        assert len(found) == len(boxes)
        assert all(overlap > 0.9 for overlap in _overlap_of_each(boxes, found))
