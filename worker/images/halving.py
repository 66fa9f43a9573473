"""Halving pictures by area: the one reduction that is exact and costs next to nothing."""

from dataclasses import replace

import numpy as np

from worker.images.decoding import DecodedImage
from worker.recognition.interfaces import Image


def halved(pixels: Image) -> Image:
    """Return the picture with half the pixels in each direction, each the mean of four; an odd last row or column goes.

    OpenCV has a fast path for exactly this: on 12 megapixels 3 ms, where averaging by area to another size takes 60.
    """
    import cv2  # here: beat and Flower import this module with the tasks, and must load no image library

    height, width = (side // 2 for side in pixels.shape[:2])
    even = pixels[: 2 * height, : 2 * width]
    return np.asarray(cv2.resize(even, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def halved_to(picture: DecodedImage, enough_pixels: int) -> DecodedImage:
    """Return the picture halved as long as its longer side keeps at least `enough_pixels`."""
    pixels, scale = picture.pixels, picture.scale
    while max(pixels.shape[:2]) // 2 >= enough_pixels and min(pixels.shape[:2]) >= 2:
        pixels, scale = halved(pixels), scale / 2
    return replace(picture, pixels=pixels, scale=scale)
