"""The Celery app. Task modules are listed as strings: a process that only sends tasks imports none of them."""

import os

from celery import Celery

from tasks.schedule import BEAT_SCHEDULE

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.config.settings")

app = Celery("facequeue", include=["tasks.lifecycle", "tasks.search", "tasks.index", "webapp.gallery.tasks"])
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.beat_schedule = BEAT_SCHEDULE
