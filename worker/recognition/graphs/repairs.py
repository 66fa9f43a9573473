"""Makes a pack's graphs accept batches and pixels, and run fast on a CPU, without changing their results.

A repaired graph is compared with the original on a few pictures before it is used, and is kept beside the pack. A graph
that needs no repair, or that a repair does not understand, is used unchanged.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
from numpy.typing import NDArray

from worker.config import FaceConfig
from worker.errors import PackDamaged
from worker.recognition.alignment import ARCFACE
from worker.recognition.detectors import scrfd
from worker.recognition.graphs import edits as graph_edits
from worker.recognition.graphs.kept import KeptGraph
from worker.recognition.providers import open_session

logger = logging.getLogger(__name__)

#: Increase it when a repair changes: graphs kept by another version are repaired again.
REPAIRS_VERSION = 1
#: The largest difference allowed in a repaired detector's scores, and in its distances in strides.
MOST_DIFFERENCE = 1e-3
#: The smallest cosine allowed between an embedding and that of the original graph.
LEAST_COSINE = 0.99999

_PICTURES_COMPARED = 3

Edit = Callable[[onnx.ModelProto], bool]
#: Pictures as the worker holds them: uint8 BGR, shape (n, height, width, 3).
Pixels = NDArray[np.uint8]
#: A graph's outputs for one picture, or for a batch.
Outputs = list[NDArray[np.float32]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """A graph to open a session on, and the inputs it expects."""

    #: The ONNX file, or its content where it could not be kept.
    model: Path | bytes
    #: Axis 0 of input and outputs is a batch of any size, whose items do not affect each other.
    has_batch: bool
    #: The input is uint8 (n, h, w, 3), BGR; else float32 (n, 3, h, w), (RGB - mean) / deviation.
    takes_pixels: bool
    #: The names of the repairs; empty for the original file.
    repairs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Model:
    """What a repair must know about the model that it checks."""

    file: Path
    side_pixels: int
    mean: float
    std: float
    is_same: Callable[[Outputs, Outputs], bool]


def repaired_detector(file: Path, *, side_pixels: int) -> Graph:
    """Return the SCRFD detector's graph for pictures of that side; outputs (n, rows, values) when it has a batch.

    Raises PackDamaged when onnxruntime cannot load the file.
    """
    model = _Model(
        file=file, side_pixels=side_pixels, mean=scrfd.MEAN, std=scrfd.DEVIATION, is_same=_detections_are_same
    )
    edits: dict[str, Edit] = {
        "batch": graph_edits.open_batch,
        "fixed size": lambda graph: graph_edits.fix_size(graph, side_pixels, _resize_factors(graph, model)),
        "merged heads": graph_edits.merge_siblings,
        "pixels": lambda graph: graph_edits.take_pixels(graph, mean=scrfd.MEAN, std=scrfd.DEVIATION),
    }
    return _kept_or_repaired(model, edits, use=f"detector-{side_pixels}")


def repaired_recognizer(file: Path, *, mean: float, std: float, for_cpu: bool = True) -> Graph:
    """Return the graph of a recognizer of ArcFace's crops that was trained on (RGB - mean) / std.

    `for_cpu` replaces PRelu by operations that are faster on a CPU, and slower on other providers. Raises PackDamaged
    when onnxruntime cannot load the file.
    """
    model = _Model(file=file, side_pixels=ARCFACE.side_pixels, mean=mean, std=std, is_same=_embeddings_are_same)
    edits: dict[str, Edit] = {
        "batch": lambda graph: graph_edits.open_batch(graph) or graph_edits.declare_batch(graph),
        "pixels": lambda graph: graph_edits.take_pixels(graph, mean=mean, std=std),
    }
    if for_cpu:
        edits["prelu"] = graph_edits.spread_prelu
    return _kept_or_repaired(model, edits, use=f"recognizer-{mean:g}-{std:g}-{'cpu' if for_cpu else 'any'}")


def _kept_or_repaired(model: _Model, edits: dict[str, Edit], *, use: str) -> Graph:
    try:
        kept = KeptGraph(model.file, version=REPAIRS_VERSION, use=use)
    except OSError as error:
        raise PackDamaged(f"{model.file} cannot be read.") from error
    note = kept.read()
    if note is None:
        content, graph = _repaired(model, edits)
        if not graph.repairs:
            return graph
        note = {"has_batch": graph.has_batch, "takes_pixels": graph.takes_pixels, "repairs": graph.repairs}
        if not kept.write(content, note):
            return graph
    return Graph(
        model=kept.graph,
        has_batch=bool(note["has_batch"]),
        takes_pixels=bool(note["takes_pixels"]),
        repairs=tuple(note["repairs"]),
    )


def _repaired(model: _Model, edits: dict[str, Edit]) -> tuple[bytes, Graph]:
    """Apply the edits in order, each checked; return the last content and the graph that may be used."""
    pictures = _pictures(model.side_pixels)
    session = _session(model.file, model)
    untouched = Graph(model=model.file, has_batch=False, takes_pixels=False, repairs=())
    try:
        expected = _alone(session, model, pictures)
        untouched = replace(untouched, has_batch=_batches(session, model, pictures, expected))
        edited = onnx.load_model(str(model.file))
    except Exception:  # onnx's, onnxruntime's and protobuf's errors have no common root
        logger.warning("%s is used without repairs: it could not be read.", model.file, exc_info=True)
        return b"", untouched
    graph, content = untouched, b""
    for name, edit in edits.items():
        try:
            candidate = _copied(edited)
            if not edit(candidate):
                continue
            changed = graph_edits.pruned(candidate).SerializeToString()
            has_batch = graph.has_batch or name == "batch"
            is_same = _is_same(changed, model, pictures, expected, has_batch=has_batch)
        except Exception:  # as above; whatever went wrong, the original graph works
            logger.warning("%s is used without repairs: %r failed.", model.file, name, exc_info=True)
            return b"", untouched
        if not is_same:
            logger.warning("%s is used without repairs: %r changed its results.", model.file, name)
            return b"", untouched
        edited, content = candidate, changed
        graph = Graph(
            model=content,
            has_batch=has_batch,
            takes_pixels=graph.takes_pixels or name == "pixels",
            repairs=(*graph.repairs, name),
        )
    return content, graph


def _is_same(content: bytes, model: _Model, pictures: Pixels, expected: list[Outputs], *, has_batch: bool) -> bool:
    session = _session(content, model)
    if has_batch and not _batches(session, model, pictures, expected):
        return False
    # With a batch, one picture alone shows whether items affect each other; without a batch all are run alone.
    alone = _alone(session, model, pictures[: 1 if has_batch else None])
    return all(map(model.is_same, alone, expected))


def _session(graph: Path | bytes, model: _Model) -> Any:
    """Open the graph for a comparison, on the CPU whatever the pack will run on."""
    return open_session(graph, FaceConfig(packs_dir=model.file.parent), name=model.file.name, threads=1)


def _alone(session: Any, model: _Model, pictures: Pixels) -> list[Outputs]:
    """Return each picture's outputs, (rows, values) each, from separate runs."""
    return [[_rows(output) for output in _run(session, model, picture[None])] for picture in pictures]


