"""The canary of a GPU worker; see `tasks/health/canaries.py`."""

from typing import Any

import redis
from celery import Task, shared_task

from tasks import names
from tasks.health.canaries import CanaryLog
from tasks.queues import search_queue
from tasks.worker.state import state
from worker.errors import FaceQueueError


# Failures are what it looks for, so they get one log line and no traceback.
@shared_task(name=names.CANARY, bind=True, ignore_result=True, throws=(FaceQueueError, redis.RedisError))
def canary(self: "Task[Any, Any]", queue: str) -> None:
    """Arrive through `queue`; in a search queue, find the known face."""
    log = CanaryLog.from_django()
    if not log.claim(queue):
        return
    if queue == search_queue(state.indexes.pack.name):
        state.indexes.index(state.target).find_known_face()
    log.passed(queue, self.request)
