"""Packs made for tests: tiny ONNX graphs with the interfaces of InsightFace's models and none of their knowledge.

The detector takes any bright square for a face: a box of eight strides around every anchor that lies in it, with
landmarks as in ArcFace's template. The recognizer is one random projection of a shrunken crop.
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from worker.recognition.alignment import ARCFACE

_STRIDES = (8, 16, 32)
_ANCHORS = 2
#: Distances of a box's edges from its anchor, in strides, on the only level that ever fires.
HALF_SIDE_STRIDES = 4.0
FIRING_STRIDE = 16
DIMENSION = 512


def make_pack(folder: Path, *, seed: int = 1, batch: str | int = "n") -> Path:
    """Write det.onnx and rec.onnx into the folder, with a model between them that no pack loader should touch."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "det.onnx").write_bytes(detector_graph())
    (folder / "genderage.onnx").write_bytes(recognizer_graph(seed=seed, side=96))
    (folder / "rec.onnx").write_bytes(recognizer_graph(seed=seed, batch=batch))
    return folder


def detector_graph(*, landmarks: bool = True) -> bytes:
    """Return a graph like SCRFD's: input (1, 3, h, w); for each stride scores, then boxes, then landmarks."""
    heads = ["score", "box", "points"] if landmarks else ["score", "box"]
    nodes: list[onnx.NodeProto] = [helper.make_node("ReduceMean", ["input.1"], ["grey"], axes=[1], keepdims=1)]
    initializers: list[onnx.TensorProto] = []
    for stride in _STRIDES:
        nodes += _level(stride, heads, initializers)
    outputs = [
        helper.make_tensor_value_info(f"{head}_{stride}", TensorProto.FLOAT, ["k", width])
        for head, width in zip(heads, (1, 4, 10), strict=False)
        for stride in _STRIDES
    ]
    return _model(nodes, initializers, [1, 3, "h", "w"], outputs)


def _level(stride: int, heads: list[str], initializers: list[onnx.TensorProto]) -> list[onnx.NodeProto]:
    template = (ARCFACE.template - 56.0) / 56.0 * HALF_SIDE_STRIDES
    values = {"box": np.full(4, HALF_SIDE_STRIDES), "points": template.ravel()}
    bias = -18.0 if stride == FIRING_STRIDE else -100.0
    initializers += [
        numpy_helper.from_array(np.full((_ANCHORS, 1, 1, 1), 20.0, np.float32), f"gain_{stride}"),
        numpy_helper.from_array(np.full(_ANCHORS, bias, np.float32), f"bias_{stride}"),
        numpy_helper.from_array(np.array([-1, 1], np.int64), f"column_{stride}"),
    ]
    pool = {"kernel_shape": [stride, stride], "strides": [stride, stride]}
    nodes = [
        helper.make_node("AveragePool", ["grey"], [f"mean_{stride}"], **pool),
        helper.make_node("Conv", [f"mean_{stride}", f"gain_{stride}", f"bias_{stride}"], [f"raw_{stride}"]),
        helper.make_node("Transpose", [f"raw_{stride}"], [f"last_{stride}"], perm=[0, 2, 3, 1]),
        helper.make_node("Reshape", [f"last_{stride}", f"column_{stride}"], [f"logit_{stride}"]),
        helper.make_node("Sigmoid", [f"logit_{stride}"], [f"score_{stride}"]),
        helper.make_node("Sub", [f"logit_{stride}", f"logit_{stride}"], [f"zero_{stride}"]),
    ]
    for head in heads[1:]:
        constant = values[head].astype(np.float32)[None]
        initializers.append(numpy_helper.from_array(constant, f"{head}_value_{stride}"))
        nodes.append(helper.make_node("Add", [f"zero_{stride}", f"{head}_value_{stride}"], [f"{head}_{stride}"]))
    return nodes


def recognizer_graph(*, seed: int, side: int = 112, batch: str | int = "n") -> bytes:
    """Return a graph like ArcFace's: input (n, 3, side, side), output (n, 512), not of unit length."""
    weights = np.random.RandomState(seed).standard_normal((3 * (side // 8) ** 2, DIMENSION)).astype(np.float32)
    nodes = [
        helper.make_node("AveragePool", ["input.1"], ["small"], kernel_shape=[8, 8], strides=[8, 8]),
        helper.make_node("Flatten", ["small"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["683"]),
    ]
    output = helper.make_tensor_value_info("683", TensorProto.FLOAT, [batch, DIMENSION])
    return _model(nodes, [numpy_helper.from_array(weights, "weights")], [batch, 3, side, side], [output])


def _model(
    nodes: list[onnx.NodeProto],
    initializers: list[onnx.TensorProto],
    input_shape: list[str | int],
    outputs: list[onnx.ValueInfoProto],
) -> bytes:
    taken = helper.make_tensor_value_info("input.1", TensorProto.FLOAT, input_shape)
    graph = helper.make_graph(nodes, "synthetic", [taken], outputs, initializer=initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))
