"""Celery by the shared clock: what it sends expires and starts by Redis' time, whichever hosts send and receive it.

Celery turns `expires` and `countdown` into times as it sends a message (`app.now()`), and the worker compares them with
its own clock. So here `app.now()` is Redis' time, for beat's schedule too, and the worker's Request (requests.py) reads
such times. Callers write `expires` and `countdown` as ever.
"""

from datetime import datetime
from functools import partial
from typing import Any, Final

from celery import Celery, Task
from celery.app.events import Events
from celery.events.dispatcher import EventDispatcher
from celery.events.event import Event

from tasks.clock.shared import now, utcnow


class SharedClockTask(Task):  # type: ignore[type-arg]
    """A task whose worker judges deadlines and start times by the shared clock."""

    abstract = True
    Request = "tasks.clock.requests:SharedClockRequest"


#: An event with the shared time: Flower warns of workers whose events are of another time.
_event: Final = partial(Event, __now__=now)


class SharedClockDispatcher(EventDispatcher):
    """Sends events with the shared time."""

    def send(self, type: str, **options: Any) -> Any:  # type: ignore[override]
        return super().send(type, Event=_event, **options)

    def publish(  # type: ignore[override]
        self, type: str, fields: dict[str, Any], producer: Any, **options: Any
    ) -> Any:
        return super().publish(type, fields, producer, Event=_event, **options)


class SharedClockEvents(Events):
    dispatcher_cls = "tasks.clock.celery:SharedClockDispatcher"


class SharedClockCelery(Celery):
    """A Celery app whose clock is the shared one."""

    task_cls = "tasks.clock.celery:SharedClockTask"
    events_cls = "tasks.clock.celery:SharedClockEvents"

    def now(self) -> datetime:
        return utcnow().astimezone(self.timezone)
