"""Repaired graphs say what the untouched ones say; what cannot be repaired, or is repaired wrongly, is not touched."""

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper, version_converter

from benchmarks import architectures
from benchmarks.packs import scene
from tests import pictures
from tests.unit.worker.recognition.synthetic_packs import recognizer_graph
from worker.errors import PackDamaged
from worker.recognition.graphs import edits, repairs
from worker.recognition.graphs.kept import FOLDER
from worker.recognition.graphs.repairs import Graph, repaired_detector, repaired_recognizer

Pixels = NDArray[np.uint8]

#: A small multiple of 32: what is tested does not depend on the size.
SIDE = 160
DETECTORS = [architectures.scrfd_500m, architectures.scrfd_10g]
RECOGNIZERS = [architectures.mobilefacenet, architectures.iresnet50]


def saved(model: onnx.ModelProto, folder: Path, name: str = "model.onnx") -> Path:
    onnx.save_model(model, str(folder / name))
    return folder / name


def recognizer_file(folder: Path) -> Path:
    return saved(architectures.mobilefacenet(seed=1, thin=8), folder)


def repaired(file: Path) -> Graph:
    return repaired_recognizer(file, mean=127.5, std=127.5)


def opened(model: Path | bytes) -> Callable[[NDArray[Any]], list[NDArray[np.float32]]]:
    """Return a function that runs the graph on a batch."""
    source = str(model) if isinstance(model, Path) else model
    session = onnxruntime.InferenceSession(source, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda batch: session.run(None, {name: batch})  # type: ignore[no-any-return]


def run(model: Path | bytes, batch: NDArray[Any]) -> list[NDArray[np.float32]]:
    return opened(model)(batch)


def normalised(batch: Pixels, std: float) -> NDArray[np.float32]:
    """As InsightFace does it."""
    side = batch.shape[1:3][::-1]
    blob: NDArray[np.float32] = cv2.dnn.blobFromImages(list(batch), 1 / std, side, (127.5, 127.5, 127.5), swapRB=True)
    return blob


def some_pictures(count: int, side: int = SIDE) -> Pixels:
    return np.stack([cv2.resize(scene(faces=4, size=(640, 640), seed=seed)[0], (side, side)) for seed in range(count)])


def assert_same_detections(graph: Graph, file: Path, batch: Pixels) -> None:
    untouched = opened(file)
    together = run(graph.model, batch)
    for index, picture in enumerate(batch):
        alone = untouched(normalised(picture[None], 128))
        for ours, theirs in zip(together, alone, strict=True):
            assert np.abs(ours[index] - theirs).max() < 1e-4


def assert_same_embeddings(graph: Graph, file: Path, crops: Pixels) -> None:
    untouched = opened(file)
    [together] = run(graph.model, crops)
    for ours, crop in zip(together, crops, strict=True):
        [[theirs]] = untouched(normalised(crop[None], 127.5))
        assert ours @ theirs / np.linalg.norm(ours) / np.linalg.norm(theirs) >= 0.99999


@pytest.mark.parametrize("build", DETECTORS)
def test_a_repaired_detector_takes_1_to_8_pictures_and_says_the_same_of_each(build: Any, tmp_path: Path) -> None:
    file = saved(build(seed=1, thin=8), tmp_path)

    graph = repaired_detector(file, side_pixels=SIDE)

    assert graph.has_batch
    assert graph.takes_pixels
    assert graph.repairs == ("batch", "fixed size", "merged heads", "pixels")
    for count in range(1, 9):
        assert_same_detections(graph, file, some_pictures(count))


@pytest.mark.parametrize("build", RECOGNIZERS)
def test_a_repaired_recognizer_says_the_same_of_each_crop(build: Any, tmp_path: Path) -> None:
    file = saved(build(seed=1, thin=8), tmp_path)

    graph = repaired(file)

    assert graph.has_batch
    assert graph.takes_pixels
    assert graph.repairs == ("batch", "pixels", "prelu")
    assert_same_embeddings(graph, file, np.stack(pictures.lfw_crops()[:8]))


@pytest.mark.parametrize("build", DETECTORS)
def test_a_detector_of_a_newer_opset_is_repaired_too(build: Any, tmp_path: Path) -> None:
    file = saved(version_converter.convert_version(build(seed=1, thin=8), 13), tmp_path)

    graph = repaired_detector(file, side_pixels=SIDE)

    assert "merged heads" in graph.repairs
    assert_same_detections(graph, file, some_pictures(2))


@pytest.mark.long
@pytest.mark.parametrize("build", DETECTORS)
def test_a_detector_of_true_size_says_the_same(build: Any, tmp_path: Path) -> None:
    file = saved(build(seed=1), tmp_path)
    assert_same_detections(repaired_detector(file, side_pixels=640), file, some_pictures(4, side=640))


@pytest.mark.long
@pytest.mark.parametrize("build", RECOGNIZERS)
def test_a_recognizer_of_true_size_says_the_same(build: Any, tmp_path: Path) -> None:
    file = saved(build(seed=1), tmp_path)
    assert_same_embeddings(repaired(file), file, np.stack(pictures.lfw_crops()[:20]))


def test_a_recognizer_exported_for_one_crop_takes_many(tmp_path: Path) -> None:
    model = architectures.mobilefacenet(seed=1, thin=8)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    file = saved(model, tmp_path)

    graph = repaired(file)

    assert graph.has_batch
    assert_same_embeddings(graph, file, np.stack(pictures.lfw_crops()[:5]))


@pytest.mark.parametrize(
    "slopes",
    [
        np.array([0.25, -0.5, 1.5, 0.0], np.float32).reshape(4, 1, 1),
        np.array([0.25, -0.5, 1.5, 1.0], np.float32).reshape(1, 4, 1, 1),
        np.full((4, 1, 1), 0.25, np.float32),
        np.array([0.3], np.float32),
    ],
    ids=["per channel", "per channel with a batch axis", "all equal", "one for all"],
)
def test_prelu_is_spread_into_operations_that_say_the_same(slopes: NDArray[np.float32]) -> None:
    weights = np.random.default_rng(0).standard_normal((4, 3, 1, 1)).astype(np.float32)
    nodes = [helper.make_node("Conv", ["x", "w"], ["c"]), helper.make_node("PRelu", ["c", "s"], ["y"])]
    ends = [helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, ["n", c, 5, 5]) for n, c in (("x", 3), ("y", 4))]
    constants = [numpy_helper.from_array(weights, "w"), numpy_helper.from_array(slopes, "s")]
    graph = helper.make_graph(nodes, "prelu", ends[:1], ends[1:], initializer=constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=6)
    x = np.random.default_rng(1).standard_normal((2, 3, 5, 5)).astype(np.float32)
    [expected] = run(model.SerializeToString(), x)

    assert edits.spread_prelu(model)

    [found] = run(edits.pruned(model).SerializeToString(), x)
    assert "PRelu" not in {node.op_type for node in model.graph.node}
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_prelu_stays_for_other_processors(tmp_path: Path) -> None:
    graph = repaired_recognizer(recognizer_file(tmp_path), mean=127.5, std=127.5, for_cpu=False)

    assert graph.repairs == ("batch", "pixels")
    assert isinstance(graph.model, Path)
    assert "PRelu" in {node.op_type for node in onnx.load_model(str(graph.model)).graph.node}


