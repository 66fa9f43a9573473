"""The check at the door of every GPU task: is this message one that this worker may act on?"""

from typing import Any, TypeVar

from pydantic import ValidationError

from tasks.config import QueueConfig
from tasks.errors import BadMessage
from tasks.lifecycle import state
from tasks.messages import Message, Target
from worker.errors import ModelMismatch

M = TypeVar("M", bound=Message)


def parse(kind: type[M], message: dict[str, Any]) -> M:
    """Return the message as `kind`. Raises BadMessage; its text names fields, never their values."""
    try:
        return kind.from_json(message)
    except ValidationError as error:
        fields = ", ".join(".".join(map(str, problem["loc"])) for problem in error.errors())
        raise BadMessage(f"{kind.__name__} does not fit this release: {fields}") from None


def check_target(target: Target) -> None:
    """Raises ModelMismatch when the message is for another pack or collection than this worker's."""
    mine = Target(pack=state.face_index.pack.name, collection=QueueConfig.from_django().target.collection)
    if target != mine:
        raise ModelMismatch(
            f"The message is for pack {target.pack!r} and collection {target.collection!r}, "
            f"this worker has {mine.pack!r} and {mine.collection!r}."
        )
