"""What travels with every message beside its arguments: the id of the request it came from, and when it was sent.

Both are headers, given to a message as it is published, whoever publishes it: the web, beat, a task, or Celery that
sends a task again. The worker binds the id to its log lines while the task runs.
"""

import re
import time
import uuid
from typing import Any, Final

from celery.signals import before_task_publish, task_postrun, task_prerun
from structlog.contextvars import bind_contextvars, get_contextvars, reset_contextvars

REQUEST_ID: Final = "request_id"
SENT_AT: Final = "sent_at"

#: What is taken for an id from outside: it goes into logs, headers and messages as it is.
_SANE_ID: Final = re.compile(r"[A-Za-z0-9._-]{8,64}")


def request_id(given: str | None = None) -> str:
    """Return `given` when it is a sane id, else a new one."""
    return given if given and _SANE_ID.fullmatch(given) else uuid.uuid4().hex


@before_task_publish.connect
def add_headers(headers: dict[str, Any], **_: Any) -> None:
    # A message that is sent again has the id already; one that beat sends starts a story of its own.
    headers[REQUEST_ID] = get_contextvars().get(REQUEST_ID) or headers.get(REQUEST_ID) or request_id()
    headers[SENT_AT] = time.time()


#: By the id of a running task: how to unbind what was bound for it.
_bound: dict[str, Any] = {}


@task_prerun.connect
def bind_ids(task_id: str, task: Any, **_: Any) -> None:
    ids = {"task_id": task_id, "task": task.name, REQUEST_ID: getattr(task.request, REQUEST_ID, None)}
    _bound[task_id] = bind_contextvars(**{name: value for name, value in ids.items() if value})


@task_postrun.connect
def unbind_ids(task_id: str, **_: Any) -> None:
    """A thread of the pool runs the next task in the same context."""
    reset_contextvars(**_bound.pop(task_id, {}))
