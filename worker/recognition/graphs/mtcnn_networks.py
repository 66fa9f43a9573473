"""Build the ONNX graphs of MTCNN's three networks from the weights in the Python package mtcnn.

K. Zhang, Z. Zhang, Z. Li, Y. Qiao: Joint Face Detection and Alignment Using Multitask Cascaded Convolutional Networks
(2016). Layers and the order of the weights are those of mtcnn/network/{pnet,rnet,onet}.py in version 1.0.0.

Every graph takes uint8 BGR pixels (n, h, w, 3). Convolutions pad nothing, so (RGB - 127.5) / 128, on which the networks
were trained, folds exactly into the first one. Of the softmax over "no face" and "face" only the second value is
wanted: it is the sigmoid of the difference of both, and the difference folds into the last layer.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from worker.errors import PackDamaged
from worker.recognition.graphs.building import GraphBuilder
from worker.recognition.graphs.joblib_arrays import read_arrays

_MEAN = 127.5
_DEVIATION = 128
#: The published files unpack to 27,450, 401,770 and 1,557,530 bytes.
_MOST_BYTES = 4_000_000
_BOX = ("boxes", 4)
_LANDMARKS = ("landmarks", 10)


@dataclass(frozen=True, slots=True)
class _Layer:
    """A convolution of side x side, its PReLU, and a maximum pooling with stride 2 where `pool` is its side.

    padding: TensorFlow's VALID pads nothing; SAME pads so that no row is left out, for these sizes at the end only.
    """

    channels: int
    side: int
    pool: int = 0
    padding: str = "VALID"


@dataclass(frozen=True, slots=True)
class _Crops:
    """What R-Net and O-Net have beyond P-Net: a fixed input, and one layer on all cells of the last convolution."""

    name: str
    side_pixels: int
    layers: tuple[_Layer, ...]
    cells: int
    width: int
    heads: tuple[tuple[str, int], ...]


_PROPOSAL = (_Layer(10, 3, 2, "SAME_UPPER"), _Layer(16, 3), _Layer(32, 3))
_REFINEMENT = _Crops(
    name="r_net",
    side_pixels=24,
    layers=(_Layer(28, 3, 3, "SAME_UPPER"), _Layer(48, 3, 3), _Layer(64, 2)),
    cells=3,
    width=128,
    heads=(_BOX,),
)
_OUTPUT = _Crops(
    name="o_net",
    side_pixels=48,
    layers=(_Layer(32, 3, 3, "SAME_UPPER"), _Layer(64, 3, 3), _Layer(64, 3, 2, "SAME_UPPER"), _Layer(128, 2)),
    cells=3,
    width=256,
    heads=(_BOX, _LANDMARKS),
)


def proposal_graph(content: bytes, file: str) -> bytes:
    """Return the ONNX file of P-Net from the content of pnet.lz4; `file` is its name, for the errors.

    Pixels (n, h, w, 3), at least 12 x 12, to `faces` (n, h', w'), the probability that a cell's square holds a face,
    and `boxes` (n, h', w', 4): x1 y1 x2 y2 as offsets in sides of the square. Raises PackDamaged for other content.
    """
    weights = _Weights(content, file)
    graph = GraphBuilder("p_net", height=None, width=None)
    x = _features(graph, weights, _PROPOSAL)
    kernel, bias = weights.heads((1, 1, _PROPOSAL[-1].channels), (_BOX,))
    weights.end()
    boxes, faces = graph.split(graph.conv(x, kernel.transpose(3, 2, 0, 1), bias), [_BOX[1], 1], axis=1)
    cells = ["n", "rows", "columns"]
    graph.give(graph.node("Sigmoid", graph.node("Squeeze", faces, np.array([1])), output="faces"), cells)
    graph.give(graph.node("Transpose", boxes, perm=[0, 2, 3, 1], output="boxes"), [*cells, _BOX[1]])
    return graph.content()


def refinement_graph(content: bytes, file: str) -> bytes:
    """Return the ONNX file of R-Net from the content of rnet.lz4.

    Pixels (n, 24, 24, 3) to `faces` (n,) and `boxes` (n, 4), else as `proposal_graph`.
    """
    return _crops_graph(_REFINEMENT, content, file)


def output_graph(content: bytes, file: str) -> bytes:
    """Return the ONNX file of O-Net from the content of onet.lz4.

    Pixels (n, 48, 48, 3) to `faces` (n,), `boxes` (n, 4) and `landmarks` (n, 10), x1..x5 y1..y5 in sides of the square,
    else as `proposal_graph`.
    """
    return _crops_graph(_OUTPUT, content, file)


def _crops_graph(network: _Crops, content: bytes, file: str) -> bytes:
    weights = _Weights(content, file)
    graph = GraphBuilder(network.name, height=network.side_pixels, width=network.side_pixels)
    x = _dense(graph, weights, _features(graph, weights, network.layers), network)
    kernel, bias = weights.heads((network.width,), network.heads)
    weights.end()
    names, widths = zip(*network.heads, strict=True)
    *values, faces = graph.split(graph.node("Gemm", x, kernel, bias), [*widths, 1], axis=1)
    graph.give(graph.node("Sigmoid", graph.node("Squeeze", faces, np.array([1])), output="faces"), ["n"])
    for name, width, value in zip(names, widths, values, strict=True):
        graph.give(graph.node("Identity", value, output=name), ["n", width])
    return graph.content()


def _features(graph: GraphBuilder, weights: "_Weights", layers: tuple[_Layer, ...]) -> str:
    """Add the convolutions and return the last one's output, (n, channels, rows, columns)."""
    x, inputs = graph.pixels(), 3
    for place, layer in enumerate(layers):
        kernel = weights.take(layer.side, layer.side, inputs, layer.channels).astype(np.float64)
        bias = weights.take(layer.channels).astype(np.float64)
        if place == 0:
            kernel, bias = _on_pixels(kernel, bias)
        x = graph.conv(x, kernel.transpose(3, 2, 0, 1), bias)
        x = graph.node("PRelu", x, weights.take(1, 1, layer.channels).reshape(-1, 1, 1))
        if layer.pool:
            x = graph.node("MaxPool", x, kernel_shape=[layer.pool] * 2, strides=[2, 2], auto_pad=layer.padding)
        inputs = layer.channels
    return x


