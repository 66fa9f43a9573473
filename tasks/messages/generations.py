"""Building, measuring and dropping a generation."""

from typing import ClassVar

from pydantic import Field

from tasks import names
from tasks.messages.base import Message, Target
from tasks.messages.search import Match
from tasks.queues import Priority


class CopyRequest(Message):
    """Copy the embeddings of a gallery's photos, from `first` to `last` in the order of their ids, unchanged."""

    task_name: ClassVar[str] = names.COPY_FACES

    source: Target
    target: Target
    gallery_id: str
    first: str
    last: str


class Copied(Message):
    """Sent by a copy task to the records worker: how many faces the range now has."""

    task_name: ClassVar[str] = names.RECORD_COPY
    priority: ClassVar[Priority] = Priority.NORMAL

    collection: str
    #: The collection that they were copied from.
    source: str
    gallery_id: str
    first: str
    last: str
    face_count: int


class MeasureRequest(Message):
    """Measure a collection for the gates of a generation.

    `face_ids` by gallery are the faces whose nearest neighbours are compared between two generations.
    """

    task_name: ClassVar[str] = names.MEASURE_COLLECTION

    target: Target
    #: Identifies this measurement; answers to earlier requests are ignored.
    run_id: str
    face_ids: dict[str, tuple[str, ...]] = Field(default_factory=dict)


class Measured(Message):
    """What a collection holds, and what its index misses."""

    task_name: ClassVar[str] = names.RECORD_MEASUREMENT
    priority: ClassVar[Priority] = Priority.NORMAL

    collection: str
    run_id: str
    #: Faces of users: the canary's is left out.
    face_count: int
    #: None when there was nothing to measure it with.
    match_recall: float | None
    #: For each requested face in the collection, the most similar others at or above the pack's threshold.
    neighbours: dict[str, tuple[Match, ...]] = Field(default_factory=dict)
    #: How long measuring took.
    seconds: float = 0.0


class DropRequest(Message):
    """Drop the collection of a generation that is no longer searched or filled."""

    task_name: ClassVar[str] = names.DROP_COLLECTION

    target: Target


class Dropped(Message):
    task_name: ClassVar[str] = names.RECORD_DROP
    priority: ClassVar[Priority] = Priority.NORMAL

    collection: str