def test_a_graph_that_normalises_by_itself_still_takes_its_own_input(tmp_path: Path) -> None:
    """As the older packs' recognizers do: they begin with a Sub and a Mul."""
    model = architectures.mobilefacenet(seed=1, thin=8)
    for node in model.graph.node:
        node.input[:] = ["scaled" if name == "input.1" else name for name in node.input]
    own = [helper.make_node("Sub", ["input.1", "m"], ["s"]), helper.make_node("Mul", ["s", "f"], ["scaled"])]
    nodes = [*own, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    for name, value in (("m", 127.5), ("f", 1 / 127.5)):
        model.graph.initializer.append(numpy_helper.from_array(np.array(value, np.float32), name))

    graph = repaired_recognizer(saved(model, tmp_path), mean=0, std=1)

    assert not graph.takes_pixels
    assert graph.has_batch
    assert graph.repairs == ("batch", "prelu")


def test_a_graph_with_nothing_to_repair_is_used_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "rec.onnx"
    file.write_bytes(recognizer_graph(seed=1))

    assert repaired(file) == Graph(model=file, has_batch=True, takes_pixels=False, repairs=())
    assert not (tmp_path / FOLDER).exists()


def test_a_graph_that_is_not_understood_is_used_as_it_is(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ends = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [2]) for name in ("a", "b", "c")]
    graph = helper.make_graph([helper.make_node("Add", ["a", "b"], ["c"])], "sum", ends[:2], ends[2:])
    file = saved(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=6), tmp_path)

    for found in (repaired(file), repaired_detector(file, side_pixels=SIDE)):
        assert found == Graph(model=file, has_batch=False, takes_pixels=False, repairs=())
    assert str(file) in caplog.text


@pytest.mark.parametrize("content", [b"", b"not a model", None], ids=["empty", "text", "cut short"])
def test_a_damaged_file_is_said_to_be_damaged(tmp_path: Path, content: bytes | None) -> None:
    file = recognizer_file(tmp_path)
    file.write_bytes(file.read_bytes()[:5000] if content is None else content)

    with pytest.raises(PackDamaged, match=r"model\.onnx"):
        repaired(file)


def _of_half_the_contrast(model: onnx.ModelProto, *, mean: float, std: float) -> bool:
    return bool(_TAKE_PIXELS(model, mean=mean, std=2 * std))


