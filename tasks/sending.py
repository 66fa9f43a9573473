"""Publishing: the one place that puts a message on a queue."""

from typing import Any

import redis
from kombu.exceptions import OperationalError

from tasks import queues
from tasks.app import app
from tasks.errors import QueueUnavailable
from tasks.messages.base import Message
from tasks.queues import Priority


def check_sendable(message: Message, queue: str) -> None:
    """Raise ValueError for a message without a task and for a queue that no role consumes."""
    if not message.task_name:
        raise ValueError(f"No task takes a {type(message).__name__}: it is an answer.")
    if not queues.is_known(queue):
        raise ValueError(f"No role consumes the queue {queue!r}.")


def send(message: Message, *, queue: str, priority: Priority | None = None, **options: Any) -> None:
    """Send the message to its task; a `priority` replaces its kind's; `options` are those of Celery's send_task.

    Blocks no longer than the role's socket timeout. Raises QueueUnavailable, and what `check_sendable` raises. Events
    and logs show the kind of message only, not its content.
    """
    check_sendable(message, queue)
    try:
        app.send_task(
            message.task_name,
            kwargs={"message": message.to_json()},
            queue=queue,
            priority=int(message.priority if priority is None else priority),
            argsrepr="()",
            kwargsrepr=f"{{{type(message).__name__}}}",
            **options,
        )
    except (OperationalError, redis.RedisError, OSError) as error:
        raise QueueUnavailable("The queue does not answer: Redis is down or busy.") from error
