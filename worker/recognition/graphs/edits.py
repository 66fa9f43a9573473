"""Rewrites of ONNX graphs that do not change what a graph computes.

Each edit changes the model in place and returns whether it did; it leaves alone what it does not understand. Edits
replace constants instead of changing them, because graphs may share them; `pruned` deletes the old ones.
"""

from collections import defaultdict
from collections.abc import Mapping

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

#: Channels that onnxruntime's CPU convolutions compute at once with AVX-512; a smaller remainder takes as long.
_CHANNEL_BLOCK = 16
#: How an exported SCRFD head transposes (n, channels, h, w) to (h, w, n, channels): right for one picture only.
_ROWS_OF_ONE = [2, 3, 0, 1]
_ROWS_OF_MANY = [0, 2, 3, 1]


def open_batch(model: onnx.ModelProto) -> bool:
    """Make the batch axis open where it was exported as 1: in a SCRFD detector or a plain recognizer.

    A detector's outputs get a batch axis, (n, rows, values), which the published files lack.
    """
    graph = model.graph
    constants = _constants(graph)
    before = {name: node for node in graph.node for name in node.output}
    reshapes = [node for node in graph.node if node.op_type == "Reshape"]
    for node in reshapes:
        turned = before.get(node.input[0])
        shape = constants.get(node.input[1])
        if (
            turned is None
            or turned.op_type != "Transpose"
            or shape is None
            or shape.tolist()[:-1] not in ([-1], [1, -1])
        ):
            return False
        if _attribute(turned, "perm") not in (_ROWS_OF_ONE, _ROWS_OF_MANY):
            return False
        _set_attribute(turned, "perm", _ROWS_OF_MANY)
        node.input[1] = _add_constant(graph, node.output[0] + "_rows", np.array([0, -1, shape[-1]], np.int64))
    taken = _input(graph)
    if taken is None or (not reshapes and not taken.type.tensor_type.shape.dim[0].dim_value):
        return False
    _name_axis(taken, 0)
    for given in graph.output:
        shape_of_output = given.type.tensor_type.shape
        if reshapes:
            width = shape_of_output.dim[-1].dim_value
            given.CopyFrom(helper.make_tensor_value_info(given.name, TensorProto.FLOAT, ["n", None, width]))
        else:
            _name_axis(given, 0)
    return True


def declare_batch(model: onnx.ModelProto) -> bool:
    """Correct an output that is declared for a batch of 1 although the input is open: only the declaration is wrong."""
    taken = _input(model.graph)
    if taken is None or taken.type.tensor_type.shape.dim[0].dim_value:
        return False
    wrong = [given for given in model.graph.output if given.type.tensor_type.shape.dim[0].dim_value]
    for given in wrong:
        _name_axis(given, 0)
    return bool(wrong)


def fix_size(model: onnx.ModelProto, side_pixels: int, factors: Mapping[str, NDArray[np.float32]]) -> bool:
    """Fix the input's height and width, and the factors of the resizes that follow from them, by node name."""
    taken = _input(model.graph)
    resizes = [node for node in model.graph.node if node.op_type == "Resize" and node.name in factors]
    if taken is None or not resizes:
        return False
    for axis in (2, 3):
        taken.type.tensor_type.shape.dim[axis].Clear()
        taken.type.tensor_type.shape.dim[axis].dim_value = side_pixels
    for node in resizes:
        node.input[2] = _add_constant(model.graph, node.output[0] + "_factors", factors[node.name])
        del node.input[3:]
    return True


