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


class IndexSettings(BaseModel):
    """How a collection is indexed and searched; what is empty has the default of CollectionConfig."""

    model_config = ConfigDict(frozen=True)

    metric_type: str = ""
    index_type: str = ""
    index_params: dict[str, int] = Field(default_factory=dict)
    search_params: dict[str, int] = Field(default_factory=dict)


class Target(BaseModel):
    """Which model and which collection a message is for: all that a worker needs to open the collection.

    A worker of another pack refuses, and so does one whose pack has another fingerprint. Fingerprint and dimension are
    empty as long as no worker of the pack has told them.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    pack: str
    collection: str
    fingerprint: str = ""
    dimension: int | None = None
    index: IndexSettings = Field(default_factory=IndexSettings)


# -- search ----------------------------------------------------------------------------------------------


#: Which faces of a query image are searched.
SearchedFaces = Literal["all", "largest"]


class SearchRequest(Message):
    """Search a set of galleries by one query image, which waits in the upload store under `upload_key`."""

    target: Target
    gallery_ids: tuple[str, ...] = Field(min_length=1)
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
    """A face that the database has; landmarks and score only where PhotoRef.detector is said."""

    model_config = ConfigDict(frozen=True)

    face_id: str
    box: BoxInfo
    landmarks: tuple[tuple[float, float], ...] = ()
    score: float = 0.0


class PhotoRef(BaseModel):
    """A photo in the storage. `known_faces` are those the database has, so that faces keep their ids.

    `detector` is the fingerprint of the detector that has found them, and no others: a worker that has the same one
    does not look again. Empty: it looks.
    """

    model_config = ConfigDict(frozen=True)

    photo_id: str
    storage_key: str
    known_faces: tuple[KnownFace, ...] = ()
    detector: str = ""


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
    """What became of one photo; `code` and `message` say why unless it is `indexed`.

    `detector` is the fingerprint of the detector that its faces come from; empty when an older release says it.
    """

    model_config = ConfigDict(frozen=True)

    photo_id: str
    state: Literal["indexed", "no_faces", "failed"]
    code: str = ""
    message: str = ""
    width: int | None = None
    height: int | None = None
    image_format: str = ""
    faces: tuple[FaceInfo, ...] = ()
    detector: str = ""


class Outcomes(Message):
    """What an index task hands to the records worker: the outcomes of one gallery's photos."""

    gallery_id: str
    outcomes: tuple[PhotoOutcomeInfo, ...]
    #: The collection that the faces were written to; empty in messages of releases that had only one.
    collection: str = ""


class IndexFailure(Message):
    """What an index task hands to the records worker that gives its photos up: the last error, for all of them."""

    photo_ids: tuple[str, ...]
    error: ErrorInfo
    collection: str = ""


# -- remove ----------------------------------------------------------------------------------------------


class RemoveRequest(Message):
    """Delete the faces of these photos from every live collection, whichever pack fills it."""

    #: The collection of releases that had only one.
    target: Target | None = None
    targets: tuple[Target, ...] = ()
    gallery_id: str
    photo_ids: tuple[str, ...]

    @property
    def all_targets(self) -> tuple[Target, ...]:
        return self.targets or ((self.target,) if self.target else ())


class Removals(Message):
    """Photos whose faces are gone and read back as gone."""

    photo_ids: tuple[str, ...]


# -- generations -----------------------------------------------------------------------------------------


class CopyRequest(Message):
    """Copy the embeddings of a gallery's photos, from `first` to `last` in the order of their ids, as they stand."""

    source: Target
    target: Target
    gallery_id: str
    first: str
    last: str


class Copied(Message):
    """What a copy task hands to the records worker: how many faces the range has now."""

    collection: str
    #: The collection that they were copied from.
    source: str
    gallery_id: str
    first: str
    last: str
    face_count: int


class MeasureRequest(Message):
    """Look at a collection for the gates of a generation.

    `face_ids` by gallery are the faces whose nearest neighbours are compared between two generations.
    """

    target: Target
    #: Names this measurement: an answer to an earlier request is of no use.
    ticket: str
    face_ids: dict[str, tuple[str, ...]] = Field(default_factory=dict)


class Measured(Message):
    """What stands in a collection, and what its index loses."""

    collection: str
    ticket: str
    #: Faces of users: the canary's is left out.
    face_count: int
    #: None when there was nothing to measure it with.
    match_recall: float | None
    #: For each face that was asked for and is there, the most similar others at or above the pack's threshold.
    neighbours: dict[str, tuple[Match, ...]] = Field(default_factory=dict)
    #: How long finding all this out has taken.
    seconds: float = 0.0


class DropRequest(Message):
    """Delete the collection of a generation that nobody searches or fills any more."""

    target: Target


class Dropped(Message):
    collection: str


# -- consistency and live recall --------------------------------------------------------------------------


class CheckRequest(Message):
    """Compare the faces of a gallery's photos, from `first` to `last` in the order of their ids, with the database's.

    With `repairs`, a known face that has several rows is written once.
    """

    target: Target
    #: Names this check: an answer to an earlier one is of no use.
    ticket: str
    gallery_id: str
    first: str
    last: str
    face_ids: tuple[str, ...]
    #: time.time() before the database was asked for them.
    known_at: float
    repairs: bool = False


class StrayRequest(Message):
    """Look for faces of galleries that are none of `gallery_ids`, unless the collection has only `face_count`."""

    target: Target
    ticket: str
    gallery_ids: tuple[str, ...]
    #: How many faces those galleries have.
    face_count: int
    known_at: float


class OrphanInfo(BaseModel):
    """A face that stands in a collection and that the database did not name."""

    model_config = ConfigDict(frozen=True)

    face_id: str
    photo_id: str
    gallery_id: str


class Checked(Message):
    """What a worker has found for a CheckRequest, or, without a gallery, for a StrayRequest."""

    collection: str
    ticket: str
    known_at: float
    gallery_id: str = ""
    first: str = ""
    last: str = ""
    #: Faces that stand in the range.
    face_count: int = 0
    missing: tuple[str, ...] = ()
    #: Not more than tasks.checking.MOST_ORPHANS.
    orphaned: tuple[OrphanInfo, ...] = ()
    duplicated: tuple[str, ...] = ()


class RecallSample(Message):
    """Measure the match recall of the searches that a worker has answered in a collection lately."""

    target: Target
