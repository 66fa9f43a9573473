"""What travels with every message besides its arguments: the id of the request behind it, and when it was sent.

Both are headers, added as a message is published, whether by the web, beat, a task or a Celery retry. The worker binds
the id to its log lines while the task runs.
"""

import re
import uuid
from typing import Any, Final

from celery.signals import before_task_publish, task_postrun, task_prerun
from structlog.contextvars import bind_contextvars, get_contextvars, reset_contextvars

from tasks import clock

REQUEST_ID: Final = "request_id"
#: In seconds since the epoch by the shared clock (tasks/clock), like every time that travels.
SENT_AT: Final = "sent_at"

#: What is accepted as an id from outside: it goes into logs, headers and messages unchanged.
_SANE_ID: Final = re.compile(r"[A-Za-z0-9._-]{8,64}")


def request_id(given: str | None = None) -> str:
    """Return `given` if it is a well-formed id, else a new one."""
    return given if given and _SANE_ID.fullmatch(given) else uuid.uuid4().hex


@before_task_publish.connect
def add_headers(headers: dict[str, Any], **_: Any) -> None:
    # A retried message already has the id; one that beat sends gets a new one.
    headers[REQUEST_ID] = get_contextvars().get(REQUEST_ID) or headers.get(REQUEST_ID) or request_id()
    headers[SENT_AT] = clock.now()


#: By the id of a running task: the tokens that unbind its ids.
_bound: dict[str, Any] = {}


@task_prerun.connect
def bind_ids(task_id: str, task: Any, **_: Any) -> None:
    ids = {"task_id": task_id, "task": task.name, REQUEST_ID: getattr(task.request, REQUEST_ID, None)}
    _bound[task_id] = bind_contextvars(**{name: value for name, value in ids.items() if value})


@task_postrun.connect
def unbind_ids(task_id: str, **_: Any) -> None:
    """The pool's thread runs its next task in the same context."""
    reset_contextvars(**_bound.pop(task_id, {}))