def _batches(session: Any, model: _Model, pictures: Pixels, expected: list[Outputs]) -> bool:
    """Return whether one run over all pictures gives the expected outputs for each."""
    if isinstance(session.get_inputs()[0].shape[0], int):
        return False
    outputs = _run(session, model, pictures)
    if any(len(output) != len(pictures) for output in outputs):
        return False
    together = [[_rows(output[index]) for output in outputs] for index in range(len(pictures))]
    return all(map(model.is_same, together, expected))


def _rows(output: NDArray[np.float32]) -> NDArray[np.float32]:
    return output.reshape(-1, output.shape[-1])


def _run(session: Any, model: _Model, pictures: Pixels) -> Outputs:
    taken = session.get_inputs()[0]
    fed = pictures if taken.type == "tensor(uint8)" else _normalised(pictures, model)
    outputs: Outputs = session.run(None, {taken.name: fed})
    return outputs


def _normalised(pictures: Pixels, model: _Model) -> NDArray[np.float32]:
    planes = np.ascontiguousarray(pictures[..., ::-1].transpose(0, 3, 1, 2), np.float32)
    return (planes - np.float32(model.mean)) / np.float32(model.std)


def _detections_are_same(found: Outputs, expected: Outputs) -> bool:
    # Written so that NaN is a difference.
    return all(
        ours.shape == theirs.shape and bool(np.abs(ours - theirs).max() <= MOST_DIFFERENCE)
        for ours, theirs in zip(found, expected, strict=True)
    )


def _embeddings_are_same(found: Outputs, expected: Outputs) -> bool:
    [[ours], [theirs]] = [[row for output in outputs for row in output] for outputs in (found, expected)]
    return bool(ours @ theirs >= LEAST_COSINE * np.linalg.norm(ours) * np.linalg.norm(theirs))


def _pictures(side_pixels: int) -> Pixels:
    """Return pictures with large shapes and fine detail: uint8 BGR (3, side, side, 3), the same ones every time."""
    random = np.random.default_rng(0)
    pictures = np.empty((_PICTURES_COMPARED, side_pixels, side_pixels, 3), np.uint8)
    for picture in pictures:
        shapes = cv2.resize(random.uniform(0, 255, (9, 9, 3)), (side_pixels, side_pixels))
        picture[:] = (shapes + random.normal(0, 20, shapes.shape)).clip(0, 255)
    return pictures


def _resize_factors(candidate: onnx.ModelProto, model: _Model) -> dict[str, NDArray[np.float32]]:
    """Return, by node name, the whole factors by which the graph enlarges when its input has the model's side.

    They are measured by running the graph once with the inputs of its resizes as further outputs.
    """
    watched = _copied(candidate)
    resizes = [node for node in watched.graph.node if node.op_type == "Resize" and len(node.input) == 4]
    del watched.graph.output[:]
    for name in dict.fromkeys(name for node in resizes for name in (node.input[0], node.input[3])):
        watched.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
    if not resizes:
        return {}
    session = _session(watched.SerializeToString(), model)
    names = [output.name for output in session.get_outputs()]
    values = dict(zip(names, _run(session, model, _pictures(model.side_pixels)[:1]), strict=True))
    factors = {node.name: values[node.input[3]] / values[node.input[0]].shape for node in resizes}
    return {name: each.astype(np.float32) for name, each in factors.items() if np.array_equal(each, np.rint(each))}


def _copied(model: onnx.ModelProto) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy
