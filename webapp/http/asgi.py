"""The types of ASGI, as far as they are used here."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Message, Receive, Send], Awaitable[None]]

#: Where in the scope of a refused request its log line finds the code.
REFUSAL: Final = "facequeue.refusal"
#: Where the door notes the client whose rate the request has been counted by.
COUNTED: Final = "facequeue.counted"


def is_api(scope: Message) -> bool:
    """Tell whether the answer is for a program, not for a person."""
    path: str = scope["path"].removeprefix(scope.get("root_path", ""))
    return path.startswith("/api/")
