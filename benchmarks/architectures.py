"""The networks of the published face packs as ONNX graphs: real layers and interfaces, random weights.

Written from the public configurations of SCRFD (MobileNetV1 and ResNetV1e backbones, PAFPN, SCRFDHead) and of ArcFace
(MobileFaceNet, IResNet-50). As in the published files, batch norms that follow a convolution are folded into it, the
detector's heads end in a transposition that is only correct for one picture, and PRelu has one slope per channel.
`thin` divides every width, to make graphs that tests can run quickly.
"""

from collections.abc import Sequence

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from benchmarks.network import Net
from benchmarks.scenes import FACE_SIDES_PIXELS, MARKERS, STRIDES, planted_crops
from worker.recognition.alignment import ARCFACE

#: An anchor sees the mean colour of a square with this side, in pixels, around its centre.
_SEEN_PIXELS = 4
#: The logit of a pure marker, and the distance (red + green + blue, in levels) at which the logit is 0.
_PURE_LOGIT, _TOLERATED_LEVELS = 6.0, 45.0
#: How much the random heads move logits, and distances in strides: enough for every layer to affect the outputs.
_HEAD_DEVIATION = 0.005

_DIMENSION = 512


# ---------------------------------------------------------------------------------------------------------- detectors


def scrfd_500m(*, seed: int, thin: int = 1) -> onnx.ModelProto:
    """SCRFD-500M with landmarks: input (1, 3, h, w), (RGB - 127.5) / 128; nine outputs, scores first."""
    net = Net(seed)
    planes = [max(2, width // thin) for width in (16, 16, 40, 72, 152, 288)]
    x = _separable(net, net.relu(net.conv("input.1", planes[0], stride=2)), planes[1])
    levels = []
    for width, blocks in zip(planes[2:], (2, 3, 2, 6), strict=True):
        for block in range(blocks):
            x = _separable(net, x, width, stride=2 if block == 0 else 1)
        levels.append(x)
    pyramid = _pafpn(net, levels[1:], max(2, 16 // thin))
    towers = [_tower(net, x, max(2, 64 // thin), separable=2) for x in pyramid]
    return _with_heads(net, towers, scaled=False)


def scrfd_10g(*, seed: int, thin: int = 1) -> onnx.ModelProto:
    """SCRFD-10G with landmarks; the same interface as SCRFD-500M."""
    net = Net(seed)
    stem = 56 // thin
    x = net.relu(net.conv("input.1", stem // 2, stride=2))
    x = net.relu(net.conv(net.relu(net.conv(x, stem // 2)), stem))
    x = net.add("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    levels = []
    for stage, (width, blocks) in enumerate(zip((56, 88, 88, 224), (3, 4, 2, 3), strict=True)):
        for block in range(blocks):
            x = _basic_block(net, x, width // thin, stride=2 if stage and block == 0 else 1)
        levels.append(x)
    pyramid = _pafpn(net, levels[1:], 56 // thin)
    towers = [_tower(net, x, 80 // thin, plain=3) for x in pyramid]
    return _with_heads(net, towers, scaled=True)


def _separable(net: Net, x: str, width: int, *, stride: int = 1) -> str:
    x = net.relu(net.conv(x, net.channels[x], stride=stride, groups=net.channels[x]))
    return net.relu(net.conv(x, width, kernel=1))


def _basic_block(net: Net, x: str, width: int, *, stride: int) -> str:
    shortcut = x
    if stride != 1 or net.channels[x] != width:
        if stride != 1:
            shortcut = net.add("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1)
        shortcut = net.conv(shortcut, width, kernel=1, gain=0.7)
    inner = net.relu(net.conv(x, width, stride=stride))
    return net.relu(net.add("Add", net.conv(inner, width, gain=0.5), shortcut))


def _pafpn(net: Net, levels: Sequence[str], width: int) -> list[str]:
    """Merge the levels, finest first, downwards and upwards again, like mmdetection's PAFPN."""
    merged = [net.conv(x, width, kernel=1) for x in levels]
    for fine in (1, 0):
        merged[fine] = net.add("Add", merged[fine], _enlarged(net, merged[fine + 1], like=merged[fine]))
    merged = [net.conv(x, width, gain=0.7) for x in merged]
    for coarse in (1, 2):
        merged[coarse] = net.add("Add", merged[coarse], net.conv(merged[coarse - 1], width, stride=2, gain=0.7))
    return [merged[0], *(net.conv(x, width, gain=0.7) for x in merged[1:])]


def _enlarged(net: Net, x: str, *, like: str) -> str:
    """Resize to another tensor's height and width through its shape, as the exporter writes `interpolate(size=...)`."""
    first_axes, last_axes = (_slice(net, net.add("Shape", name), *ends) for name, ends in ((x, (0, 2)), (like, (2, 4))))
    sizes = net.add("Concat", first_axes, last_axes, axis=0)
    output = net.add(
        "Resize", x, net.constant([]), net.constant([]), sizes, mode="nearest", nearest_mode="floor",
        coordinate_transformation_mode="asymmetric", cubic_coeff_a=-0.75,
    )  # fmt: skip
    net.channels[output] = net.channels[x]
    return output


def _slice(net: Net, x: str, start: int, end: int) -> str:
    return net.add("Slice", x, *(net.constant([value], np.int64) for value in (start, end, 0)))


def _tower(net: Net, x: str, width: int, *, separable: int = 0, plain: int = 0) -> str:
    for _ in range(separable):
        x = _separable(net, x, width)
    for _ in range(plain):
        x = net.relu(net.conv(x, width))
    return x


def _with_heads(net: Net, towers: Sequence[str], *, scaled: bool) -> onnx.ModelProto:
    """End each level in scores, boxes and landmarks: planted values, which the random heads move slightly.

    Distances, in strides, are the biases of the last convolutions; a score comes from the colour at the anchor.
    """
    scores, boxes, points = [], [], []
    for x, stride, sides, markers in zip(towers, STRIDES, FACE_SIDES_PIXELS, MARKERS, strict=True):
        half_sides = [side / 2 / stride for side in sides]
        template = (ARCFACE.template.ravel() - 56) / 56
        random_logits = net.conv(x, 2, gain=_HEAD_DEVIATION, bias=np.zeros(2))
        logits = net.add("Add", random_logits, _marker_logits(net, stride, markers))
        distances = net.conv(x, 8, gain=_HEAD_DEVIATION, bias=np.repeat(half_sides, 4))
        if scaled:
            distances = net.add("Mul", distances, net.constant(1.0))
        reach = net.conv(x, 20, gain=_HEAD_DEVIATION, bias=np.outer(half_sides, template).ravel())
        scores.append(net.add("Sigmoid", _rows(net, logits, 1)))
        boxes.append(_rows(net, distances, 4))
        points.append(_rows(net, reach, 10))
    widths = [1] * 3 + [4] * 3 + [10] * 3
    outputs = zip(scores + boxes + points, widths, strict=True)
    return net.model([1, 3, "?", "?"], [(name, [f"rows_{name}", width]) for name, width in outputs])


def _rows(net: Net, x: str, width: int) -> str:
    """Return one row per anchor. Correct for one picture only: the rows of several would be interleaved."""
    last = net.add("Transpose", x, perm=[2, 3, 0, 1])
    return net.add("Reshape", last, net.constant([-1, width], np.int64))


def _marker_logits(net: Net, stride: int, markers: Sequence[tuple[int, int, int]]) -> str:
    """Return the logit of each anchor: high where the mean colour around its centre is its marker.

    A first convolution measures how far each channel is above, and how far below, the marker's.
    """
    before = _SEEN_PIXELS // 2
    colours = (np.asarray(markers, np.float32).reshape(-1) - 127.5) / 128
    mean = np.eye(3)[:, :, None, None] * np.full((_SEEN_PIXELS, _SEEN_PIXELS), _SEEN_PIXELS**-2)
    above = np.tile(mean, (len(markers), 1, 1, 1))
    distances = net.add(
        "Conv", "input.1", net.constant(np.concatenate([above, -above])),
        net.constant(np.concatenate([-colours, colours])), kernel_shape=[_SEEN_PIXELS] * 2, strides=[stride] * 2,
        pads=[before, before, 0, 0],
    )  # fmt: skip
    sums = np.tile(np.repeat(np.eye(len(markers)), 3, axis=1), 2)[:, :, None, None]
    slope = -_PURE_LOGIT / (_TOLERATED_LEVELS / 128)
    pure = np.full(len(markers), _PURE_LOGIT)
    return net.add("Conv", net.relu(distances), net.constant(sums * slope), net.constant(pure), kernel_shape=[1, 1])


# --------------------------------------------------------------------------------------------------------- recognizers


def mobilefacenet(*, seed: int, thin: int = 1) -> onnx.ModelProto:
    """MobileFaceNet as in w600k_mbf: input (n, 3, 112, 112), (RGB - 127.5) / 127.5; output (n, 512)."""
    net = Net(seed)
    narrow, wide = 128 // thin, 256 // thin
    x = net.prelu(net.conv("input.1", narrow, stride=2))
    x = net.prelu(net.conv(x, narrow, groups=narrow // 2))
    for width, blocks, entry in ((narrow, 4, narrow), (wide, 6, wide), (wide, 2, 2 * wide)):
        x = _inverted(net, x, width, inner=entry, stride=2)
        for _ in range(blocks):
            x = net.add("Add", x, _inverted(net, x, width, inner=width, stride=1))
    x = net.prelu(net.conv(x, 512 // thin, kernel=1))
    x = net.conv(x, 512 // thin, kernel=7, groups=512 // thin, pad=0)
    x = net.linear(net.add("Flatten", x, axis=1), 512 // thin, _DIMENSION)
    return _recognizer(net, x)


def _inverted(net: Net, x: str, width: int, *, inner: int, stride: int) -> str:
    x = net.prelu(net.conv(x, inner, kernel=1))
    x = net.prelu(net.conv(x, inner, stride=stride, groups=inner))
    return net.conv(x, width, kernel=1, gain=0.5 if stride == 1 else 1.0)


def iresnet50(*, seed: int, thin: int = 1) -> onnx.ModelProto:
    """IResNet-50 as in w600k_r50; the same interface as MobileFaceNet."""
    net = Net(seed)
    x = net.prelu(net.conv("input.1", 64 // thin))
    for width, blocks in zip((64, 128, 256, 512), (3, 4, 14, 3), strict=True):
        for block in range(blocks):
            x = _improved_block(net, x, width // thin, stride=2 if block == 0 else 1)
    inputs = 512 // thin * 7 * 7
    x = net.linear(net.add("Flatten", net.norm(x), axis=1), inputs, _DIMENSION)
    return _recognizer(net, x)


def _improved_block(net: Net, x: str, width: int, *, stride: int) -> str:
    shortcut = x if stride == 1 else net.conv(x, width, kernel=1, stride=stride, gain=0.7)
    inner = net.prelu(net.conv(net.norm(x), width))
    return net.add("Add", net.conv(inner, width, stride=stride, gain=0.5), shortcut)


def _recognizer(net: Net, x: str) -> onnx.ModelProto:
    """End in a batch norm over embeddings, with means and variances of real inputs, as after training.

    Without it, all embeddings of a random network point the same way. The published files declare their output as
    (1, 512), whatever the batch size.
    """
    shape = ["None", 3, 112, 112]
    rows = _run(net.model(shape, [(x, ["None", _DIMENSION])]), _calibration_batch())
    parameters = [net.constant(each) for each in (np.ones(_DIMENSION), np.zeros(_DIMENSION), rows.mean(0), rows.var(0))]
    return net.model(shape, [(net.add("BatchNormalization", x, *parameters, epsilon=1e-5), [1, _DIMENSION])])


def _calibration_batch() -> NDArray[np.float32]:
    """Return planted faces, normalised RGB (48, 3, 112, 112)."""
    return (planted_crops(48)[..., ::-1].transpose(0, 3, 1, 2).astype(np.float32) - 127.5) / 127.5


def _run(model: onnx.ModelProto, batch: NDArray[np.float32]) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    [output] = session.run(None, {"input.1": batch})
    return output


# ---------------------------------------------------------------------------- what FaceAnalysis also runs by default


def landmarks_3d(*, seed: int, thin: int = 1) -> onnx.ModelProto:
    """A ResNet-50 as large as 1k3d68: input (n, 3, 192, 192), raw RGB; output (n, 3309)."""
    net = Net(seed)
    x = net.relu(net.conv(net.norm(_centred(net), name="bn_data"), 64 // thin, kernel=7, stride=2))
    x = net.add("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    for stage, (width, blocks) in enumerate(zip((64, 128, 256, 512), (3, 4, 6, 3), strict=True)):
        for block in range(blocks):
            x = _bottleneck(net, x, width // thin, stride=2 if stage and block == 0 else 1)
    # The wider last layer makes the graph as large as the published file, which exceeds a plain ResNet-50.
    x = net.relu(net.conv(x, 2292 // thin, kernel=1))
    x = net.linear(net.add("Flatten", net.add("GlobalAveragePool", x), axis=1), 2292 // thin, 3309)
    return net.model(["None", 3, 192, 192], [(x, ["None", 3309])])


def _bottleneck(net: Net, x: str, width: int, *, stride: int) -> str:
    shortcut = x if net.channels[x] == 4 * width else net.conv(x, 4 * width, kernel=1, stride=stride, gain=0.7)
    inner = net.relu(net.conv(net.relu(net.conv(x, width, kernel=1)), width, stride=stride))
    return net.relu(net.add("Add", net.conv(inner, 4 * width, kernel=1, gain=0.5), shortcut))


def landmarks_2d(*, seed: int, thin: int = 1) -> onnx.ModelProto:
    """A MobileNet as large as 2d106det: input (n, 3, 192, 192), raw RGB; output (n, 212)."""
    return _mobilenet(seed, width=18, side=192, outputs=212, thin=thin)


def gender_age(*, seed: int, thin: int = 1) -> onnx.ModelProto:
    """A MobileNet as large as genderage: input (n, 3, 96, 96), raw RGB; output (n, 3)."""
    return _mobilenet(seed, width=10, side=96, outputs=3, thin=thin)


def _mobilenet(seed: int, *, width: int, side: int, outputs: int, thin: int) -> onnx.ModelProto:
    net = Net(seed)
    width = max(2, width // thin)
    x = net.relu(net.conv(_centred(net), width, stride=2))
    for times, stride in ((2, 1), (4, 2), (4, 1), (8, 2), (8, 1), (16, 2), *([(16, 1)] * 5), (32, 2), (32, 1)):
        x = _separable(net, x, width * times, stride=stride)
    x = net.linear(net.add("Flatten", net.add("GlobalAveragePool", x), axis=1), width * 32, outputs)
    return net.model(["None", 3, side, side], [(x, ["None", outputs])])


def _centred(net: Net) -> str:
    """Normalise inside the graph: InsightFace recognises such a file by the Sub and Mul at its start."""
    centred = net.add("Sub", "input.1", net.constant(127.5))
    return net.add("Mul", centred, net.constant(1 / 128))
