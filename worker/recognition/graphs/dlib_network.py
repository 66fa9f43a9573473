"""Build the ONNX graph of dlib's face recognition network."""

import numpy as np
from numpy.typing import NDArray

from worker.recognition.graphs.building import GraphBuilder
from worker.recognition.graphs.dlib_layers import BLOCKS, DESCRIPTOR_SIZE, SIDE_PIXELS, Block, Convolution, Network

#: By what dlib's `input_rgb_image` divides a colour, once its average is subtracted.
_COLOUR_RANGE = 256
#: The side of the first block's input, in cells: what 150 pixels become in the first convolution and the pooling.
_FIRST_SIDE = 35


def resnet_graph(network: Network) -> bytes:
    """Return the ONNX file: pixels, uint8 BGR (n, 150, 150, 3), to descriptors, float32 (n, 128).

    Descriptors are not normalised to length 1; neither are dlib's.
    """
    graph = GraphBuilder("resnet", height=SIDE_PIXELS, width=SIDE_PIXELS)
    first, *others = network.convolutions
    x = _convolved(graph, graph.pixels(), _on_pixels(first, network.averages))
    x = graph.node("MaxPool", graph.node("Relu", x), kernel_shape=[3, 3], strides=[2, 2])
    inputs, side = len(first.bias), _FIRST_SIDE
    for block, inner, outer in zip(BLOCKS, others[::2], others[1::2], strict=True):
        x, side = _added_block(graph, x, block, inner, outer, inputs=inputs, side=side)
        inputs = block.channels
    x = graph.node("Flatten", graph.node("GlobalAveragePool", x))
    graph.give(graph.node("MatMul", x, network.matrix, output="descriptors"), ["n", DESCRIPTOR_SIZE])
    return graph.content()


def _on_pixels(first: Convolution, averages: tuple[float, ...]) -> Convolution:
    """Return the first convolution of (RGB - averages) / 256 as one of BGR pixels: exact, as it pads nothing."""
    weights = first.weights / _COLOUR_RANGE
    bias = first.bias - np.einsum("oihw,i->o", weights, np.array(averages))
    return Convolution(weights[:, ::-1], bias, stride=first.stride, padding=first.padding)


def _convolved(graph: GraphBuilder, x: str, convolution: Convolution) -> str:
    sides = [convolution.stride] * 2
    return graph.conv(x, convolution.weights, convolution.bias, strides=sides, pads=[convolution.padding] * 4)


def _added_block(
    graph: GraphBuilder, x: str, block: Block, inner: Convolution, outer: Convolution, *, inputs: int, side: int
) -> tuple[str, int]:
    """Add a block and return its output with its side; x has `inputs` channels and that side.

    dlib's `add_prev` pads whichever of the two is smaller, in channels or sides, with zeros behind its last value.
    """
    y = _convolved(graph, graph.node("Relu", _convolved(graph, x, inner)), outer)
    if block.halves:
        convolved, halved = (side - 3) // 2 + 1, side // 2
        x = graph.node("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2])
        x = _padded(graph, x, channels=block.channels - inputs, sides=0)
        y = _padded(graph, y, channels=0, sides=halved - convolved)
        side = halved
    return graph.node("Relu", graph.node("Add", y, x)), side


def _padded(graph: GraphBuilder, x: str, *, channels: int, sides: int) -> str:
    """Add zeros behind the last channels, rows and columns, if any are wanted."""
    if not channels and not sides:
        return x
    ends: NDArray[np.int64] = np.array([0, 0, 0, 0, 0, channels, sides, sides], np.int64)
    return graph.node("Pad", x, ends)
