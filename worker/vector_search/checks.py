"""What every store refuses before anything is sent, and the one order in which hits are given.

Both implementations use these, so that the stand-in refuses and orders as Milvus does.
"""

import re
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from worker.errors import NotOpen
from worker.vector_search.exceptions import CapacityReached, InvalidEmbedding, InvalidId, StoreRejected
from worker.vector_search.interfaces import Embedding, FaceHit, FaceRecord, SearchQuery

#: The most hits that one embedding may ask for: the contract's own bound, well under Milvus' 16384.
MAX_LIMIT = 1000

#: How far an embedding's length may be from 1. Float32 rounding stays under 1e-6; what is further off was
#: never normalised.
UNIT_LENGTH_TOLERANCE = 1e-3

#: Float32 sums differ in the seventh digit with the order in which they are added; equal vectors must tie.
SIMILARITY_DECIMALS = 6

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def checked_id(value: object) -> str:
    """Return `value` when it is a lower-case UUID, else raise InvalidId."""
    if isinstance(value, str) and _ID.fullmatch(value):
        return value
    raise InvalidId(f"An id must be a lower-case UUID such as facequeue makes, not {ascii(value)[:80]}.")


def checked_ids(values: Iterable[object]) -> list[str]:
    """Return the ids sorted and without repeats, or raise InvalidId."""
    if isinstance(values, str):
        raise InvalidId("A list of ids is wanted, not one string.")
    return sorted({checked_id(value) for value in values})


def checked_records(records: Sequence[FaceRecord], *, dimension: int) -> list[FaceRecord]:
    """Return the records to write, the last one of each face id, with float32 copies of their embeddings.

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


def checked_query(query: SearchQuery, *, dimension: int) -> NDArray[np.float32]:
    """Return the query's embeddings as float32, shape (n, dimension); n may be 0.

    Raises InvalidId, InvalidEmbedding, StoreRejected (the limit).
    """
    checked_id(query.gallery_id)
    if not 1 <= query.limit <= MAX_LIMIT:
        raise StoreRejected(f"The limit must be 1..{MAX_LIMIT} hits, not {query.limit}.")
    shape = np.shape(query.embeddings)
    _check_shape(shape, (shape[0] if shape else 0, dimension))
    embeddings = _as_float32(query.embeddings)
    _check_unit_length(embeddings)
    return embeddings


def ranked(hits: Iterable[FaceHit], query: SearchQuery) -> list[FaceHit]:
    """Return the hits a caller sees: close enough, most similar first, ties by face id, at most the limit."""
    close_enough = (hit for hit in hits if hit.similarity >= query.min_similarity)
    return sorted(close_enough, key=lambda hit: (-hit.similarity, hit.face_id))[: query.limit]


def rounded_similarity(cosine: float) -> float:
    """Return the similarity as hits carry it: -1..1, six decimals."""
    return round(min(1.0, max(-1.0, float(cosine))), SIMILARITY_DECIMALS)


def unit(embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
    """Divide by the lengths: the contract lets them be 1 within a rounding, and a product must be the exact cosine."""
    divided: NDArray[np.float32] = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    return divided


def check_capacity(*, present: int, added: int, max_capacity: int, name: str) -> None:
    """Refuse, with CapacityReached, what would make the collection larger than it may be."""
    if added > 0 and present + added > max_capacity:
        raise CapacityReached(
            f"Collection {name!r} holds {present} of at most {max_capacity} faces; {added} more do not fit, and none "
            "of them was written. Raise MAX_CAPACITY, or delete photos."
        )


def not_open(name: str) -> NotOpen:
    """Return the error for a store that is used before open() or after close()."""
    return NotOpen(f"The vector store of collection {name!r} is not open: call open() on it first.")


def _as_float32(embeddings: Sequence[Embedding] | NDArray[np.float32]) -> NDArray[np.float32]:
    try:
        return np.asarray(embeddings, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise InvalidEmbedding("An embedding must hold numbers.") from error


def _check_shape(shape: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    if shape != wanted:
        raise InvalidEmbedding(f"The collection holds embeddings of {wanted[-1]} values; got shape {shape}.")


def _check_unit_length(embeddings: NDArray[np.float32]) -> None:
    if not np.isfinite(embeddings).all():
        raise InvalidEmbedding("An embedding holds a value that is not a finite number.")
    lengths = np.linalg.norm(embeddings, axis=1)
    worst = float(np.abs(lengths - 1.0).max(initial=0.0))
    if worst > UNIT_LENGTH_TOLERANCE:
        raise InvalidEmbedding(
            f"An embedding must have unit length, within {UNIT_LENGTH_TOLERANCE}; one is off by {worst:.3g}."
        )
