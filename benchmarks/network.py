"""Builds the ONNX graph of a network layer by layer, with random weights."""

import math
from collections.abc import Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper


class Net:
    """A graph being built: each method adds a layer and returns the name of its output."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self.channels = {"input.1": 3}

    def constant(self, values: object, dtype: type = np.float32) -> str:
        name = f"constant_{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def add(self, kind: str, *inputs: str, **attributes: object) -> str:
        name = f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        self.channels[name] = self.channels.get(inputs[0], 0)
        return name

    def conv(
        self, x: str, width: int, *, kernel: int = 3, stride: int = 1, groups: int = 1, pad: int | None = None,
        gain: float = 1.0, bias: NDArray[np.float32] | None = None,
    ) -> str:  # fmt: skip
        """Add a convolution with He initialisation, which preserves the mean square through ReLUs, times `gain`."""
        per_group = self.channels[x] // groups
        weights = self.random.standard_normal((width, per_group, kernel, kernel), np.float32)
        weights *= gain * math.sqrt(2 / (per_group * kernel * kernel))
        if bias is None:
            bias = self.random.normal(0, 0.05, width)
        around = kernel // 2 if pad is None else pad
        name = self.add(
            "Conv", x, self.constant(weights), self.constant(bias), group=groups, kernel_shape=[kernel] * 2,
            strides=[stride] * 2, pads=[around] * 4, dilations=[1, 1],
        )  # fmt: skip
        self.channels[name] = width
        return name

    def relu(self, x: str) -> str:
        return self.add("Relu", x)

    def prelu(self, x: str) -> str:
        """Add a PRelu with slopes around 0.25, where training starts; a few are negative."""
        slopes = self.random.normal(0.25, 0.15, (self.channels[x], 1, 1))
        return self.add("PRelu", x, self.constant(slopes))

    def norm(self, x: str, *, name: str | None = None) -> str:
        """Add a batch norm that does not follow a convolution, so the published files have it too."""
        width = self.channels[x]
        scale, variance = self.random.uniform(0.8, 1.2, (2, width))
        bias, mean = self.random.normal(0, 0.1, (2, width))
        parameters = [self.constant(each) for each in (scale, bias, mean, variance)]
        output = self.add("BatchNormalization", x, *parameters, epsilon=1e-5)
        if name:
            self.nodes[-1].name = name
        return output

    def linear(self, x: str, inputs: int, width: int) -> str:
        weights = self.random.standard_normal((width, inputs), np.float32) / np.float32(math.sqrt(inputs))
        bias = self.random.normal(0, 0.05, width)
        name = self.add("Gemm", x, self.constant(weights), self.constant(bias), transB=1)
        self.channels[name] = width
        return name

    def model(self, shape: Sequence[int | str], outputs: Sequence[tuple[str, Sequence[int | str]]]) -> onnx.ModelProto:
        taken = helper.make_tensor_value_info("input.1", TensorProto.FLOAT, shape)
        given = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs]
        graph = helper.make_graph(self.nodes, "torch-jit-export", [taken], given, initializer=self.initializers)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=6)