def merge_siblings(model: onnx.ModelProto) -> bool:
    """Merge convolutions of the same input where rounding up to a block then wastes fewer channels.

    A SCRFD head has three with 2, 8 and 20 channels: 64 channels of work, 32 when merged.
    """
    graph = model.graph
    constants = _constants(graph)
    families: dict[object, list[onnx.NodeProto]] = defaultdict(list)
    for node in graph.node:
        if node.op_type != "Conv" or _attribute(node, "group", 1) != 1:
            continue
        if len(node.input) == 3 and all(name in constants for name in node.input[1:]):
            alike = sorted(attribute.SerializeToString() for attribute in node.attribute)
            families[node.input[0], constants[node.input[1]].shape[1:], tuple(alike)].append(node)
    merged = False
    for family in families.values():
        widths = [len(constants[node.input[1]]) for node in family]
        if _rounded_up(sum(widths)) < sum(map(_rounded_up, widths)):
            _merge(model, family, widths, constants)
            merged = True
    return merged


def _rounded_up(width: int) -> int:
    return -(-width // _CHANNEL_BLOCK) * _CHANNEL_BLOCK


def _merge(
    model: onnx.ModelProto,
    family: list[onnx.NodeProto],
    widths: list[int],
    constants: Mapping[str, NDArray[np.generic]],
) -> None:
    graph = model.graph
    name = family[0].output[0] + "_together"
    whole = onnx.NodeProto()
    whole.CopyFrom(family[0])
    whole.output[0] = name
    for place, part in ((1, "weights"), (2, "bias")):
        stacked = np.concatenate([constants[node.input[place]] for node in family])
        whole.input[place] = _add_constant(graph, f"{name}_{part}", stacked)
    outputs = [node.output[0] for node in family]
    if _opset(model) < 13:
        split = helper.make_node("Split", [name], outputs, axis=1, split=widths)
    else:
        sizes = _add_constant(graph, f"{name}_widths", np.array(widths, np.int64))
        split = helper.make_node("Split", [name, sizes], outputs, axis=1)
    at = list(graph.node).index(family[0])
    for node in family:
        graph.node.remove(node)
    graph.node.insert(at, whole)
    graph.node.insert(at + 1, split)


def spread_prelu(model: onnx.ModelProto) -> bool:
    """Replace PRelu, which onnxruntime's CPU provider lacks in its blocked layout, by operations that it has there.

    prelu(x) = x + (1 - slope) * relu(-x), where the two products are convolutions of one channel each, into which the
    ReLU and the sum are fused. One slope for all channels is a LeakyRelu.
    """
    graph = model.graph
    constants = _constants(graph)
    nodes: list[onnx.NodeProto] = []
    changed = False
    for node in graph.node:
        slopes = constants.get(node.input[1]) if node.op_type == "PRelu" else None
        if slopes is None or slopes.size != max(slopes.shape, default=1) or slopes.shape[-2:] not in ((1, 1), (1,), ()):
            nodes.append(node)
            continue
        changed = True
        nodes += _spread(graph, node.input[0], node.output[0], slopes.astype(np.float32).ravel())
    if changed:
        del graph.node[:]
        graph.node.extend(nodes)
    return changed


def _spread(graph: onnx.GraphProto, x: str, y: str, slopes: NDArray[np.float32]) -> list[onnx.NodeProto]:
    if np.all(slopes == slopes[0]):
        return [helper.make_node("LeakyRelu", [x], [y], alpha=float(slopes[0]))]
    width = len(slopes)
    minus = _add_constant(graph, y + "_minus", np.full((width, 1, 1, 1), -1, np.float32))
    rest = _add_constant(graph, y + "_rest", (1 - slopes).reshape(width, 1, 1, 1))
    return [
        helper.make_node("Conv", [x, minus], [y + "_negated"], group=width, kernel_shape=[1, 1]),
        helper.make_node("Relu", [y + "_negated"], [y + "_below"]),
        helper.make_node("Conv", [y + "_below", rest], [y + "_lift"], group=width, kernel_shape=[1, 1]),
        helper.make_node("Add", [x, y + "_lift"], [y]),
    ]


def take_pixels(model: onnx.ModelProto, *, mean: float, std: float) -> bool:
    """Make the input uint8 BGR pixels (n, h, w, 3) where it was (RGB - mean) / std as (n, 3, h, w).

    The mean is subtracted before the first convolutions, so that their zero padding still means the mean; the division
    and the channels' order go into their weights.
    """
    graph = model.graph
    constants = _constants(graph)
    taken = _input(graph)
    first = [node for node in graph.node if taken is not None and taken.name in node.input]
    if taken is None or not first or not all(_takes_colours(node, constants) for node in first):
        return False
    for node in first:
        weights = constants[node.input[1]].astype(np.float32)[:, ::-1] / np.float32(std)
        node.input[0] = "pixels_centred"
        node.input[1] = _add_constant(graph, node.output[0] + "_bgr", np.ascontiguousarray(weights))
    mean_name = _add_constant(graph, "pixels_mean", np.array(mean, np.float32))
    nodes = [
        helper.make_node("Cast", ["pixels"], ["pixels_float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["pixels_float"], ["pixels_planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Sub", ["pixels_planes", mean_name], ["pixels_centred"]),
        *graph.node,
    ]
    del graph.node[:]
    graph.node.extend(nodes)
    batch, _, height, width = (axis.dim_value or axis.dim_param for axis in taken.type.tensor_type.shape.dim)
    taken.CopyFrom(helper.make_tensor_value_info("pixels", TensorProto.UINT8, [batch, height, width, 3]))
    return True


def _takes_colours(node: onnx.NodeProto, constants: Mapping[str, NDArray[np.generic]]) -> bool:
    weights = constants.get(node.input[1]) if node.op_type == "Conv" else None
    return weights is not None and weights.dtype == np.float32 and weights.ndim == 4 and weights.shape[1] == 3


def pruned(model: onnx.ModelProto) -> onnx.ModelProto:
    """Delete what the outputs do not need, and the recorded shapes in between."""
    graph = model.graph
    needed = {given.name for given in graph.output}
    nodes: list[onnx.NodeProto] = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            needed.update(node.input)
            nodes.append(node)
    kept = [constant for constant in graph.initializer if constant.name in needed]
    inputs = [taken for taken in graph.input if taken.name == _input_name(graph)]
    for repeated, values in ((graph.node, nodes[::-1]), (graph.initializer, kept), (graph.input, inputs)):
        values = [type(value).FromString(value.SerializeToString()) for value in values]
        del repeated[:]
        repeated.extend(values)
    del graph.value_info[:]
    model.ir_version = max(model.ir_version, 4)  # before that, constants had to be inputs as well
    return model


def _input(graph: onnx.GraphProto) -> onnx.ValueInfoProto | None:
    """Return the graph's one real input when it is a batch of pictures."""
    named = [taken for taken in graph.input if taken.name == _input_name(graph)]
    return named[0] if named and len(named[0].type.tensor_type.shape.dim) == 4 else None


def _input_name(graph: onnx.GraphProto) -> str | None:
    constants = {constant.name for constant in graph.initializer}
    names = [taken.name for taken in graph.input if taken.name not in constants]
    return names[0] if len(names) == 1 else None


def _constants(graph: onnx.GraphProto) -> dict[str, NDArray[np.generic]]:
    found = {constant.name: numpy_helper.to_array(constant) for constant in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            found[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
    return found


def _add_constant(graph: onnx.GraphProto, name: str, values: NDArray[np.generic]) -> str:
    graph.initializer.append(numpy_helper.from_array(values, name))
    return name


def _attribute(node: onnx.NodeProto, name: str, otherwise: object = None) -> object:
    for attribute in node.attribute:
        if attribute.name == name:
            return helper.get_attribute_value(attribute)
    return otherwise


def _set_attribute(node: onnx.NodeProto, name: str, value: list[int]) -> None:
    [attribute] = [attribute for attribute in node.attribute if attribute.name == name]
    attribute.ints[:] = value


def _name_axis(value: onnx.ValueInfoProto, axis: int) -> None:
    value.type.tensor_type.shape.dim[axis].Clear()
    value.type.tensor_type.shape.dim[axis].dim_param = "n"


def _opset(model: onnx.ModelProto) -> int:
    return int(next(each.version for each in model.opset_import if each.domain in ("", "ai.onnx")))
