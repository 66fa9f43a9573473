"""The Celery app. Task modules are listed as strings: a process that only sends tasks imports none of them."""

import os

from tasks import context, logs, tracing  # noqa: F401  they listen to Celery's signals
from tasks.beat.schedule import beat_schedule
from tasks.clock.broker import use_shared_clock
from tasks.clock.celery import SharedClockCelery
from tasks.starting import check_settings_or_exit

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.config.settings")
check_settings_or_exit()  # here, because workers, beat and Flower all begin with this module

GPU_TASKS = [
    "tasks.worker.lifecycle",
    "tasks.worker.search",
    "tasks.worker.photos.indexing",
    "tasks.worker.photos.rendering",
    "tasks.worker.generations",
    "tasks.worker.consistency",
    "tasks.worker.canary",
]
RECORD_TASKS = ["webapp.indexing.tasks", "webapp.generations.tasks", "webapp.people.tasks", "webapp.operations.tasks"]

use_shared_clock()
app = SharedClockCelery("facequeue", include=[*GPU_TASKS, *RECORD_TASKS])
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.beat_schedule = beat_schedule()
