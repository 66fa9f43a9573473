"""Indexing photos and removing their vectors: requests, and what became of each photo."""

from datetime import datetime
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from tasks import names
from tasks.messages.base import BoxInfo, ErrorInfo, Message, Target
from tasks.queues import Priority


class KnownFace(BaseModel):
    """A face that the database has; landmarks and score only where PhotoRef.detector is set."""

    model_config = ConfigDict(frozen=True)

    face_id: str
    box: BoxInfo
    landmarks: tuple[tuple[float, float], ...] = ()
    score: float = 0.0


class PhotoRef(BaseModel):
    """A photo in the storage. `known_faces` are those the database has, so that faces keep their ids.

    `job_id` is the job that it is sent for, if any: when that is cancelled, the photo is skipped.
    `detector` is the fingerprint of the detector that found exactly these faces: a worker with the same one does not
    detect again. Empty: it detects. `is_rendered`: it has its thumbnail and preview already.
    """

    model_config = ConfigDict(frozen=True)

    photo_id: str
    storage_key: str
    job_id: str = ""
    known_faces: tuple[KnownFace, ...] = ()
    detector: str = ""
    is_rendered: bool = False


class IndexRequest(Message):
    """Index a chunk of photos of one gallery.

    A worker runs it while no other photo is open in its process if it is `alone`: its one photo may have killed a
    worker.
    """

    task_name: ClassVar[str] = names.INDEX_PHOTOS
    priority: ClassVar[Priority] = Priority.NORMAL

    target: Target
    gallery_id: str
    photos: tuple[PhotoRef, ...]
    alone: bool = False


class FaceInfo(BaseModel):
    """A face as the database stores it. `landmarks` are five (x, y) points in pixels.

    `crop` is the digest of its rendition; empty: none was made this time.
    """

    model_config = ConfigDict(frozen=True)

    face_id: str
    box: BoxInfo
    landmarks: tuple[tuple[float, float], ...]
    score: float
    quality: float
    crop: str = ""


class CaptureInfo(BaseModel):
    """When and with what a photo was taken, see `worker.images.capture.Capture`."""

    model_config = ConfigDict(frozen=True)

    taken_at: datetime | None = None
    utc_offset_minutes: int | None = None
    camera: str = ""


class PhotoOutcomeInfo(BaseModel):
    """What became of one photo; `code` and `message` say why unless it is `indexed`.

    `detector` is the fingerprint of the detector that found its faces. `renditions` is the digest of its thumbnail and
    preview; empty: none were made this time. `warning` says what is wrong with a picture that could be decoded.
    """

    model_config = ConfigDict(frozen=True)

    photo_id: str
    state: Literal["indexed", "no_faces", "failed"]
    code: str = ""
    message: str = ""
    width: int | None = None
    height: int | None = None
    image_format: str = ""
    capture: CaptureInfo = CaptureInfo()
    warning: ErrorInfo | None = None
    renditions: str = ""
    faces: tuple[FaceInfo, ...] = ()
    detector: str = ""


class Outcomes(Message):
    """Sent by an index task to the records worker: the outcomes of one gallery's photos."""

    task_name: ClassVar[str] = names.RECORD_OUTCOMES
    priority: ClassVar[Priority] = Priority.NORMAL

    gallery_id: str
    outcomes: tuple[PhotoOutcomeInfo, ...]
    #: The collection that the faces were written to.
    collection: str


class IndexFailure(Message):
    """Sent by an index task that gives up: the last error, for all of its photos."""

    task_name: ClassVar[str] = names.RECORD_INDEX_FAILURE
    priority: ClassVar[Priority] = Priority.NORMAL

    photo_ids: tuple[str, ...]
    error: ErrorInfo
    collection: str


class RemoveRequest(Message):
    """Remove the vectors of these photos from every live collection, whichever pack fills it."""

    task_name: ClassVar[str] = names.REMOVE_PHOTOS

    targets: tuple[Target, ...]
    gallery_id: str
    photo_ids: tuple[str, ...]


class Removals(Message):
    """Photos whose vectors in a gallery were removed and read back as gone."""

    task_name: ClassVar[str] = names.RECORD_REMOVALS

    gallery_id: str
    photo_ids: tuple[str, ...]
