"""Making renditions of photos that were indexed before: the request, and what became of each photo."""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from tasks import names
from tasks.messages.base import Message
from tasks.messages.indexing import PhotoRef
from tasks.queues import Priority


class RenderRequest(Message):
    """Make the renditions of a chunk of photos of one gallery, and of their `known_faces`. No model runs.

    A worker runs it while no other photo is open in its process if it is `alone`: its one photo may have killed a
    worker.
    """

    task_name: ClassVar[str] = names.RENDER_PHOTOS
    priority: ClassVar[Priority] = Priority.NORMAL

    gallery_id: str
    photos: tuple[PhotoRef, ...]
    alone: bool = False


class RenderedPhoto(BaseModel):
    """What became of one photo: the digests of its renditions, `crops` by face id; or why there are none."""

    model_config = ConfigDict(frozen=True)

    photo_id: str
    renditions: str = ""
    crops: dict[str, str] = {}
    code: str = ""
    message: str = ""


class Rendered(Message):
    """Sent by a rendering task to the records worker."""

    task_name: ClassVar[str] = names.RECORD_RENDITIONS
    priority: ClassVar[Priority] = Priority.NORMAL

    photos: tuple[RenderedPhoto, ...]
