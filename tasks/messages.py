"""What travels through the queue: small, frozen, versioned JSON. Ids and references, never pixels or embeddings.

A message outlives the release that wrote it: unknown fields are ignored, new fields have defaults, and a
change that an older worker must not guess at raises `version`.
"""

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field


class Message(BaseModel):
    """The base: frozen, JSON in both directions."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: Literal[1] = 1

    def to_json(self) -> dict[str, Any]:
        return self.model_dump(mode="json")

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        return cls.model_validate(data)


class ErrorInfo(BaseModel):
    """An error as it travels: its stable code and one sentence for a person."""

    model_config = ConfigDict(frozen=True)

    code: str
    message: str


class BoxInfo(BaseModel):
    """Pixels of the upright picture."""

    model_config = ConfigDict(frozen=True)

    left: float
    top: float
    right: float
    bottom: float


class Target(BaseModel):
    """Which model and which collection a message is for; a worker with another one refuses."""

    model_config = ConfigDict(frozen=True)

    pack: str
    collection: str


# -- search ----------------------------------------------------------------------------------------------


#: Which faces of a query image are searched.
SearchedFaces = Literal["all", "largest"]


class SearchRequest(Message):
    """Search one gallery by one query image, which waits in the upload store under `upload_key`."""

    target: Target
    gallery_id: str
    upload_key: str
    limit: int = Field(ge=1, le=1000)
    #: None asks for the pack's own threshold.
    min_similarity: float | None = Field(default=None, ge=-1, le=1)
    faces: SearchedFaces = "all"


class Match(BaseModel):
    """A face found by a search."""

    model_config = ConfigDict(frozen=True)

    face_id: str
    photo_id: str
    similarity: float


class FaceMatches(BaseModel):
    """One face of the query image with its matches, best first."""

    model_config = ConfigDict(frozen=True)

    box: BoxInfo
    score: float
    quality: float
    matches: tuple[Match, ...]


class SearchResult(Message):
    """The answer to a search: faces, or a reason why there are none, or an error.

    `reason` is set when the search worked and has nothing to show (`no_face_found`).
    """

    faces: tuple[FaceMatches, ...] = ()
    reason: ErrorInfo | None = None
    error: ErrorInfo | None = None
    #: Size of the upright query image in pixels, for drawing its boxes.
    width: int | None = None
    height: int | None = None


# -- index -----------------------------------------------------------------------------------------------


class KnownFace(BaseModel):
    model_config = ConfigDict(frozen=True)

    face_id: str
    box: BoxInfo


class PhotoRef(BaseModel):
    """A photo in the storage. `known_faces` are those the database has, so that faces keep their ids."""

    model_config = ConfigDict(frozen=True)

    photo_id: str
    storage_key: str
    known_faces: tuple[KnownFace, ...] = ()


class IndexRequest(Message):
    """Index a chunk of photos of one gallery."""

    target: Target
    gallery_id: str
    photos: tuple[PhotoRef, ...]


class FaceInfo(BaseModel):
    """A face as the database keeps it. `landmarks` are five (x, y) points in pixels."""

    model_config = ConfigDict(frozen=True)

    face_id: str
    box: BoxInfo
    landmarks: tuple[tuple[float, float], ...]
    score: float
    quality: float


class PhotoOutcomeInfo(BaseModel):
    """What became of one photo; `code` and `message` say why unless it is `indexed`."""

    model_config = ConfigDict(frozen=True)

    photo_id: str
    state: Literal["indexed", "no_faces", "failed"]
    code: str = ""
    message: str = ""
    width: int | None = None
    height: int | None = None
    image_format: str = ""
    faces: tuple[FaceInfo, ...] = ()


class Outcomes(Message):
    """What an index task hands to the records worker: the outcomes of one gallery's photos."""

    gallery_id: str
    outcomes: tuple[PhotoOutcomeInfo, ...]


class IndexFailure(Message):
    """What an index task hands to the records worker that gives its photos up: the last error, for all of them."""

    photo_ids: tuple[str, ...]
    error: ErrorInfo


# -- remove ----------------------------------------------------------------------------------------------


class RemoveRequest(Message):
    """Delete the faces of these photos from the collection."""

    target: Target
    gallery_id: str
    photo_ids: tuple[str, ...]


class Removals(Message):
    """Photos whose faces are gone and read back as gone."""

    photo_ids: tuple[str, ...]
