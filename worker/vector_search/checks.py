"""What every store refuses before it sends anything, and how matches are ordered.

Both implementations use these checks, so that the in-memory store refuses and orders exactly as Milvus does.
"""

import re
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from worker.errors import NotOpen
from worker.vector_search.exceptions import CapacityReached, InvalidEmbedding, InvalidId, StoreRejected
from worker.vector_search.interfaces import Embedding, FaceRecord, Match, SearchQuery

#: The most matches per embedding: a limit of this contract, well under Milvus' 16384.
MAX_LIMIT = 1000

#: How far an embedding's length may be from 1. Float32 rounding stays under 1e-6; anything further off was never
#: normalised.
UNIT_LENGTH_TOLERANCE = 1e-3

#: Float32 sums differ in the seventh digit depending on the order of addition; equal vectors must tie.
SIMILARITY_DECIMALS = 6

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def checked_id(value: object) -> str:
    """Return `value` if it is a lower-case UUID, else raise InvalidId."""
    if isinstance(value, str) and _ID.fullmatch(value):
        return value
    raise InvalidId(f"An id must be a lower-case UUID, not {ascii(value)[:80]}.")


def checked_ids(values: Iterable[object]) -> list[str]:
    """Return the ids sorted and without repeats, or raise InvalidId."""
    if isinstance(values, str):
        raise InvalidId("Expected a list of ids, not a string.")
    return sorted({checked_id(value) for value in values})


def checked_records(records: Sequence[FaceRecord], *, dimension: int) -> list[FaceRecord]:
    """Return the records to write, the last one for each face id, with float32 copies of their embeddings.

    Raises InvalidId, InvalidEmbedding.
    """
    for record in records:
        for value in (record.face_id, record.photo_id, record.gallery_id):
            checked_id(value)
        _check_shape(np.shape(record.embedding), (dimension,))
    rows = list({record.face_id: record for record in records}.values())
    if not rows:
        return []
    _check_unit_length(_as_float32([record.embedding for record in records]))
    return [
        FaceRecord(
            face_id=row.face_id,
            photo_id=row.photo_id,
            gallery_id=row.gallery_id,
            embedding=np.array(row.embedding, dtype=np.float32),
        )
        for row in rows
    ]


def checked_galleries(query: SearchQuery) -> list[str]:
    """Return the ids of the query's galleries, sorted and without repeats.

    Raises InvalidId, and StoreRejected if there is none: a search that covers nothing is the caller's mistake.
    """
    gallery_ids = checked_ids(query.gallery_ids)
    if not gallery_ids:
        raise StoreRejected("A search must cover at least one gallery.")
    return gallery_ids


def checked_query(query: SearchQuery, *, dimension: int) -> NDArray[np.float32]:
    """Return the query's embeddings as float32, shape (n, dimension); n may be 0.

    Raises InvalidId, InvalidEmbedding, StoreRejected (the limit is out of range, or there is no gallery).
    """
    checked_galleries(query)
    if not 1 <= query.limit <= MAX_LIMIT:
        raise StoreRejected(f"The limit must be 1..{MAX_LIMIT}, not {query.limit}.")
    shape = np.shape(query.embeddings)
    _check_shape(shape, (shape[0] if shape else 0, dimension))
    embeddings = _as_float32(query.embeddings)
    _check_unit_length(embeddings)
    return embeddings


def ranked(matches: Iterable[Match], query: SearchQuery) -> list[Match]:
    """Return the matches that the caller gets: similar enough, most similar first, ties by face id, up to the limit."""
    similar_enough = (match for match in matches if match.similarity >= query.min_similarity)
    return sorted(similar_enough, key=lambda match: (-match.similarity, match.face_id))[: query.limit]


def rounded_similarity(cosine: float) -> float:
    """Return the similarity as it appears in matches: -1..1, six decimals."""
    return round(min(1.0, max(-1.0, float(cosine))), SIMILARITY_DECIMALS)


def unit(embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
    """Divide each row by its length: lengths may be off by a rounding error, and a product must be the exact cosine."""
    divided: NDArray[np.float32] = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    return divided


def check_capacity(*, present: int, added: int, max_capacity: int, name: str) -> None:
    """Raise CapacityReached if the new rows would exceed the collection's capacity."""
    if added > 0 and present + added > max_capacity:
        raise CapacityReached(
            f"Collection {name!r} holds {present} of at most {max_capacity} faces; {added} more do not fit, so none "
            "were written. Raise MAX_CAPACITY, or delete photos."
        )


def not_open(name: str) -> NotOpen:
    """Return the error for using a store before open() or after close()."""
    return NotOpen(f"The vector store of collection {name!r} is not open: call open() on it first.")


def _as_float32(embeddings: Sequence[Embedding] | NDArray[np.float32]) -> NDArray[np.float32]:
    try:
        return np.asarray(embeddings, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise InvalidEmbedding("An embedding must consist of numbers.") from error


def _check_shape(shape: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    if shape != wanted:
        raise InvalidEmbedding(f"The collection holds embeddings of {wanted[-1]} values, but the shape is {shape}.")


def _check_unit_length(embeddings: NDArray[np.float32]) -> None:
    if not np.isfinite(embeddings).all():
        raise InvalidEmbedding("An embedding contains a value that is not a finite number.")
    lengths = np.linalg.norm(embeddings, axis=1)
    worst = float(np.abs(lengths - 1.0).max(initial=0.0))
    if worst > UNIT_LENGTH_TOLERANCE:
        raise InvalidEmbedding(
            f"An embedding must have unit length, give or take {UNIT_LENGTH_TOLERANCE}; one is off by {worst:.3g}."
        )
