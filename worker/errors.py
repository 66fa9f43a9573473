"""What can go wrong, and what a caller should do about it.

* FaceQueueError                   code, retryable, status, sentence
  + ConfigError                    refuse: an operator must change a setting
  + ImageError                     refuse: the bytes are not an image that we accept
    - EmptyImage
    - NotAnImage
    - UnsupportedImage
    - TruncatedImage
    - ImageTooLarge
  + FaceNotIndexed                 refuse: the active generation has no embedding of this face
  + PhotoMissing                   refuse: the photo's file is gone
  + PhotoKillsWorkers              refuse: workers died while they had opened this photo and no other
  + PhotoWithdrawn                 skip: nobody wants the photo indexed any more
  + PackError                      refuse: the face model cannot be used
    - PackMissing
    - PackDamaged
    - ModelMismatch
  + NotOpen                        refuse: a bug; the resource was used before open()
  + CanaryLost                     refuse: an operator must act; a known face was not found again
  + Busy                           slow down: ask again later
  + ModelStopped                   retry later, on another worker: a thread that runs a model died in this one
  + PhotoStorageUnavailable        retry later: the photos' storage does not answer
  + VectorSearchError              see worker/vector_search/exceptions.py
  + between web and worker         see tasks/errors.py

Each class has a `code`, which is stable and travels in messages, rows and answers; `retryable`, all that the retry
policy reads; and `status`, the HTTP status of an answer. An error's text is one sentence for the person who sent the
picture or who runs the service; it never holds an image, an embedding or a secret. An error raised without a text says
the `sentence` of its class.
"""

from typing import ClassVar


class FaceQueueError(Exception):
    """The root: every error that facequeue raises on purpose."""

    code: ClassVar[str] = "internal"
    retryable: ClassVar[bool] = False
    status: ClassVar[int] = 500
    sentence: ClassVar[str] = "Something went wrong; the log of the service says what."

    def __init__(self, sentence: str = "") -> None:
        super().__init__(sentence or self.sentence)

    def __init_subclass__(cls) -> None:
        """Register the class by its code. Raises TypeError when another class has that code."""
        known = _CLASSES.setdefault(cls.code, cls)
        if known is not cls:
            raise TypeError(f"{cls.__name__} needs a code of its own: {cls.code!r} is that of {known.__name__}.")


_CLASSES: dict[str, type[FaceQueueError]] = {FaceQueueError.code: FaceQueueError}


def error_class(code: str) -> type[FaceQueueError]:
    """Return the class of errors with this code; FaceQueueError for a code that no imported module defines."""
    return _CLASSES.get(code, FaceQueueError)


class ConfigError(FaceQueueError):
    """A setting has an unknown name or a value that is not allowed."""

    code = "config"
    sentence = "A setting of the service is wrong; the log says which."


class ImageError(FaceQueueError):
    """The bytes are not an image that we accept."""

    code = "bad_image"
    status = 400
    sentence = "The file cannot be used as a picture."


class EmptyImage(ImageError):
    code = "image_empty"
    sentence = "The file is empty."


class NotAnImage(ImageError):
    code = "not_an_image"
    sentence = "The file is not an image."


class UnsupportedImage(ImageError):
    code = "image_unsupported"
    sentence = "Images of this kind are not supported."


class TruncatedImage(ImageError):
    code = "image_truncated"
    sentence = "The image is cut short or damaged."


class ImageTooLarge(ImageError):
    code = "image_too_large"
    status = 413
    sentence = "The image is too large."


class FaceNotIndexed(FaceQueueError):
    """A search by a stored face whose embedding is not in the collection: its pack does not find the face."""

    code = "face_not_indexed"
    status = 409
    sentence = "The current model does not find this face, so there is nothing to search with."


class PhotoMissing(FaceQueueError):
    """The photo's file is gone; the row is still there."""

    code = "photo_missing"
    status = 404
    sentence = "The photo's file is no longer in the storage."


class PhotoKillsWorkers(FaceQueueError):
    """Workers died while they had opened this photo and no other."""

    code = "kills_workers"
    status = 422
    sentence = "Each worker that opened this photo died, so it is not opened again."


class PhotoWithdrawn(FaceQueueError):
    """Nobody wants the photo indexed any more: it was deleted, or its job cancelled, after it was sent."""

    code = "photo_withdrawn"
    status = 410
    sentence = "This photo is no longer to be indexed."


class PackError(FaceQueueError):
    """The face model cannot be used."""

    code = "pack"
    sentence = "The face model cannot be used."


class PackMissing(PackError):
    code = "pack_missing"
    sentence = "The face model is not installed."


class PackDamaged(PackError):
    code = "pack_damaged"
    sentence = "The face model's files are damaged."


class ModelMismatch(PackError):
    """A message or a collection belongs to a pack other than this worker's."""

    code = "model_mismatch"
    status = 503
    sentence = "The worker runs a different face model from the one requested."


class NotOpen(FaceQueueError):
    """A resource was used before its open() or after its close()."""

    code = "not_open"
    status = 503
    sentence = "The service is starting or stopping."


class Busy(FaceQueueError):
    """The work was refused because too much is waiting already."""

    code = "busy"
    retryable = True
    status = 503
    sentence = "Too much is waiting already. Please try again in a moment."

    def __init__(self, sentence: str = "", *, retry_after_seconds: int | None = None) -> None:
        """`retry_after_seconds` says when there will be room, where that is known."""
        super().__init__(sentence)
        self.retry_after_seconds = retry_after_seconds


class ModelStopped(FaceQueueError):
    """A thread that runs a model died; this worker is unhealthy, another one can do the work."""

    code = "model_stopped"
    retryable = True
    status = 503
    sentence = "A worker failed; another one can answer. Please try again in a moment."


class CanaryLost(FaceQueueError):
    """The vector store does not return a face that it holds."""

    code = "canary_lost"
    sentence = "The vector store does not find a face that it holds."


class PhotoStorageUnavailable(FaceQueueError):
    """The photos' storage did not answer; the photo itself may be fine."""

    code = "photo_storage_unavailable"
    retryable = True
    status = 503
    sentence = "The storage of the photos does not answer at the moment."
