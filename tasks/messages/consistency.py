"""Comparing a collection with the database, and measuring the match recall of live searches."""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from tasks import names
from tasks.messages.base import Message, Target
from tasks.queues import Priority


class CheckRequest(Message):
    """Compare the faces of a gallery's photos, from `first` to `last` in the order of their ids, with the database's.

    With `repairs`, a known face that has several rows is rewritten as one.
    """

    task_name: ClassVar[str] = names.CHECK_FACES

    target: Target
    #: Identifies this check; answers to earlier ones are ignored.
    run_id: str
    gallery_id: str
    first: str
    last: str
    face_ids: tuple[str, ...]
    #: By the shared clock, just before they were read from the database.
    known_at: float
    repairs: bool = False


class StrayRequest(Message):
    """Look for faces of any gallery but `gallery_ids`, unless the collection has only `face_count` faces."""

    task_name: ClassVar[str] = names.FIND_STRAYS

    target: Target
    run_id: str
    gallery_ids: tuple[str, ...]
    #: How many faces those galleries have.
    face_count: int
    known_at: float


class OrphanInfo(BaseModel):
    """A face in a collection that the database does not know."""

    model_config = ConfigDict(frozen=True)

    face_id: str
    photo_id: str
    gallery_id: str


class Checked(Message):
    """What a worker found for a CheckRequest or, without a gallery, for a StrayRequest."""

    task_name: ClassVar[str] = names.RECORD_CHECK
    priority: ClassVar[Priority] = Priority.NORMAL

    collection: str
    run_id: str
    known_at: float
    gallery_id: str = ""
    first: str = ""
    last: str = ""
    #: Faces in the range.
    face_count: int = 0
    missing: tuple[str, ...] = ()
    #: Not more than tasks.worker.consistency.MOST_ORPHANS.
    orphaned: tuple[OrphanInfo, ...] = ()
    duplicated: tuple[str, ...] = ()


class RecallSample(Message):
    """Measure the match recall of the searches that a worker has recently answered in a collection."""

    task_name: ClassVar[str] = names.SAMPLE_RECALL

    target: Target
