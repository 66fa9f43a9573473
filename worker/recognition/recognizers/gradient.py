"""The starter packs' recognizers: gradient-histogram descriptors of an aligned face, written as ONNX graphs.

Nothing in them is learned. The steps, for each crop, with the figures of FULL:

1. grey, blurred (what is finer than a few pixels is noise after a JPEG of low quality);
2. gradients, shared out softly over nine unsigned orientations: |cos| to the fourth power of the angle between
   gradient and orientation, times the magnitude (a smooth form of the binning in N. Dalal, B. Triggs,
   "Histograms of Oriented Gradients for Human Detection", CVPR 2005);
3. means over 14 x 14 overlapping cells, divided by the energy of the cells around (the same paper's block
   normalisation: light and contrast go out), then the square root (R. Arandjelović, A. Zisserman, "Three Things
   Everyone Should Know to Improve Object Retrieval", CVPR 2012);
4. mean-centred: each orientation's own mean over the crop's cells is subtracted. It takes away what any face
   shares with any other (mouths and brows are horizontal), and needs no mean face, which would have to be learned
   from some people and would be right only for their framing;
5. projected to 512 values with random signs (D. Achlioptas, "Database-friendly random projections", JCSS 66, 2003)
   and scaled to unit length.

The graph's bytes are the same on every machine: the signs come from SHAKE-256, every other constant is exact or
rounded to float32 far from a tie, and protobuf is asked to serialise deterministically.
"""

import hashlib
import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from worker.recognition.alignment import ARCFACE

INPUT_NAME = "crops"
OUTPUT_NAME = "embeddings"

#: Written into the graph, so that it is part of the pack's fingerprint: change it with the algorithm.
_VERSION = "facequeue gradient histogram 1"
_OPSET = 17
#: The oldest ONNX file version that has this operator set, so that older runtimes load the graph.
_IR_VERSION = 8
_ORIENTATIONS = 9
_BLUR_SIGMA_PIXELS = 3.0
#: Gradients weaker than about this many grey levels a pixel count as flat, so that noise is not blown up.
_FLAT_GRADIENT = 0.1
#: ITU-R BT.601 luma weights, for blue, green and red.
_LUMA_BGR = (0.114, 0.587, 0.299)


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptor:
    """What may differ between two descriptors: they look at every `sampled_pixels`th pixel of the blurred crop.

    The crop's side must be a multiple of `cells` times `sampled_pixels`.
    """

    cells: int
    dimension: int
    sampled_pixels: int

    @property
    def cell_step(self) -> int:
        """From one cell to the next, in sampled pixels."""
        return ARCFACE.side_pixels // self.cells // self.sampled_pixels


FULL: Final = Descriptor(cells=14, dimension=512, sampled_pixels=1)
#: A twentieth of the work and a fifteenth of the bytes. What the blur has left shows in every fourth pixel.
COMPACT: Final = Descriptor(cells=7, dimension=128, sampled_pixels=4)


def gradient_histogram_graph(descriptor: Descriptor = FULL) -> bytes:
    """Return the graph: `crops` uint8 (n, 112, 112, 3) BGR -> `embeddings` float32 (n, dimension), unit length."""
    side = ARCFACE.side_pixels
    graph = helper.make_graph(
        _nodes(descriptor),
        "gradient_histogram",
        [helper.make_tensor_value_info(INPUT_NAME, TensorProto.UINT8, ["n", side, side, 3])],
        [helper.make_tensor_value_info(OUTPUT_NAME, TensorProto.FLOAT, ["n", descriptor.dimension])],
        initializer=[numpy_helper.from_array(value, name) for name, value in _constants(descriptor).items()],
    )
    model = helper.make_model(
        graph,
        producer_name=_VERSION,
        opset_imports=[helper.make_opsetid("", _OPSET)],
        ir_version=_IR_VERSION,
    )
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))


