"""A known face that must be found again: the proof that the model and the vector store do their work together.

It lives in the collection that users' faces are in, in a gallery of its own, CANARY_GALLERY_ID. Galleries of users are
rows of the database with a random id (UUID version 4); this one is no row, and its version 5 tells it apart. So no
page, count or search of a user ever meets it; whoever counts all rows of a collection leaves this gallery out.
"""

import logging
from importlib.resources import files
from typing import Final

import numpy as np
from numpy.typing import NDArray

from worker.config import ImageLimits
from worker.errors import CanaryLost
from worker.images import decode
from worker.recognition.interfaces import Engine
from worker.vector_search.interfaces import FaceRecord, SearchQuery, VectorStore
from worker.vector_search.recall.measured import QUERY_COSINE, nearby

logger = logging.getLogger(__name__)

CANARY_GALLERY_ID: Final = "ca0a0000-0000-5000-8000-000000000001"
CANARY_PHOTO_ID: Final = "ca0a0000-0000-5000-8000-000000000002"
CANARY_FACE_ID: Final = "ca0a0000-0000-5000-8000-000000000003"

#: How much less than QUERY_COSINE a hit may be: stored embeddings and the model's sums are rounded.
ROUNDING: Final = 0.02


def count_users_faces(store: VectorStore) -> int:
    """Return how many faces the whole collection has, the canary's left out. Raises what the store raises."""
    return store.count() - store.count(gallery_id=CANARY_GALLERY_ID)


def find_known_face(engine: Engine, store: VectorStore, *, limits: ImageLimits) -> None:
    """Describe the face of a picture that scikit-image ships, and find it in the store, where it is put when missing.

    Running it twice changes nothing. Raises CanaryLost when the store does not return what it was given, and what
    models and store raise.
    """
    embedding = _known_embedding(engine, limits)
    if _is_found(store, embedding):
        return
    logger.info("The known face is not in the vector store: it is put there.")
    face = FaceRecord(
        face_id=CANARY_FACE_ID, photo_id=CANARY_PHOTO_ID, gallery_id=CANARY_GALLERY_ID, embedding=embedding
    )
    store.upsert([face])
    if not _is_found(store, embedding):
        raise CanaryLost("The vector store does not find a face that was just written to it.")


def _known_embedding(engine: Engine, limits: ImageLimits) -> NDArray[np.float32]:
    """Return the embedding of the picture's best face; for a pack that sees none in it, some unit vector."""
    picture = decode((files("skimage") / "data" / "astronaut.png").read_bytes(), limits=limits)
    [faces] = engine.embed([engine.detect(picture.pixels).faces[:1]])
    if faces:
        return faces[0].embedding
    embedding = np.zeros(engine.pack.dimension, np.float32)
    embedding[0] = 1
    return embedding


def _is_found(store: VectorStore, embedding: NDArray[np.float32]) -> bool:
    # In another direction each time: what a cache remembers of the last time would prove nothing.
    query = SearchQuery(
        gallery_id=CANARY_GALLERY_ID,
        embeddings=nearby(embedding[None], generator=np.random.default_rng()),
        limit=1,
        min_similarity=QUERY_COSINE - ROUNDING,
    )
    [hits] = store.search(query)
    return bool(hits)
