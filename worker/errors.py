"""What can go wrong, and what a caller should do about it.

* FaceQueueError                 code, retryable
  + ConfigError                  refuse: an operator must change a setting
  + ImageError                   refuse: the bytes are not a picture we take
    - EmptyImage, NotAnImage, UnsupportedImage, TruncatedImage, ImageTooLarge
  + NoFaceFound                  refuse: a picture that must show a face shows none
  + PackError                    refuse: the face model is missing, damaged or another one
    - PackMissing, PackDamaged, ModelMismatch
  + NotOpen                      refuse: a bug; the resource was used before open()
  + Busy                         slow down: ask again later
  + ModelStopped                 retry later, on another worker: a thread that runs a model died in this one
  + PhotoStorageUnavailable      retry later: the photos' storage does not answer
  + CanaryLost                   an operator must look: a known face was not found again
  + VectorSearchError            see worker/vector_search/exceptions.py

`code` is stable: it travels in messages, rows and answers. The text of the error is one sentence for
the person who sent the picture or runs the service; it never holds an image, an embedding or a secret.
`retryable` is the only thing that the retry policy reads.
"""

from typing import ClassVar


class FaceQueueError(Exception):
    """The root: every error that facequeue raises on purpose."""

    code: ClassVar[str] = "internal"
    retryable: ClassVar[bool] = False


class ConfigError(FaceQueueError):
    """A setting has an unknown name or a value that is not allowed."""

    code = "config"


class ImageError(FaceQueueError):
    """The bytes are not a picture that we take."""

    code = "bad_image"


class EmptyImage(ImageError):
    code = "image_empty"


class NotAnImage(ImageError):
    code = "not_an_image"


class UnsupportedImage(ImageError):
    code = "image_unsupported"


class TruncatedImage(ImageError):
    code = "image_truncated"


class ImageTooLarge(ImageError):
    code = "image_too_large"


class NoFaceFound(FaceQueueError):
    """A picture in which a face is wanted has none, or none that the thresholds let through."""

    code = "no_face_found"


class PackError(FaceQueueError):
    """The face model cannot be used."""

    code = "pack"


class PackMissing(PackError):
    code = "pack_missing"


class PackDamaged(PackError):
    code = "pack_damaged"


class ModelMismatch(PackError):
    """A message or a collection belongs to another pack than this worker's."""

    code = "model_mismatch"


class NotOpen(FaceQueueError):
    """A resource was used before its open() or after its close()."""

    code = "not_open"


class Busy(FaceQueueError):
    """The work was not accepted because too much is waiting already."""

    code = "busy"
    retryable = True


class ModelStopped(FaceQueueError):
    """A thread that runs a model died; this worker is unhealthy, another one can do the work."""

    code = "model_stopped"
    retryable = True


class CanaryLost(FaceQueueError):
    """The vector store does not return a face that it holds."""

    code = "canary_lost"


class PhotoStorageUnavailable(FaceQueueError):
    """The photos' storage did not answer; the photo itself may be fine."""

    code = "photo_storage_unavailable"
    retryable = True
