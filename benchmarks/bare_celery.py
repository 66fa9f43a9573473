"""Celery as in its First Steps tutorial: a task that does nothing, with default settings apart from the addresses."""

import os

from celery import Celery

app = Celery("bare", broker=os.environ["BARE_CELERY_REDIS_URL"], backend=os.environ["BARE_CELERY_REDIS_URL"])
app.conf.task_default_queue = "bare"


@app.task
def nothing() -> None:
    """Do nothing."""
