"""Publishing: the one place that puts a message on a queue."""

from typing import Any

import redis
from kombu.exceptions import OperationalError

from tasks import queues
from tasks.app import app
from tasks.errors import QueueUnavailable
from tasks.messages.base import Message


def check_sendable(message: Message, queue: str) -> None:
    """Raises ValueError for a message that has no task, and for a queue that no worker could consume."""
    if not message.task_name:
        raise ValueError(f"{type(message).__name__} is an answer: no task takes it.")
    if not queues.is_known(queue):
        raise ValueError(f"No worker consumes a queue named {queue!r}.")


def send(message: Message, *, queue: str, **options: Any) -> None:
    """Send the message to its task; `options` are those of Celery's send_task.

    Blocks for the role's socket timeout at most. Raises QueueUnavailable, and what `check_sendable` raises. The
    arguments stay out of events and logs: only the kind of message is shown.
    """
    check_sendable(message, queue)
    try:
        app.send_task(
            message.task_name,
            kwargs={"message": message.to_json()},
            queue=queue,
            argsrepr="()",
            kwargsrepr=f"{{{type(message).__name__}}}",
            **options,
        )
    except (OperationalError, redis.RedisError, OSError) as error:
        raise QueueUnavailable("The queue does not answer: Redis is down or busy.") from error
