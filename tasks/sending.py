"""Publishing: the one place that puts a message on a queue."""

from typing import Any

import redis
from kombu.exceptions import OperationalError

from tasks.app import app
from tasks.errors import QueueUnavailable
from tasks.messages.base import Message


def send(name: str, message: Message, *, queue: str, **options: Any) -> None:
    """Send the task `name` with this message. Blocks for the role's socket timeout at most. Raises QueueUnavailable.

    The arguments are kept out of events and logs: only the kind of message is shown.
    """
    try:
        app.send_task(
            name,
            kwargs={"message": message.to_json()},
            queue=queue,
            argsrepr="()",
            kwargsrepr=f"{{{type(message).__name__}}}",
            **options,
        )
    except (OperationalError, redis.RedisError, OSError) as error:
        raise QueueUnavailable("The queue does not answer: Redis is down or busy.") from error
