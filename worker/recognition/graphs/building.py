"""Build an ONNX graph node by node; the same calls always give the same bytes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

#: The oldest operator set whose Split, Squeeze and Pad take what we give them, and the file format that came with it.
_OPSET = 13
_IR_VERSION = 7

Axes = Sequence[int | str | None]


class GraphBuilder:
    """A graph that takes uint8 BGR pixels and is built from its input to its outputs.

    A method that adds a node returns the name of the node's output, which is the next node's input.
    """

    def __init__(self, name: str, *, height: int | None, width: int | None) -> None:
        """`height` and `width` in pixels; None for any."""
        self._name = name
        self._pixels = helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["n", height, width, 3])
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []

    def pixels(self) -> str:
        """Return the input as float32 planes (n, 3, h, w), 0..255, blue first."""
        # Transposed as bytes: a quarter of the memory to move.
        return self.node("Cast", self.node("Transpose", "pixels", perm=[0, 3, 1, 2]), to=TensorProto.FLOAT)

    def node(self, operation: str, *inputs: str | NDArray[Any], output: str | None = None, **attributes: Any) -> str:
        """Add a node with one output. Inputs are names, or arrays, which become constants."""
        output = output or self._new_name(operation)
        self._add(operation, inputs, [output], attributes)
        return output

    def split(self, x: str, widths: Sequence[int], *, axis: int) -> list[str]:
        """Add a Split and return the names of its parts."""
        outputs = [self._new_name("Split") + f"_{place}" for place in range(len(widths))]
        self._add("Split", [x, np.array(widths, np.int64)], outputs, {"axis": axis})
        return outputs

    def conv(self, x: str, weights: NDArray[Any], bias: NDArray[Any], **attributes: Any) -> str:
        """Add a convolution, which pads nothing unless `pads` says so.

        Weights (out, in, height, width) and bias (out,) are rounded to float32 here.
        """
        rounded = (weights.astype(np.float32), bias.astype(np.float32))
        return self.node("Conv", x, *rounded, kernel_shape=weights.shape[2:], **attributes)

    def give(self, name: str, axes: Axes) -> None:
        """Declare a node's output as the graph's, float32 of that shape; names and None are open axes."""
        self._outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, axes))

    def content(self) -> bytes:
        """Return the ONNX file."""
        graph = helper.make_graph(self._nodes, self._name, [self._pixels], self._outputs, self._constants)
        opset = helper.make_opsetid("", _OPSET)
        model = helper.make_model(graph, opset_imports=[opset], ir_version=_IR_VERSION, producer_name="facequeue")
        onnx.checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString(deterministic=True))

    def _add(
        self, operation: str, inputs: Sequence[str | NDArray[Any]], outputs: list[str], attributes: dict[str, Any]
    ) -> None:
        names = [each if isinstance(each, str) else self._constant(each) for each in inputs]
        self._nodes.append(helper.make_node(operation, names, outputs, **attributes))

    def _constant(self, values: NDArray[Any]) -> str:
        name = f"constant_{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def _new_name(self, operation: str) -> str:
        return f"{operation.lower()}_{len(self._nodes)}"
