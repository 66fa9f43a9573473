"""The Celery app. Task modules are listed as strings: a process that only sends tasks imports none of them."""

import os

from celery import Celery

from tasks import context, logs, tracing  # noqa: F401  they listen to Celery's signals
from tasks.schedule import beat_schedule

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.config.settings")

GPU_TASKS = ["tasks.lifecycle", "tasks.search", "tasks.index", "tasks.reindex", "tasks.checking", "tasks.gpu_canary"]
RECORD_TASKS = ["webapp.gallery.tasks", "webapp.operations.upkeep", "webapp.operations.generation_tasks"]

app = Celery("facequeue", include=[*GPU_TASKS, *RECORD_TASKS])
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.beat_schedule = beat_schedule()
