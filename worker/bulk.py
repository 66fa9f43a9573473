"""The bulk path: many photos in, one outcome each, as fast as the machine allows and in bounded memory.

A few threads work some photos ahead: each reads and decodes one photo at a time and detects its faces. The detector
runs for several of them together where that pays. Only the aligned faces of a picture are kept. Once there are enough
of them, across photos, they are embedded together and released.
"""

import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from worker.config import ImageLimits
from worker.detection import detect_faces
from worker.errors import FaceQueueError, ImageError, PhotoMissing, PhotoWithdrawn
from worker.face_ids import face_ids
from worker.images.capture import NO_CAPTURE, Capture
from worker.images.damage import ImageWarning
from worker.images.decoding import DecodedImage
from worker.metrics import NO_STAGES, Stages, timed
from worker.prefetch import prefetched
from worker.reading import photo_bytes
from worker.reasons import why_no_face
from worker.recognition.interfaces import Box, DetectedFaces, Detection, Engine, Face, RejectedFace
from worker.renditions import PREVIEW_SIDE_PIXELS, RenditionNames, Renditions, renditions_of

PhotoState = Literal["indexed", "no_faces", "failed"]

#: How many crops are embedded together: enough for full runs of any model, and only 2.4 MB.
CROPS_AT_ONCE = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoToIndex:
    """One photo. `read` is called once, in the worker, and returns the file's bytes.

    It raises FileNotFoundError when the file is gone, any other OSError when the storage is in trouble, and
    PhotoWithdrawn when the photo is no longer to be indexed; it may be called from any thread. `known_faces` are the
    faces that the database already has for it: a face that is detected again keeps its id. `located` are those that
    this pack's own detector found in it before, best score first: they are embedded without detecting again. An empty
    `located` may also mean "not known", so then the detector runs.

    `save` is called with the photo's renditions, may be called from any thread, and returns their names; what it raises
    is raised. None: none are made. With `has_pictures`, only those of its faces are made, and none of `located` ones.
    """

    photo_id: str
    gallery_id: str
    read: Callable[[], bytes]
    known_faces: Mapping[str, Box] = field(default_factory=dict)
    located: Sequence[Detection] = ()
    save: Callable[[Renditions], RenditionNames] | None = None
    has_pictures: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexedFace:
    """A face of an indexed photo; its embedding is in the store under `face_id`. `crop` names its rendition, if any."""

    face_id: str
    face: Face
    crop: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoOutcome:
    """What became of one photo. `code` and `message` say why unless the state is `indexed`.

    `width` and `height` are those of the upright picture in pixels, None when it could not be decoded. `rejected` are
    the faces below FACE_CONFIG's thresholds. `renditions` names the photo's thumbnail and preview; empty: none were
    made. `warning` says what is wrong with a picture that could be decoded even so.
    """

    photo_id: str
    state: PhotoState
    code: str = ""
    message: str = ""
    width: int | None = None
    height: int | None = None
    image_format: str = ""
    capture: Capture = NO_CAPTURE
    warning: ImageWarning | None = None
    renditions: str = ""
    faces: tuple[IndexedFace, ...] = ()
    rejected: tuple[RejectedFace, ...] = ()


_NO_FACES = DetectedFaces()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Detected:
    """A photo whose faces are detected but not embedded yet, with its outcome so far."""

    photo: PhotoToIndex
    outcome: PhotoOutcome
    faces: DetectedFaces = _NO_FACES
    #: The names of the faces' renditions, in their order; none if none were made.
    crops: tuple[str, ...] = ()
    #: What a model raised on this photo, if it did.
    model_error: Exception | None = None


#: A photo's outcome, and what a model raised on it, if it did.
_Done = tuple[PhotoOutcome, Exception | None]


def outcomes(
    engine: Engine, photos: Sequence[PhotoToIndex], *, limits: ImageLimits, stages: Stages = NO_STAGES
) -> list[PhotoOutcome]:
    """Return one outcome per photo, in the order given, with its faces embedded. Nothing is written.

    A photo that cannot be read as a picture fails alone, and so does one that a model fails on. Raises NotOpen, Busy,
    PhotoStorageUnavailable, and what a model raises when it fails on every picture: then the pictures are not to blame.
    """
    threads = engine.config.decode_threads
    detected = prefetched(lambda photo: _detect(engine, photo, limits, stages), photos, threads=threads)
    done = list(_embed_all(engine, detected, stages))
    _raise_if_the_model_is_to_blame(done)
    return [outcome for outcome, _ in done]


