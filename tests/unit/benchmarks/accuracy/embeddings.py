"""Made-up embeddings with known cosines."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def at_degrees(degrees: Sequence[float]) -> NDArray[np.float32]:
    """Return unit vectors in the plane: the cosine of two is that of the difference of their angles."""
    radians = np.radians(np.array(degrees, dtype=np.float64))
    return np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)


def cosine(degrees: float) -> float:
    return float(np.cos(np.radians(degrees)))


def around_people(persons: int, photos: int, *, noise: float, seed: int = 1) -> NDArray[np.float32]:
    """Return embeddings of this many photos of each person in turn; without noise, those of one person are equal."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(persons, 64)).repeat(photos, axis=0)
    rows = centres + noise * rng.normal(size=centres.shape)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
