"""Celery as its first steps show it: a task that does nothing, every setting but the addresses at its default."""

import os

from celery import Celery

app = Celery("bare", broker=os.environ["BARE_CELERY_REDIS_URL"], backend=os.environ["BARE_CELERY_REDIS_URL"])
app.conf.task_default_queue = "bare"


@app.task
def nothing() -> None:
    """Do nothing."""
