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


#: The addresses that programs use.
API: Final = "/api/"


def path_of(scope: Message) -> str:
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


def is_api(path: str) -> bool:
    """Tell whether the answer is for a program, not for a person."""
    return path.startswith(API)
