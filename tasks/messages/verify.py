"""Do two images show the same person? The request, and its answer."""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from tasks import names
from tasks.messages.answers import Answer, SeenFace
from tasks.messages.base import Message, Target
from worker.reasons import Reason


class VerifyRequest(Message):
    """Compare the largest faces of two images, which wait in redis-cache."""

    task_name: ClassVar[str] = names.VERIFY_FACES

    target: Target
    image_keys: tuple[str, str]
    #: On the pack's scale; None asks for the pack's own threshold.
    min_similarity: float | None = Field(default=None, ge=-1, le=1)


class VerifiedPictureInfo(BaseModel):
    """One of the two pictures, its size in pixels, and its largest face; without a usable one, the reason."""

    model_config = ConfigDict(frozen=True)

    face: SeenFace | None
    reason: Reason | None
    width: int
    height: int


class VerifyResult(Answer):
    """The answer: how alike the faces are (-1..1), and whether that is at least `threshold`; or an error.

    `similarity` and `is_same` are None when a picture has no usable face. Unless they are the same, with the reason.
    """

    similarity: float | None = None
    is_same: bool | None = None
    threshold: float = 0.0
    pictures: tuple[VerifiedPictureInfo, ...] = ()
    reason: Reason | None = None
