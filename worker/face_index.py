"""FaceIndex: the one object that a GPU worker works with. Search, add, remove, healthy, open, close."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from worker.recognition.interfaces import Box, Face
from worker.vector_search.interfaces import FaceHit

PhotoState = Literal["indexed", "no_faces", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoToIndex:
    """One photo. `read` is called once, in the worker, and returns the file's bytes.

    `known_faces` are the faces that the database already has for it: a face found again keeps its id.
    """

    photo_id: str
    gallery_id: str
    read: Callable[[], bytes]
    known_faces: Mapping[str, Box] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexedFace:
    """A face of an indexed photo; its embedding is in the store under `face_id`."""

    face_id: str
    face: Face


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoOutcome:
    """What became of one photo. `code` and `message` say why unless the state is `indexed`.

    `width` and `height` are those of the upright picture in pixels, None when it could not be decoded.
    """

    photo_id: str
    state: PhotoState
    code: str = ""
    message: str = ""
    width: int | None = None
    height: int | None = None
    image_format: str = ""
    faces: tuple[IndexedFace, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchedFace:
    """A face of a query image and its matches, best first."""

    face: Face
    matches: tuple[FaceHit, ...]
