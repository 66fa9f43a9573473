"""Pictures with a known number of real faces. `scenes` has those for packs with random weights."""

import math

import cv2
import numpy as np

from benchmarks.scenes import background_photo
from tests import pictures
from worker.recognition.interfaces import Image

#: Where the faces of installed packages' photos are, with some air around: photo, left, top, side in pixels.
_FACES = (
    ("astronaut", 130, 20, 190),
    ("six_people", 850, 20, 220),
    ("six_people", 220, 110, 200),
    ("six_people", 690, 310, 210),
    ("six_people", 10, 230, 200),
    ("six_people", 405, 225, 220),
    ("six_people", 1080, 235, 200),
)
#: The faces' side in pixels, with the air: a face is a little more than half of it.
_LARGEST_PIXELS = 240


def crowd(*, faces: int, size: tuple[int, int], seed: int = 0) -> Image:
    """Return a BGR picture of that width and height with so many faces, side by side on part of a photo without any.

    They are a few people's, again and again; every one is turned and relit a little differently.
    """
    random = np.random.default_rng(seed)
    width, height = size
    picture = background_photo(width, height, random)
    columns = math.ceil(math.sqrt(faces * width / height))
    cell = min(width // columns, height // math.ceil(faces / columns))
    side = min(round(cell * 0.9), _LARGEST_PIXELS)
    for number in range(faces):
        photo, left, top, length = _FACES[(number + seed) % len(_FACES)]
        face = pictures.sample(photo)[top : top + length, left : left + length]
        face = cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA)
        face = pictures.varied(face, degrees=random.uniform(-8, 8), light=random.uniform(0.8, 1.1))
        row, column = divmod(number, columns)
        y, x = row * cell + (cell - side) // 2, column * cell + (cell - side) // 2
        picture[y : y + side, x : x + side] = face
    return picture
