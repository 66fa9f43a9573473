"""One search: the request, and its answer."""

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from tasks import names
from tasks.messages.base import BoxInfo, ErrorInfo, Message, Target

#: Which faces of a query image are searched.
SearchedFaces = Literal["all", "largest"]


class SearchRequest(Message):
    """Search a set of galleries by one query image, which waits in redis-cache under `image_key`."""

    task_name: ClassVar[str] = names.SEARCH_FACES

    target: Target
    gallery_ids: tuple[str, ...] = Field(min_length=1)
    image_key: str
    limit: int = Field(ge=1, le=1000)
    #: On the pack's scale, as all similarities outside a vector store; None asks for the pack's own threshold.
    min_similarity: float | None = Field(default=None, ge=-1, le=1)
    faces: SearchedFaces = "all"


class Match(BaseModel):
    """A face found by a search; its similarity (-1..1) is on the pack's scale."""

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

    `reason` is set when the search succeeded and has nothing to show (`no_face_found`).
    """

    faces: tuple[FaceMatches, ...] = ()
    reason: ErrorInfo | None = None
    error: ErrorInfo | None = None
    #: Size of the upright query image in pixels, for drawing its boxes.
    width: int | None = None
    height: int | None = None
