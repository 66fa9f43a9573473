"""Inputs that a seed makes, and what the networks' own implementations answer to them.

references.npz holds, for these inputs, the outputs of the package mtcnn 1.0.0 (TensorFlow; of its softmax the second
value) and the descriptors of dlib 20.0.1, all as float32.
"""

import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

#: Both implementations and ours round differently; nothing but rounding may differ.
TOLERANCE = 1e-5
_CHECKSUM = 3026290020


def mtcnn_inputs() -> dict[str, NDArray[np.uint8]]:
    """Return noise for each of MTCNN's networks by its name: RGB (n, h, w, 3)."""
    random = np.random.default_rng(0)
    shapes = {"p_net": (1, 61, 78, 3), "r_net": (3, 24, 24, 3), "o_net": (3, 48, 48, 3)}
    return {name: random.integers(0, 256, shape).astype(np.uint8) for name, shape in shapes.items()}


def chips() -> NDArray[np.uint8]:
    """Return crops for the ResNet, RGB (5, 150, 150, 3): squares of noise, from 1 to 50 pixels wide."""
    random = np.random.default_rng(1)
    crops = []
    for side in (1, 3, 10, 25, 50):
        squares = random.integers(0, 256, (150 // side, 150 // side, 3)).astype(np.uint8)
        crops.append(squares.repeat(side, axis=0).repeat(side, axis=1))
    return np.stack(crops)


def references() -> dict[str, NDArray[np.float32]]:
    """Return the reference outputs by network and output: `p_net_faces`, ..., `resnet_descriptors`."""
    inputs = b"".join(pixels.tobytes() for pixels in (*mtcnn_inputs().values(), chips()))
    assert zlib.crc32(inputs) == _CHECKSUM, "NumPy's generator makes other inputs from the same seed than it did."
    with np.load(Path(__file__).with_suffix(".npz"), allow_pickle=False) as kept:
        return dict(kept)