def _detect(engine: Engine, photo: PhotoToIndex, limits: ImageLimits, stages: Stages) -> _Detected:
    """Read and decode one photo and detect its faces; an error of the photo itself becomes a failed outcome."""
    engine.pack  # noqa: B018  raises NotOpen, for which no photo is to blame
    failed = PhotoOutcome(photo_id=photo.photo_id, state="failed")
    try:
        data = photo_bytes(photo.read)
    except (PhotoWithdrawn, PhotoMissing) as error:
        return _Detected(photo=photo, outcome=replace(failed, code=error.code, message=str(error)))
    rendering = _Rendering(photo, stages)
    try:
        info, faces = detect_faces(
            engine,
            data,
            limits=limits,
            located=photo.located,
            stages=stages,
            least_pixels=rendering.least_pixels,
            look=rendering.look,
        )
        names = rendering.save()
    except ImageError as error:
        return _Detected(photo=photo, outcome=replace(failed, code=error.code, message=str(error)))
    except FaceQueueError:
        raise
    except Exception as error:  # noqa: BLE001  judged in _raise_if_the_model_is_to_blame
        return _failed_by_the_model(_Detected(photo=photo, outcome=failed), error)
    outcome = replace(
        failed,
        width=info.width,
        height=info.height,
        image_format=info.format,
        capture=info.capture,
        warning=info.warning,
        renditions=names.pictures,
    )
    return _Detected(photo=photo, outcome=outcome, faces=faces, crops=names.faces)


class _Rendering:
    """The renditions of one photo. They are made while its picture is held, and saved afterwards."""

    def __init__(self, photo: PhotoToIndex, stages: Stages) -> None:
        self._photo = photo
        self._stages = stages
        self._made: Renditions | None = None

    @property
    def least_pixels(self) -> int:
        return PREVIEW_SIDE_PIXELS if self._photo.save and not self._photo.has_pictures else 0

    def look(self, picture: DecodedImage, faces: DetectedFaces) -> None:
        if self._photo.save is None or (self._photo.has_pictures and self._photo.located):
            return
        boxes = [face.detection.box for face in faces.faces]
        with timed(self._stages, "render"):
            self._made = renditions_of(picture, boxes, only_faces=self._photo.has_pictures)

    def save(self) -> RenditionNames:
        if self._made is None or self._photo.save is None:
            return RenditionNames()
        with timed(self._stages, "save"):
            return self._photo.save(self._made)


def _embed_all(engine: Engine, detected: Iterable[_Detected], stages: Stages) -> Iterator[_Done]:
    """Yield what became of each photo; crops are released as soon as there are CROPS_AT_ONCE."""
    batch: list[_Detected] = []
    for each in detected:
        batch.append(each)
        if sum(len(waiting.faces.faces) for waiting in batch) >= CROPS_AT_ONCE:
            yield from _embed(engine, batch, stages)
            batch = []
    yield from _embed(engine, batch, stages)


def _embed(engine: Engine, batch: Sequence[_Detected], stages: Stages) -> list[_Done]:
    """Embed the faces of some photos together; when that fails, photo by photo, so that a bad one fails alone."""
    try:
        with timed(stages, "embed"):
            embedded = engine.embed([each.faces.faces for each in batch])
    except FaceQueueError:
        raise
    except Exception as error:  # noqa: BLE001  judged in _raise_if_the_model_is_to_blame
        if len(batch) > 1:
            return [done for each in batch for done in _embed(engine, [each], stages)]
        failed = _failed_by_the_model(batch[0], error)
        return [(failed.outcome, error)]
    return [(_with_faces(each, faces), each.model_error) for each, faces in zip(batch, embedded, strict=True)]


def _failed_by_the_model(detected: _Detected, error: Exception) -> _Detected:
    traceback.clear_frames(error.__traceback__)  # they hold the picture; the error is kept until the chunk ends
    message = "The face model could not process this picture."
    outcome = replace(detected.outcome, code=ImageError.code, message=message)
    return replace(detected, outcome=outcome, faces=_NO_FACES, model_error=error)


def _with_faces(detected: _Detected, faces: Sequence[Face]) -> PhotoOutcome:
    """Return the outcome of a photo whose faces are embedded; a failed one is returned unchanged."""
    if detected.outcome.code:
        return detected.outcome
    rejected = detected.faces.rejected
    outcome = replace(detected.outcome, rejected=rejected)
    if not faces:
        reason = why_no_face([face.reason for face in rejected])
        return replace(outcome, state="no_faces", code=reason.code, message=reason.message)
    ids = face_ids(detected.photo.photo_id, [face.box for face in faces], detected.photo.known_faces)
    crops = detected.crops or ("",) * len(faces)
    indexed = tuple(
        IndexedFace(face_id=id_, face=face, crop=crop) for id_, face, crop in zip(ids, faces, crops, strict=True)
    )
    return replace(outcome, state="indexed", faces=indexed)


def _raise_if_the_model_is_to_blame(done: Sequence[_Done]) -> None:
    """Raise the model's error if it failed on every picture: a lost GPU must not make good photos fail."""
    errors = [error for outcome, error in done if error is not None or outcome.width is not None]
    if errors and errors[0] is not None and all(errors):
        raise errors[0]
