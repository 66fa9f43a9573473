"""The canary: a known face that must be found again, which proves that model and vector store work together.

It is stored in the same collection as users' faces, in a separate gallery, CANARY_GALLERY_ID. Users' galleries are rows
in the database with a random id (UUID version 4); this one is not in the database and its id has version 5. So it never
appears on a page, in a count or in a search. Code that counts all rows of a collection must leave this gallery out.
"""

import logging
from importlib.resources import files
from typing import Final

import numpy as np
from numpy.typing import NDArray

from worker.config import ImageLimits
from worker.errors import CanaryLost
from worker.images.decoding import decode
from worker.recognition.interfaces import Engine
from worker.vector_search.interfaces import FaceRecord, SearchQuery, VectorStore
from worker.vector_search.recall.measured import QUERY_COSINE, nearby

logger = logging.getLogger(__name__)

CANARY_GALLERY_ID: Final = "ca0a0000-0000-5000-8000-000000000001"
CANARY_PHOTO_ID: Final = "ca0a0000-0000-5000-8000-000000000002"
CANARY_FACE_ID: Final = "ca0a0000-0000-5000-8000-000000000003"

#: How far below QUERY_COSINE a match may be: stored embeddings and the model's arithmetic are rounded.
ROUNDING: Final = 0.02


def count_users_faces(store: VectorStore) -> int:
    """Return the number of faces in the whole collection, leaving out the canary's. Raises what the store raises."""
    return store.count() - store.count(gallery_id=CANARY_GALLERY_ID)


def find_known_face(engine: Engine, store: VectorStore, *, limits: ImageLimits) -> None:
    """Embed the face in a picture that scikit-image ships, and find it in the store; write it first if it is missing.

    Running it twice changes nothing. Raises CanaryLost when the store does not find the face after it was written, and
    what the models and the store raise.
    """
    embedding = _known_embedding(engine, limits)
    if _is_found(store, embedding):
        return
    logger.info("The canary's face is not in the vector store; writing it.")
    face = FaceRecord(
        face_id=CANARY_FACE_ID, photo_id=CANARY_PHOTO_ID, gallery_id=CANARY_GALLERY_ID, embedding=embedding
    )
    store.upsert([face])
    if not _is_found(store, embedding):
        raise CanaryLost("The vector store does not find a face that was just written to it.")


def _known_embedding(engine: Engine, limits: ImageLimits) -> NDArray[np.float32]:
    """Return the embedding of the picture's best face, or a fixed unit vector if the pack detects no face in it."""
    picture = decode((files("skimage") / "data" / "astronaut.png").read_bytes(), limits=limits)
    [faces] = engine.embed([engine.detect(picture.pixels).faces[:1]])
    if faces:
        return faces[0].embedding
    embedding = np.zeros(engine.pack.dimension, np.float32)
    embedding[0] = 1
    return embedding


def _is_found(store: VectorStore, embedding: NDArray[np.float32]) -> bool:
    # A new direction each time, because an answer from a cache would prove nothing.
    query = SearchQuery(
        gallery_ids=(CANARY_GALLERY_ID,),
        embeddings=nearby(embedding[None], generator=np.random.default_rng()),
        limit=1,
        min_similarity=QUERY_COSINE - ROUNDING,
    )
    [matches] = store.search(query)
    return bool(matches)
