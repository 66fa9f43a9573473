"""From the cosine of two embeddings to the similarity that people read, and back.

Some models put strangers close together: two strangers' embeddings from dlib's have a cosine of 0.84 on average. So a
pack says over which part of the cosines its faces spread, and the similarity stretches that part. Order never changes.
"""

from dataclasses import dataclass

from worker.errors import ConfigError


@dataclass(frozen=True, slots=True)
class SimilarityScale:
    """similarity = 1 - (1 - cosine) / spread, clamped to -1..1; with `spread` 1 it is the cosine itself.

    `spread` is more than 0 and at most 1: the cosines from 1 - spread to 1 become the similarities from 0 to 1. Raises
    ConfigError for another one.
    """

    spread: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.spread <= 1:
            raise ConfigError(f"The spread of a similarity scale is {self.spread!r}; it must be over 0 and at most 1.")

    def of_cosine(self, cosine: float) -> float:
        """Return the similarity (-1..1) of two faces whose embeddings have this cosine; 1 for a cosine of 1."""
        return max(-1.0, min(1.0, 1 - (1 - cosine) / self.spread))

    def cosine_of(self, similarity: float) -> float:
        """Return the lowest cosine (-1..1) at which two faces are this similar; -1 for a similarity of -1 or less."""
        if similarity <= -1:
            return -1.0
        return max(-1.0, min(1.0, 1 - (1 - similarity) * self.spread))
