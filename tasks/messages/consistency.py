"""Comparing a collection with the database, and measuring the match recall of live searches."""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from tasks import names
from tasks.messages.base import Message, Target


class CheckRequest(Message):
    """Compare the faces of a gallery's photos, from `first` to `last` in the order of their ids, with the database's.

    With `repairs`, a known face that has several rows is written once.
    """

    task_name: ClassVar[str] = names.CHECK_FACES

    target: Target
    #: Names this check: an answer to an earlier one is of no use.
    ticket: str
    gallery_id: str
    first: str
    last: str
    face_ids: tuple[str, ...]
    #: time.time() before the database was asked for them.
    known_at: float
    repairs: bool = False


class StrayRequest(Message):
    """Look for faces of galleries that are none of `gallery_ids`, unless the collection has only `face_count`."""

    task_name: ClassVar[str] = names.FIND_STRAYS

    target: Target
    ticket: str
    gallery_ids: tuple[str, ...]
    #: How many faces those galleries have.
    face_count: int
    known_at: float


class OrphanInfo(BaseModel):
    """A face that stands in a collection and that the database did not name."""

    model_config = ConfigDict(frozen=True)

    face_id: str
    photo_id: str
    gallery_id: str


class Checked(Message):
    """What a worker has found for a CheckRequest, or, without a gallery, for a StrayRequest."""

    task_name: ClassVar[str] = names.RECORD_CHECK

    collection: str
    ticket: str
    known_at: float
    gallery_id: str = ""
    first: str = ""
    last: str = ""
    #: Faces that stand in the range.
    face_count: int = 0
    missing: tuple[str, ...] = ()
    #: Not more than tasks.worker.consistency.MOST_ORPHANS.
    orphaned: tuple[OrphanInfo, ...] = ()
    duplicated: tuple[str, ...] = ()


class RecallSample(Message):
    """Measure the match recall of the searches that a worker has answered in a collection lately."""

    task_name: ClassVar[str] = names.SAMPLE_RECALL

    target: Target
