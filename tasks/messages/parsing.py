"""Parsing: every GPU task first checks that this release understands the message."""

from typing import Any, TypeVar

from pydantic import ValidationError

from tasks.errors import BadMessage
from tasks.messages.base import Message

M = TypeVar("M", bound=Message)


def parse(kind: type[M], message: dict[str, Any]) -> M:
    """Return the message as `kind`. Raises BadMessage; its text names fields, never their values."""
    try:
        return kind.from_json(message)
    except ValidationError as error:
        fields = ", ".join(".".join(map(str, problem["loc"])) for problem in error.errors())
        raise BadMessage(f"{kind.__name__} does not fit this release: {fields}") from None
