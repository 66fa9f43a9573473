"""What a model is given: a picture's colours as planes of float32."""

import numpy as np
from numpy.typing import NDArray

from worker.recognition.interfaces import Image


def bgr_planes(pixels: Image) -> NDArray[np.float32]:
    """Return the pixels unchanged, in the order blue, green, red; float32, shape (3, h, w)."""
    return pixels.transpose(2, 0, 1).astype(np.float32, order="C")


def normalised_rgb_planes(pixels: Image, *, mean: float, deviation: float) -> NDArray[np.float32]:
    """Return (pixel - mean) / deviation in the order red, green, blue; float32, shape (3, h, w)."""
    planes = bgr_planes(pixels[:, :, ::-1])
    planes -= np.float32(mean)
    planes *= np.float32(1 / deviation)
    return planes