def _on_pixels(
    kernel: NDArray[np.float64], bias: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the first convolution (height, width, RGB, out) of normalised pixels as one of BGR pixels."""
    scaled = kernel / _DEVIATION
    return scaled[:, :, ::-1], bias - _MEAN * scaled.sum(axis=(0, 1, 2))


def _dense(graph: GraphBuilder, weights: "_Weights", x: str, network: _Crops) -> str:
    """Add the layer on all cells and its PReLU.

    The package's kernel takes the values of the cells column by column, (columns, rows, channels); ours takes them as
    they lie in memory here, (channels, rows, columns).
    """
    channels = network.layers[-1].channels
    kernel = weights.take(network.cells**2 * channels, network.width)
    kernel = kernel.reshape(network.cells, network.cells, channels, -1).transpose(2, 1, 0, 3)
    kernel = kernel.reshape(-1, network.width)
    x = graph.node("Gemm", graph.node("Flatten", x), kernel, weights.take(network.width))
    return graph.node("PRelu", x, weights.take(network.width))


class _Weights:
    """The arrays of one file, taken in their order; each must have the shape that the network needs."""

    def __init__(self, content: bytes, file: str) -> None:
        self._file = file
        self._arrays = read_arrays(content, file, most_bytes=_MOST_BYTES)
        self._taken = 0

    def take(self, *shape: int) -> NDArray[np.float32]:
        """Return the next array. Raises PackDamaged for one of another shape, or when there is none."""
        found = self._arrays[self._taken].shape if self._taken < len(self._arrays) else None
        self._taken += 1
        if found != shape:
            raise PackDamaged(
                f"{self._file} cannot be converted: array {self._taken} has the shape {found} where {shape} was "
                "expected."
            )
        return self._arrays[self._taken - 1]

    def heads(
        self, inputs: tuple[int, ...], heads: tuple[tuple[str, int], ...]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the last layers' kernels (*inputs, out) and biases as one: the heads', then the faces' difference."""
        pairs = [(self.take(*inputs, width), self.take(width)) for _, width in heads]
        kernel, bias = self.take(*inputs, 2), self.take(2)
        pairs.append((np.diff(kernel), np.diff(bias)))
        kernels, biases = zip(*pairs, strict=True)
        return np.concatenate(kernels, axis=-1), np.concatenate(biases)

    def end(self) -> None:
        """Check that no array is left."""
        if self._taken != len(self._arrays):
            raise PackDamaged(
                f"{self._file} cannot be converted: it holds {len(self._arrays)} arrays where {self._taken} were "
                "expected."
            )
