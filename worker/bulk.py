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
from worker.errors import (
    FaceQueueError,
    ImageError,
    PhotoMissing,
    PhotoStorageUnavailable,
    PhotoWithdrawn,
)
from worker.face_ids import face_ids
from worker.metrics import NO_STAGES, Stages, timed
from worker.prefetch import prefetched
from worker.reasons import why_no_face
from worker.recognition.interfaces import Box, DetectedFaces, Detection, Engine, Face, RejectedFace

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
    """

    photo_id: str
    gallery_id: str
    read: Callable[[], bytes]
    known_faces: Mapping[str, Box] = field(default_factory=dict)
    located: Sequence[Detection] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexedFace:
    """A face of an indexed photo; its embedding is in the store under `face_id`."""

    face_id: str
    face: Face


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoOutcome:
    """What became of one photo. `code` and `message` say why unless the state is `indexed`.

    `width` and `height` are those of the upright picture in pixels, None when it could not be decoded. `rejected` are
    the faces below FACE_CONFIG's thresholds.
    """

    photo_id: str
    state: PhotoState
    code: str = ""
    message: str = ""
    width: int | None = None
    height: int | None = None
    image_format: str = ""
    faces: tuple[IndexedFace, ...] = ()
    rejected: tuple[RejectedFace, ...] = ()


_NO_FACES = DetectedFaces()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Detected:
    """A photo whose faces are detected but not embedded yet, with its outcome so far."""

    photo: PhotoToIndex
    outcome: PhotoOutcome
    faces: DetectedFaces = _NO_FACES
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
        data = photo.read()
    except PhotoWithdrawn as error:
        return _Detected(photo=photo, outcome=replace(failed, code=error.code, message=str(error)))
    except FileNotFoundError:
        return _Detected(photo=photo, outcome=replace(failed, code=PhotoMissing.code, message=PhotoMissing.sentence))
    except OSError as error:
        raise PhotoStorageUnavailable("The storage of the photos cannot be read at the moment.") from error
    try:
        info, faces = detect_faces(engine, data, limits=limits, located=photo.located, stages=stages)
    except ImageError as error:
        return _Detected(photo=photo, outcome=replace(failed, code=error.code, message=str(error)))
    except FaceQueueError:
        raise
    except Exception as error:  # noqa: BLE001  judged in _raise_if_the_model_is_to_blame
        return _failed_by_the_model(_Detected(photo=photo, outcome=failed), error)
    outcome = replace(failed, width=info.width, height=info.height, image_format=info.format)
    return _Detected(photo=photo, outcome=outcome, faces=faces)


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
    indexed = tuple(IndexedFace(face_id=id_, face=face) for id_, face in zip(ids, faces, strict=True))
    return replace(outcome, state="indexed", faces=indexed)


def _raise_if_the_model_is_to_blame(done: Sequence[_Done]) -> None:
    """Raise the model's error if it failed on every picture: a lost GPU must not make good photos fail."""
    errors = [error for outcome, error in done if error is not None or outcome.width is not None]
    if errors and errors[0] is not None and all(errors):
        raise errors[0]
