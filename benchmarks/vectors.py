"""Seeded random faces, distributed like a recognizer's embeddings, and what exact search finds among them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from worker.vector_search.recall.measured import MATCH_LIMIT, nearby

DIMENSION = 512

#: How close a face must be to count as a match: ArcFace packs are used with thresholds of 0.3 to 0.4.
MATCH_SIMILARITY = 0.3

FACES_PER_IDENTITY = 5

#: The cosines between two faces of one identity. Strangers stay under 0.25: random directions of 512 dimensions.
LEAST_WITHIN, MOST_WITHIN = 0.4, 0.8

#: Identities generated at once, and rows compared at once: about 100 MB each.
IDENTITIES_PER_BLOCK = 4_000
ROWS_PER_BLOCK = 50_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Faces:
    """Unit vectors, float32: `embeddings` (n, 512), with five consecutive ones per identity, and `queries` (q, 512)."""

    embeddings: NDArray[np.float32]
    queries: NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExactAnswers:
    """The best ten of each query, best first: row numbers and cosines, shape (q, 10)."""

    rows: NDArray[np.int64]
    cosines: NDArray[np.float32]

    def top(self) -> list[list[int]]:
        """Return each query's best ten, strangers included: what recall@10 counts."""
        return [[int(row) for row in rows] for rows in self.rows]

    def matches(self) -> list[list[int]]:
        """Return those of the best ten that a user would be shown: what match recall counts."""
        return [
            [int(row) for row, cosine in zip(*each, strict=True) if cosine >= MATCH_SIMILARITY]
            for each in zip(self.rows, self.cosines, strict=True)
        ]


def clustered_faces(count: int, *, queries: int, seed: int = 0) -> Faces:
    """Return `count` faces, a multiple of five, and queries at cosine 0.77 to `queries` different ones of them.

    Each face has a cosine from sqrt(0.4) to sqrt(0.8) to its identity's centre; the rest points in a direction unique
    to the face. The cosine between two faces of an identity is then the product of theirs, 0.4 to 0.8.
    """
    if count % FACES_PER_IDENTITY:
        raise ValueError(f"The count must be a multiple of {FACES_PER_IDENTITY}, not {count}.")
    generator = np.random.default_rng(seed)
    embeddings = np.empty((count, DIMENSION), dtype=np.float32)
    for start in range(0, count, IDENTITIES_PER_BLOCK * FACES_PER_IDENTITY):
        block = embeddings[start : start + IDENTITIES_PER_BLOCK * FACES_PER_IDENTITY]
        block[:] = _identities(len(block) // FACES_PER_IDENTITY, generator).reshape(block.shape)
    asked = generator.choice(count, size=queries, replace=False)
    return Faces(embeddings=embeddings, queries=nearby(embeddings[asked], generator=generator))


def exact_answers(faces: Faces) -> ExactAnswers:
    """Return what exact search finds: every query is compared with every face, one block of faces at a time."""
    rows = np.empty((len(faces.queries), 0), dtype=np.int64)
    cosines = np.empty((len(faces.queries), 0), dtype=np.float32)
    for start in range(0, len(faces.embeddings), ROWS_PER_BLOCK):
        block = faces.queries @ faces.embeddings[start : start + ROWS_PER_BLOCK].T
        numbers = np.broadcast_to(np.arange(start, start + block.shape[1]), block.shape)
        cosines, rows = np.hstack([cosines, block]), np.hstack([rows, numbers])
        best = np.argsort(-cosines, axis=1, kind="stable")[:, :MATCH_LIMIT]
        cosines, rows = np.take_along_axis(cosines, best, axis=1), np.take_along_axis(rows, best, axis=1)
    return ExactAnswers(rows=rows, cosines=cosines)


def share_found(found: Sequence[Collection[object]], wanted: Sequence[Collection[object]]) -> float:
    """Return the share of the wanted items that was found, over all queries; 1.0 when nothing was wanted."""
    total = sum(len(each) for each in wanted)
    hits = sum(len(set(got) & set(want)) for got, want in zip(found, wanted, strict=True))
    return hits / total if total else 1.0


def _identities(count: int, generator: np.random.Generator) -> NDArray[np.float32]:
    """Return shape (count, 5, 512)."""
    directions = generator.standard_normal((count, DIMENSION, 1 + FACES_PER_IDENTITY), dtype=np.float32)
    # Orthonormal columns: a centre, and a unique direction for each face.
    directions = np.linalg.qr(directions).Q.transpose(0, 2, 1)
    centre, own = directions[:, :1], directions[:, 1:]
    lean = generator.uniform(LEAST_WITHIN**0.5, MOST_WITHIN**0.5, (count, FACES_PER_IDENTITY, 1)).astype(np.float32)
    faces: NDArray[np.float32] = lean * centre + np.sqrt(1 - lean**2) * own
    return faces
