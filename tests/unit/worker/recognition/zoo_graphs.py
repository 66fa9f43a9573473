"""A pack made for tests with the interfaces of YuNet and SFace and none of their knowledge.

The detector takes any place that is brightly blue for a face, and makes box and landmarks of the colours there: so a
wrong order of channels, of outputs or of points shows. The recognizer is one random projection of a shrunken crop.
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

DETECTOR = "face_detection_yunet_2023mar.onnx"
RECOGNIZER = "face_recognition_sface_2021dec.onnx"
STRIDES = (8, 16, 32)
DIMENSION = 128

#: Values of each head at each place.
_WIDTHS = {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}


def make_zoo_pack(folder: Path, *, side: int | str = 640, batch: int | str = 1) -> Path:
    """Write both files under OpenCV Zoo's names; by default with the fixed shapes that are published."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / DETECTOR).write_bytes(yunet_graph(side=side, batch=batch))
    (folder / RECOGNIZER).write_bytes(sface_graph(batch=batch))
    return folder


def yunet_graph(*, side: int | str = 640, batch: int | str = 1, seed: int = 3) -> bytes:
    """Return a graph like YuNet's: input (batch, 3, side, side); 12 outputs (batch, places, 1 or 4 or 10)."""
    random = np.random.RandomState(seed)
    nodes: list[onnx.NodeProto] = []
    initializers: list[onnx.TensorProto] = []
    for stride in STRIDES:
        pool = {"kernel_shape": [stride, stride], "strides": [stride, stride]}
        nodes.append(helper.make_node("AveragePool", ["input"], [f"mean_{stride}"], **pool))
        for head, width in _WIDTHS.items():
            nodes += _head(f"{head}_{stride}", *_colour_weights(head, width, random), initializers)
    outputs = [
        helper.make_tensor_value_info(f"{head}_{stride}", TensorProto.FLOAT, [batch, f"places_{stride}", width])
        for head, width in _WIDTHS.items()
        for stride in STRIDES
    ]
    shape = [batch, 3, side, side] if isinstance(side, int) else [batch, 3, "height", "width"]
    return _model(nodes, initializers, "input", shape, outputs)


def _colour_weights(head: str, width: int, random: np.random.RandomState) -> tuple[np.ndarray, np.ndarray]:
    gains = random.uniform(-1, 1, (width, 3, 1, 1)) / 255
    biases = random.uniform(-1, 1, width)
    if head in ("cls", "obj"):  # a half at a blue of 200, and no two places quite alike
        gains[0, :, 0, 0] = (0.06, 0.005, -0.005)
        biases = np.array([-12.0])
    elif head == "bbox":
        biases[2:] += 1.0  # a side of e strides and more
    return gains.astype(np.float32), biases.astype(np.float32)


def _head(
    name: str, gains: np.ndarray, biases: np.ndarray, initializers: list[onnx.TensorProto]
) -> list[onnx.NodeProto]:
    stride = name.partition("_")[2]
    initializers += [
        numpy_helper.from_array(gains, f"{name}_gains"),
        numpy_helper.from_array(biases, f"{name}_biases"),
        numpy_helper.from_array(np.array([0, -1, len(biases)], np.int64), f"{name}_rows"),
    ]
    is_score = name.startswith(("cls", "obj"))
    nodes = [
        helper.make_node("Conv", [f"mean_{stride}", f"{name}_gains", f"{name}_biases"], [f"{name}_raw"]),
        helper.make_node("Transpose", [f"{name}_raw"], [f"{name}_last"], perm=[0, 2, 3, 1]),
        helper.make_node("Reshape", [f"{name}_last", f"{name}_rows"], [f"{name}_logit" if is_score else name]),
    ]
    return [*nodes, helper.make_node("Sigmoid", [f"{name}_logit"], [name])] if is_score else nodes


def sface_graph(*, batch: int | str = 1, seed: int = 5) -> bytes:
    """Return a graph like SFace's: input (batch, 3, 112, 112), output (batch, 128), not of unit length."""
    weights = np.random.RandomState(seed).standard_normal((3 * 14 * 14, DIMENSION)).astype(np.float32)
    nodes = [
        helper.make_node("AveragePool", ["data"], ["small"], kernel_shape=[8, 8], strides=[8, 8]),
        helper.make_node("Flatten", ["small"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["fc1"]),
    ]
    output = helper.make_tensor_value_info("fc1", TensorProto.FLOAT, [batch, DIMENSION])
    initializers = [numpy_helper.from_array(weights, "weights")]
    return _model(nodes, initializers, "data", [batch, 3, 112, 112], [output])


def _model(
    nodes: list[onnx.NodeProto],
    initializers: list[onnx.TensorProto],
    input_name: str,
    input_shape: list[int | str],
    outputs: list[onnx.ValueInfoProto],
) -> bytes:
    taken = helper.make_tensor_value_info(input_name, TensorProto.FLOAT, input_shape)
    graph = helper.make_graph(nodes, "zoo", [taken], outputs, initializer=initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))
