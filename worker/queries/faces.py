"""The faces of a query image, kept in redis-cache so that the same image is not run through the models twice."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from worker.recognition.interfaces import Box, Face, RejectedFace
from worker.vector_search.cached_values import KEY_PREFIX, CachedValues, decoded


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryFaces:
    """The faces of a query image, best detection first, and those rejected by the thresholds in FACE_CONFIG.

    `width` and `height` are those of the upright picture in pixels.
    """

    faces: tuple[Face, ...]
    rejected: tuple[RejectedFace, ...] = ()
    width: int
    height: int


class QueryFaceCache:
    """Keeps the faces of query images, by the image's SHA-256 and the pack's fingerprint.

    A value holds boxes, landmarks, scores and quality as JSON, and the embeddings as raw little-endian float32.
    """

    def __init__(self, values: CachedValues, *, fingerprint: str) -> None:
        self._values = values
        self._fingerprint = fingerprint

    def faces(self, image: bytes, *, variant: str, find: Callable[[], QueryFaces]) -> QueryFaces:
        """Return the kept faces of the image, or `find()` after keeping its result.

        `variant` names everything else that determines which faces are found. Raises only what `find` raises.
        """
        key = f"{KEY_PREFIX}faces:{self._fingerprint}:{variant}:{hashlib.sha256(image).hexdigest()}"
        about, embeddings = self._values.read(key, "json", "float32")
        kept = None if about is None or embeddings is None else decoded(lambda: _from_fields(about, embeddings))
        self._values.recorder.record("cache_faces_misses" if kept is None else "cache_faces_hits")
        if kept is not None:
            return kept
        found = find()
        self._values.keep(key, _to_fields(found))
        return found


def _to_fields(found: QueryFaces) -> dict[str, bytes]:
    about = {
        "width": found.width,
        "height": found.height,
        "faces": [
            {
                "box": _sides(face.box),
                "landmarks": np.asarray(face.landmarks, dtype=np.float32).tolist(),
                "score": float(face.score),
                "quality": float(face.quality),
            }
            for face in found.faces
        ],
        "rejected": [[_sides(face.box), float(face.score), face.reason] for face in found.rejected],
    }
    embeddings = [np.asarray(face.embedding, dtype="<f4").tobytes() for face in found.faces]
    return {"json": json.dumps(about).encode(), "float32": b"".join(embeddings)}


def _from_fields(about: bytes, embeddings: bytes) -> QueryFaces:
    known = json.loads(about)
    # A copy in this machine's byte order: the buffer from Redis is read-only.
    rows = np.frombuffer(embeddings, dtype="<f4").astype(np.float32)
    rows = rows.reshape(len(known["faces"]), -1) if known["faces"] else rows.reshape(0, 0)
    return QueryFaces(
        faces=tuple(
            Face(
                box=_box(each["box"]),
                landmarks=np.array(each["landmarks"], dtype=np.float32),
                score=each["score"],
                quality=each["quality"],
                embedding=row,
            )
            for each, row in zip(known["faces"], rows, strict=True)
        ),
        rejected=tuple(
            RejectedFace(box=_box(sides), score=score, reason=reason) for sides, score, reason in known["rejected"]
        ),
        width=known["width"],
        height=known["height"],
    )


def _sides(box: Box) -> list[float]:
    return [float(side) for side in (box.left, box.top, box.right, box.bottom)]


def _box(sides: Sequence[float]) -> Box:
    left, top, right, bottom = sides
    return Box(left=left, top=top, right=right, bottom=bottom)