def _nodes(descriptor: Descriptor) -> list[onnx.NodeProto]:
    node = helper.make_node
    # A cell's window is twice its step wide, so that a shift of a few pixels moves little from cell to cell.
    step = descriptor.cell_step
    cell = _pool(window=2 * step, step=step, margin=step // 2)
    around = _pool(window=3, step=1, margin=1)
    return [
        # 1. grey and blurred; the border is repeated, so that it is no edge
        node("Cast", [INPUT_NAME], ["colour"], to=TensorProto.FLOAT),
        node("MatMul", ["colour", "luma"], ["grey_last"]),
        node("Transpose", ["grey_last"], ["grey"], perm=[0, 3, 1, 2]),
        node("Pad", ["grey", "border"], ["wide"], mode="edge"),
        node("Conv", ["wide", "blur_across"], ["blurred_across"], **_strides(1, descriptor.sampled_pixels)),
        node("Conv", ["blurred_across", "blur_down"], ["blurred"], **_strides(descriptor.sampled_pixels, 1)),
        # 2. gradients over soft orientations
        node("Conv", ["blurred", "derivatives"], ["gradient"]),
        node("ReduceSumSquare", ["gradient"], ["energy"], axes=[1], keepdims=1),
        node("Add", ["energy", "tiny"], ["some_energy"]),
        node("Sqrt", ["some_energy"], ["magnitude"]),
        node("Conv", ["gradient", "directions"], ["along"]),
        node("Div", ["along", "magnitude"], ["cosine"]),
        node("Mul", ["cosine", "cosine"], ["cosine_2"]),
        node("Mul", ["cosine_2", "cosine_2"], ["cosine_4"]),
        node("Mul", ["cosine_4", "magnitude"], ["votes"]),
        # 3. cells, normalised by their surroundings
        node("AveragePool", ["votes"], ["cells"], **cell),
        node("ReduceSum", ["cells", "channel_axis"], ["cell_energy"], keepdims=1),
        node("AveragePool", ["cell_energy"], ["energy_around"], **around),
        node("Add", ["energy_around", "flat"], ["norm"]),
        node("Div", ["cells", "norm"], ["even_cells"]),
        node("Sqrt", ["even_cells"], ["histogram"]),
        # 4. mean-centred
        node("ReduceMean", ["histogram"], ["mean"], axes=[2, 3], keepdims=1),
        node("Sub", ["histogram", "mean"], ["centred"]),
        # 5. projected, unit length
        node("Flatten", ["centred"], ["flat_histogram"], axis=1),
        node("Cast", ["signs"], ["projection"], to=TensorProto.FLOAT),
        node("MatMul", ["flat_histogram", "projection"], ["projected"]),
        node("Add", ["projected", "never_zero"], ["some_length"]),
        node("ReduceL2", ["some_length"], ["length"], axes=[1], keepdims=1),
        node("Div", ["some_length", "length"], [OUTPUT_NAME]),
    ]


def _strides(down: int, across: int) -> dict[str, Any]:
    """Return a Conv's strides; none where it looks at every pixel, for the attribute would change the graph's bytes."""
    return {} if down == across == 1 else {"strides": [down, across]}


def _pool(*, window: int, step: int, margin: int) -> dict[str, Any]:
    """Return the attributes of a square AveragePool that leaves what lies outside the crop out of its means."""
    return {
        "kernel_shape": [window] * 2,
        "strides": [step] * 2,
        "pads": [margin] * 4,
        "count_include_pad": 0,
    }


def _constants(descriptor: Descriptor) -> dict[str, NDArray[np.generic]]:
    blur = _gaussian(_BLUR_SIGMA_PIXELS)
    border = len(blur) // 2 + descriptor.sampled_pixels  # the blur, and one sampled pixel for the derivatives
    angles = [math.pi * k / _ORIENTATIONS for k in range(_ORIENTATIONS)]
    derivatives = np.zeros((2, 1, 3, 3), np.float32)
    derivatives[0, 0, 1] = derivatives[1, 0, :, 1] = (-1, 0, 1)
    # A crop of one colour has no gradient at all; this makes it a constant unit vector instead of 0 / 0.
    never_zero = np.zeros(descriptor.dimension, np.float32)
    never_zero[0] = 2.0**-20
    return {
        "luma": np.array(_LUMA_BGR, np.float32).reshape(3, 1),
        "border": np.array([0, 0, border, border] * 2, np.int64),
        "blur_across": blur.reshape(1, 1, 1, -1),
        "blur_down": blur.reshape(1, 1, -1, 1),
        "derivatives": derivatives,
        "directions": _rounded([(math.cos(a), math.sin(a)) for a in angles]).reshape(_ORIENTATIONS, 2, 1, 1),
        "tiny": np.array(2.0**-20, np.float32),
        "channel_axis": np.array([1], np.int64),
        "flat": np.array(_FLAT_GRADIENT, np.float32),
        "signs": _random_signs(descriptor.cells**2 * _ORIENTATIONS, descriptor.dimension),
        "never_zero": never_zero,
    }


def _gaussian(sigma_pixels: float) -> NDArray[np.float32]:
    """Return a Gaussian of sum one that ends at three sigma."""
    reach = math.ceil(3 * sigma_pixels)
    weights = [math.exp(-0.5 * (x / sigma_pixels) ** 2) for x in range(-reach, reach + 1)]
    return _rounded([weight / math.fsum(weights) for weight in weights])


def _rounded(values: object) -> NDArray[np.float32]:
    """Return float32 values that do not depend on the last bit of a machine's exp, sin and cos."""
    return np.round(np.array(values, np.float64), 6).astype(np.float32)


def _random_signs(rows: int, columns: int) -> NDArray[np.int8]:
    """Return +1 and -1, the same for ever: the bits of SHAKE-256 over the version's name."""
    stream = hashlib.shake_256(_VERSION.encode()).digest(rows * columns // 8)
    bits = np.unpackbits(np.frombuffer(stream, np.uint8)).reshape(rows, columns)
    return (bits.astype(np.int8) * 2 - 1).astype(np.int8)
