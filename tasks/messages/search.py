"""One search: the request, and its answer."""

from typing import ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tasks import names
from tasks.messages.answers import Answer, RejectedFaceInfo, SeenFace
from tasks.messages.base import Message, Target
from worker.reasons import Reason
from worker.recognition.certainty import Certainties

#: Which faces of a query image are searched.
SearchedFaces = Literal["all", "largest"]


class SearchRequest(Message):
    """Search a set of galleries by one query image, which waits in redis-cache, or by one stored face."""

    task_name: ClassVar[str] = names.SEARCH_FACES

    target: Target
    gallery_ids: tuple[str, ...] = Field(min_length=1)
    #: Either the key of the image or the id of the face; the other one is empty.
    image_key: str = ""
    face_id: str = ""
    limit: int = Field(ge=1, le=1000)
    #: On the pack's scale, as all similarities outside a vector store; None asks for the pack's own threshold.
    min_similarity: float | None = Field(default=None, ge=-1, le=1)
    faces: SearchedFaces = "all"

    @model_validator(mode="after")
    def _has_one_query(self) -> Self:
        if bool(self.image_key) == bool(self.face_id):
            raise ValueError("A search has either an image or a face.")
        return self


class Match(BaseModel):
    """A face found by a search; its similarity (-1..1) is on the pack's scale."""

    model_config = ConfigDict(frozen=True)

    face_id: str
    photo_id: str
    similarity: float


class FaceMatches(BaseModel):
    """One face that was searched for, with its matches, best first; without any, the reason.

    `face` is None for a stored face: the database knows it.
    """

    model_config = ConfigDict(frozen=True)

    face: SeenFace | None
    matches: tuple[Match, ...]
    reason: Reason | None = None


class SearchResult(Answer):
    """The answer to a search: the faces searched for; when none of them has a match, the reason; or an error."""

    faces: tuple[FaceMatches, ...] = ()
    rejected: tuple[RejectedFaceInfo, ...] = ()
    #: What the pack's similarities say; None with an error.
    certainties: Certainties | None = None
    reason: Reason | None = None
    #: Size of the upright query image in pixels, for drawing its boxes.
    width: int | None = None
    height: int | None = None