def _of_another_mean(model: onnx.ModelProto, *, mean: float, std: float) -> bool:
    return bool(_TAKE_PIXELS(model, mean=mean - 4, std=std))


def _that_fails(model: onnx.ModelProto, *, mean: float, std: float) -> bool:
    raise IndexError


_TAKE_PIXELS = edits.take_pixels


@pytest.mark.parametrize("wrong", [_of_half_the_contrast, _of_another_mean, _that_fails])
def test_a_wrong_repair_is_noticed_and_the_untouched_graph_used(
    wrong: Callable[..., bool], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    file = saved(architectures.scrfd_500m(seed=1, thin=8), tmp_path)
    monkeypatch.setattr(edits, "take_pixels", wrong)

    graph = repaired_detector(file, side_pixels=SIDE)

    assert graph == Graph(model=file, has_batch=False, takes_pixels=False, repairs=())
    [record] = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert str(file) in record.getMessage()
    assert "'pixels'" in record.getMessage()
    assert not (tmp_path / FOLDER).exists()


def test_a_recognizer_whose_slopes_changed_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def with_one_slope_for_all(model: onnx.ModelProto) -> bool:
        for node in [node for node in model.graph.node if node.op_type == "PRelu"]:
            leaky = helper.make_node("LeakyRelu", [node.input[0]], list(node.output), alpha=0.25)
            node.CopyFrom(leaky)
        return True

    file = recognizer_file(tmp_path)
    monkeypatch.setattr(edits, "spread_prelu", with_one_slope_for_all)

    assert repaired(file) == Graph(model=file, has_batch=True, takes_pixels=False, repairs=())
    assert "'prelu'" in caplog.text


def test_a_batch_whose_rows_belong_to_the_neighbours_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Opening the axis is all that many guides say, and mixes the pictures' rows."""

    def only_open_the_axis(model: onnx.ModelProto) -> bool:
        model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "n"
        return True

    file = saved(architectures.scrfd_500m(seed=1, thin=8), tmp_path)
    monkeypatch.setattr(edits, "open_batch", only_open_the_axis)

    assert repaired_detector(file, side_pixels=SIDE).repairs == ()
    assert "'batch'" in caplog.text


def test_a_kept_graph_is_used_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = recognizer_file(tmp_path)
    first = repaired(file)
    monkeypatch.setattr(repairs, "_repaired", None)

    assert repaired(file) == first
    assert isinstance(first.model, Path)
    assert first.model.parent == tmp_path / FOLDER


@pytest.mark.parametrize("damage", ["graph cut short", "graph replaced", "note cut short", "note of something else"])
def test_a_damaged_kept_graph_is_made_again(tmp_path: Path, damage: str) -> None:
    file = recognizer_file(tmp_path)
    first = repaired(file)
    assert isinstance(first.model, Path)
    content, note = first.model.read_bytes(), first.model.with_suffix(".json")
    if damage == "graph cut short":
        first.model.write_bytes(content[:-100])
    elif damage == "graph replaced":
        first.model.write_bytes(file.read_bytes())
    else:
        note.write_text("[]" if damage == "note of something else" else note.read_text()[:20])

    assert repaired(file) == first
    assert first.model.read_bytes() == content


def test_another_file_of_the_same_name_is_repaired_by_itself(tmp_path: Path) -> None:
    first = repaired(recognizer_file(tmp_path))
    file = saved(architectures.mobilefacenet(seed=2, thin=8), tmp_path)

    second = repaired(file)

    assert second.model != first.model
    assert_same_embeddings(second, file, np.stack(pictures.lfw_crops()[:2]))


def test_graphs_of_another_version_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = recognizer_file(tmp_path)
    repaired(file)
    monkeypatch.setattr(repairs, "REPAIRS_VERSION", repairs.REPAIRS_VERSION + 1)

    new = repaired(file)

    assert isinstance(new.model, Path)
    assert set((tmp_path / FOLDER).iterdir()) == {new.model, new.model.with_suffix(".json")}


def test_where_nothing_can_be_written_the_graph_is_kept_in_memory(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    file = recognizer_file(tmp_path)
    (tmp_path / FOLDER).write_text("A file where the folder should be stops root as well.")

    graph = repaired(file)

    assert isinstance(graph.model, bytes)
    assert graph.repairs == ("batch", "pixels", "prelu")
    assert_same_embeddings(graph, file, np.stack(pictures.lfw_crops()[:2]))
    assert [record.levelno for record in caplog.records] == [logging.INFO]


def test_many_at_once_make_the_same_graph(tmp_path: Path) -> None:
    file = recognizer_file(tmp_path)
    with ThreadPoolExecutor(4) as threads:
        graphs = list(threads.map(repaired, [file] * 8))

    assert all(graph == graphs[0] for graph in graphs)
    assert isinstance(graphs[0].model, Path)
    assert set((tmp_path / FOLDER).iterdir()) == {graphs[0].model, graphs[0].model.with_suffix(".json")}
