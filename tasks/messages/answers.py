"""What the answers to query images have in common. Their tasks share the search workers: search, verify, detect."""

from typing import TypeVar

from pydantic import BaseModel, ConfigDict

from tasks.messages.base import BoxInfo, ErrorInfo, Message
from worker.reasons import RejectCode


class Answer(Message):
    """An answer that a request waits for; with `error`, the rest is empty."""

    error: ErrorInfo | None = None


A = TypeVar("A", bound=Answer)


class SeenFace(BaseModel):
    """A face in a query image. `landmarks` are five (x, y) points in pixels, score and quality are 0..1."""

    model_config = ConfigDict(frozen=True)

    box: BoxInfo
    landmarks: tuple[tuple[float, float], ...]
    score: float
    quality: float


class RejectedFaceInfo(BaseModel):
    """A face in a query image that a threshold in FACE_CONFIG excluded, and which one."""

    model_config = ConfigDict(frozen=True)

    box: BoxInfo
    score: float
    reason: RejectCode
