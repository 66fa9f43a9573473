"""Messages: small, frozen, versioned JSON. Ids and references, never pixels or embeddings.

A message outlives the release that wrote it: unknown fields are ignored, new fields have defaults, and a change that an
older worker must not misread raises `version`.
"""

from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from tasks.queues import Priority


class Message(BaseModel):
    """The base: frozen, JSON in both directions."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    #: The task that takes this kind of message (tasks/names.py). Empty for an answer, which no task takes.
    task_name: ClassVar[str] = ""
    #: Its place in a queue with messages of several priorities, unless the sender says otherwise.
    priority: ClassVar[Priority] = Priority.FIRST

    version: Literal[1] = 1

    def to_json(self) -> dict[str, Any]:
        return self.model_dump(mode="json")

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        return cls.model_validate(data)


class ErrorInfo(BaseModel):
    """An error as it travels: its stable code and one sentence for a person."""

    model_config = ConfigDict(frozen=True)

    code: str
    message: str


class BoxInfo(BaseModel):
    """Pixels of the upright picture."""

    model_config = ConfigDict(frozen=True)

    left: float
    top: float
    right: float
    bottom: float


class IndexSettings(BaseModel):
    """How a collection is indexed and searched; an empty value means the default of CollectionConfig."""

    model_config = ConfigDict(frozen=True)

    metric_type: str = ""
    index_type: str = ""
    index_params: dict[str, int] = Field(default_factory=dict)
    search_params: dict[str, int] = Field(default_factory=dict)


class Target(BaseModel):
    """The pack and the collection that a message is for: all that a worker needs to open the collection.

    A worker of another pack refuses it, and so does one whose pack has another fingerprint. Fingerprint and dimension
    are empty until a worker of the pack has reported them.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    pack: str
    collection: str
    fingerprint: str = ""
    dimension: int | None = None
    index: IndexSettings = Field(default_factory=IndexSettings)
