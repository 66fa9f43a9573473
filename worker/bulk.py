"""The bulk path: many photos in, one outcome each, as fast as the machine allows and in bounded memory.

Photos are read, decoded and looked at by some threads, a few photos ahead, each holding one picture; the detector runs
for all of them together where that pays. Of a picture only the aligned faces are kept. As soon as there are enough of
them, across photos, they are described together and let go.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from worker.config import ImageLimits
from worker.detection import look_at
from worker.errors import FaceQueueError, ImageError, PhotoMissing, PhotoStorageUnavailable
from worker.face_ids import face_ids
from worker.metrics import NO_STAGES, Stages, timed
from worker.prefetch import in_order
from worker.recognition.interfaces import Box, Detection, Engine, Face, Findings, RejectedFace

PhotoState = Literal["indexed", "no_faces", "failed"]

#: Crops that are described together: enough for full runs of any model, and 2.4 MB.
CROPS_AT_ONCE = 64

_REJECTED = {"low_score": "too unclear", "too_small": "too small", "low_quality": "of too low quality"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoToIndex:
    """One photo. `read` is called once, in the worker, and returns the file's bytes.

    It raises FileNotFoundError when the file is gone, and any other OSError when the storage is in trouble; it may be
    called from any thread. `known_faces` are the faces that the database already has for it: a face found again keeps
    its id. `located` are those of them that the pack's own detector has found in it, best score first: then it does not
    look again, and they are only described. Empty, it looks, for nothing tells what it has found nothing in.
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
    the faces that FACE_CONFIG's thresholds left out.
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


_NOTHING = Findings()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Looked:
    """A photo that was read, decoded and looked at: what is known before its faces are described."""

    photo: PhotoToIndex
    outcome: PhotoOutcome
    found: Findings = _NOTHING
    #: What a model raised on this photo, if it did.
    model_error: Exception | None = None


#: A photo's outcome, and what a model raised on it, if it did.
_Done = tuple[PhotoOutcome, Exception | None]


def outcomes(
    engine: Engine, photos: Sequence[PhotoToIndex], *, limits: ImageLimits, stages: Stages = NO_STAGES
) -> list[PhotoOutcome]:
    """Return one outcome per photo, in the order given, with its faces described. Nothing is written.

    A photo that cannot be read as a picture fails alone, and so does one that a model fails on. Raises NotOpen, Busy,
    PhotoStorageUnavailable, and what a model raises when it fails on every picture: then it is not the pictures' fault.
    """
    threads = engine.config.decode_threads
    looks = in_order(lambda photo: _look(engine, photo, limits, stages), photos, threads=threads)
    done = list(_described(engine, looks, stages))
    _raise_if_the_model_is_to_blame(done)
    return [outcome for outcome, _ in done]


def _look(engine: Engine, photo: PhotoToIndex, limits: ImageLimits, stages: Stages) -> _Looked:
    """Read, decode and look at one photo; what is the photo's own fault becomes a failed outcome."""
    engine.pack  # noqa: B018  raises NotOpen, which is nobody's photo's fault
    failed = PhotoOutcome(photo_id=photo.photo_id, state="failed")
    try:
        data = photo.read()
    except FileNotFoundError:
        return _Looked(photo=photo, outcome=replace(failed, code=PhotoMissing.code, message=PhotoMissing.sentence))
    except OSError as error:
        raise PhotoStorageUnavailable("The storage of the photos cannot be read at the moment.") from error
    try:
        picture, found = look_at(engine, data, limits=limits, located=photo.located, stages=stages)
    except ImageError as error:
        return _Looked(photo=photo, outcome=replace(failed, code=error.code, message=str(error)))
    except FaceQueueError:
        raise
    except Exception as error:  # noqa: BLE001  judged in _raise_if_the_model_is_to_blame
        return _failed_by_the_model(_Looked(photo=photo, outcome=failed), error)
    outcome = replace(failed, width=picture.width, height=picture.height, image_format=picture.format)
    return _Looked(photo=photo, outcome=outcome, found=found)


def _described(engine: Engine, looks: Iterable[_Looked], stages: Stages) -> Iterator[_Done]:
    """Yield what became of each photo; crops are let go as soon as there are CROPS_AT_ONCE."""
    batch: list[_Looked] = []
    for look in looks:
        batch.append(look)
        if sum(len(each.found.faces) for each in batch) >= CROPS_AT_ONCE:
            yield from _describe(engine, batch, stages)
            batch = []
    yield from _describe(engine, batch, stages)


def _describe(engine: Engine, batch: Sequence[_Looked], stages: Stages) -> list[_Done]:
    """Describe the faces of some photos together; when that fails, photo by photo, so that one fails alone."""
    try:
        with timed(stages, "embed"):
            described = engine.describe([look.found.faces for look in batch])
    except FaceQueueError:
        raise
    except Exception as error:  # noqa: BLE001  judged in _raise_if_the_model_is_to_blame
        if len(batch) > 1:
            return [done for look in batch for done in _describe(engine, [look], stages)]
        failed = _failed_by_the_model(batch[0], error)
        return [(failed.outcome, error)]
    return [(_with_faces(look, faces), look.model_error) for look, faces in zip(batch, described, strict=True)]


def _failed_by_the_model(look: _Looked, error: Exception) -> _Looked:
    message = "The face model could not work on this picture."
    outcome = replace(look.outcome, code=ImageError.code, message=message)
    return replace(look, outcome=outcome, found=_NOTHING, model_error=error)


def _with_faces(look: _Looked, faces: Sequence[Face]) -> PhotoOutcome:
    """Return the outcome of a photo whose faces are described; a failed one stays as it is."""
    if look.outcome.code:
        return look.outcome
    outcome = replace(look.outcome, rejected=look.found.rejected)
    if not faces:
        return replace(outcome, state="no_faces", code="no_face_found", message=why_no_face(look.found.rejected))
    ids = face_ids(look.photo.photo_id, [face.box for face in faces], look.photo.known_faces)
    indexed = tuple(IndexedFace(face_id=id_, face=face) for id_, face in zip(ids, faces, strict=True))
    return replace(outcome, state="indexed", faces=indexed)


def why_no_face(rejected: Sequence[RejectedFace]) -> str:
    """Return the sentence for a picture without a face, or with none that the thresholds let through."""
    if not rejected:
        return "No face was found in this picture."
    reasons = [face.reason for face in rejected]
    counts = [f"{reasons.count(reason)} {text}" for reason, text in _REJECTED.items() if reason in reasons]
    return f"No usable face was found in this picture: {', '.join(counts)}."


def _raise_if_the_model_is_to_blame(done: Sequence[_Done]) -> None:
    """Raise what the model raised if it got through no picture at all: a lost GPU must not fail good photos."""
    errors = [error for outcome, error in done if error is not None or outcome.width is not None]
    if errors and errors[0] is not None and all(errors):
        raise errors[0]
