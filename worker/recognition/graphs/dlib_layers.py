"""Read dlib's face recognition network, a ResNet of 29 convolutions, from its serialised form.

The file does not say how its layers are connected: dlib knows that from a C++ type, `anet_type` in dlib's
examples/dnn_face_recognition_ex.cpp. So every layer's version, name, sizes and strides are checked against that type.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from worker.recognition.graphs.dlib_reading import DlibReader

#: The side of the crop that the network was trained on, and the number of values that it returns.
SIDE_PIXELS = 150
DESCRIPTOR_SIZE = 128
#: An affine layer with one gamma and one beta for each channel, in dlib's `layer_mode`.
_MODE_OF_CONVOLUTIONS = 0
#: A matrix without a bias, in dlib's `fc_bias_mode`.
_WITHOUT_BIAS = 1


@dataclass(frozen=True, slots=True)
class Block:
    """Two convolutions of 3 x 3, whose result is added to the block's input.

    Where it `halves`, the first one has stride 2, and the input is halved by an average pooling of 2 x 2.
    """

    channels: int
    halves: bool = False


#: From the input to the output; before them a convolution of 7 x 7 and a maximum pooling of 3 x 3, both of stride 2.
BLOCKS = (
    *(Block(32), Block(32), Block(32)),
    *(Block(64, halves=True), Block(64), Block(64), Block(64)),
    *(Block(128, halves=True), Block(128), Block(128)),
    *(Block(256, halves=True), Block(256), Block(256)),
    Block(256, halves=True),
)


@dataclass(frozen=True, slots=True)
class Convolution:
    """A convolution, the affine layer behind it folded in: weights (out, in, height, width), bias (out,), in pixels."""

    weights: NDArray[np.float64]
    bias: NDArray[np.float64]
    stride: int
    padding: int


@dataclass(frozen=True, slots=True)
class Network:
    """What the file says.

    averages: of red, green and blue, 0..255. convolutions: from the input to the output, the first one followed by two
    for each block. matrix: (channels, values), applied to the average over the last block's output.
    """

    averages: tuple[float, ...]
    convolutions: tuple[Convolution, ...]
    matrix: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Layer:
    """One layer of the type: its name in the file and its sizes. A mark (a tag or a skip) has a version only."""

    name: str
    channels: int = 0
    side: int = 0
    stride: int = 0

    @property
    def is_mark(self) -> bool:
        return self.name in ("tag", "skip")


def read_network(content: bytes, file: str) -> Network:
    """Return the network in dlib_face_recognition_resnet_model_v1.dat; `file` is its name, for the errors.

    Takes tenths of a second. Raises PackDamaged for any other content.
    """
    reader = DlibReader(content, file)
    layers = _layers()
    reader.expect(1, what="the network's version")
    reader.expect_text("loss_metric_2")
    reader.number()  # the margin and the threshold of the loss: only training needs them
    reader.number()
    # A layer holds everything below it between its version and its values, so versions come from the output inwards ...
    for layer in layers[:0:-1]:
        reader.expect(1 if layer.is_mark else 2, what="a layer's version")
    reader.expect(3, what="the version of the layer on the input")
    averages = _averages(reader)
    convolutions: list[Convolution] = []
    matrix = np.empty((0, 0), np.float32)
    # ... and values from the input outwards.
    for place, layer in enumerate(layers):
        if layer.is_mark:
            continue
        reader.expect_text(layer.name)
        if layer.name == "con_4":
            convolutions.append(_convolution(reader, layer, inputs=len(convolutions[-1].bias) if convolutions else 3))
        elif layer.name == "affine_":
            convolutions[-1] = _with_affine(reader, convolutions[-1])
        elif layer.name in ("max_pool_2", "avg_pool_2"):
            reader.expect(layer.side, layer.side, layer.stride, layer.stride, 0, 0, what="a pooling's size")
        elif layer.name == "fc_2":
            matrix = _matrix(reader, inputs=len(convolutions[-1].bias))
        _skip_training(reader)
        if place == 0:
            reader.integer()  # how many crops make one sample
    reader.end()
    return Network(averages=averages, convolutions=tuple(convolutions), matrix=matrix)


def _layers() -> list[_Layer]:
    """Return the type's layers from the input to the output."""
    relu, affine, tag = _Layer("relu_"), _Layer("affine_"), _Layer("tag")
    layers = [_Layer("con_4", 32, side=7, stride=2), affine, relu, _Layer("max_pool_2", side=3, stride=2)]
    for block in BLOCKS:
        layers += [tag, _Layer("con_4", block.channels, side=3, stride=2 if block.halves else 1), affine, relu]
        layers += [_Layer("con_4", block.channels, side=3, stride=1), affine]
        if block.halves:
            layers += [tag, _Layer("skip"), _Layer("avg_pool_2", side=2, stride=2)]
        layers += [_Layer("add_prev_"), relu]
    return [*layers, _Layer("avg_pool_2", side=0, stride=1), _Layer("fc_2")]


def _averages(reader: DlibReader) -> tuple[float, ...]:
    reader.expect_text("input_rgb_image_sized")
    averages = tuple(reader.number() for _ in range(3))
    if not all(0 <= average <= 255 for average in averages):
        raise reader.damage("the average of a colour is not between 0 and 255")
    reader.expect(SIDE_PIXELS, SIDE_PIXELS, what="the size of the input")
    return averages


def _convolution(reader: DlibReader, layer: _Layer, *, inputs: int) -> Convolution:
    values = reader.tensor().ravel()
    padding = 0 if layer.stride > 1 else layer.side // 2
    sizes = (layer.channels, layer.side, layer.side, layer.stride, layer.stride, padding, padding)
    reader.expect(*sizes, what="a convolution's filters, sides, strides and padding")
    shape = (layer.channels, inputs, layer.side, layer.side)
    reader.expect_parts(values.size, shape, (1, layer.channels, 1, 1))
    for _ in range(4):
        reader.number()  # how fast its values are learnt
    weights, bias = np.split(values.astype(np.float64), [-layer.channels])
    return Convolution(weights.reshape(shape), bias, stride=layer.stride, padding=padding)


def _with_affine(reader: DlibReader, convolution: Convolution) -> Convolution:
    """Read an affine layer, gamma * x + beta, and return the convolution that does both."""
    channels = len(convolution.bias)
    values = reader.tensor().ravel()
    reader.expect_parts(values.size, (1, channels, 1, 1), (1, channels, 1, 1))
    reader.expect(_MODE_OF_CONVOLUTIONS, what="an affine layer's mode")
    gamma, beta = np.split(values.astype(np.float64), 2)
    return Convolution(
        convolution.weights * gamma[:, None, None, None],
        convolution.bias * gamma + beta,
        stride=convolution.stride,
        padding=convolution.padding,
    )


def _matrix(reader: DlibReader, *, inputs: int) -> NDArray[np.float32]:
    reader.expect(DESCRIPTOR_SIZE, inputs, what="the matrix's size")
    values = reader.tensor().ravel()
    reader.expect_parts(values.size, (inputs, DESCRIPTOR_SIZE, 1, 1), (0, 0, 0, 0))
    reader.expect(_WITHOUT_BIAS, what="the matrix's mode")
    for _ in range(4):
        reader.number()
    return values.reshape(inputs, DESCRIPTOR_SIZE)


def _skip_training(reader: DlibReader) -> None:
    """Read what every layer keeps for training: three flags, two gradients, and the last output."""
    for _ in range(3):
        reader.truth()
    for _ in range(3):
        reader.tensor()
