"""Which faces are in an image? The request, and its answer."""

from typing import ClassVar

from tasks import names
from tasks.messages.answers import Answer, RejectedFaceInfo, SeenFace
from tasks.messages.base import Message, Target
from worker.reasons import Reason


class DetectRequest(Message):
    """Detect the faces in an image, which waits in redis-cache; the target says by which pack."""

    task_name: ClassVar[str] = names.DETECT_FACES

    target: Target
    image_key: str


class DetectResult(Answer):
    """The answer: the faces, best score first; without any, the reason; or an error. Sizes are pixels."""

    faces: tuple[SeenFace, ...] = ()
    rejected: tuple[RejectedFaceInfo, ...] = ()
    reason: Reason | None = None
    width: int | None = None
    height: int | None = None
