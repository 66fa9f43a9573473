"""The database tasks of generations, run by the records worker. Thin: they parse a message and call a service."""

from typing import Any

from celery import shared_task

from tasks import names
from tasks.messages.generations import Dropped, Measured
from webapp.generations import measuring, services
from webapp.generations.searched import live_recall, recall
from webapp.record_tasks import RETRIED, long_tick


@shared_task(name=names.RECORD_MEASUREMENT, **RETRIED)
def record_measurement(message: dict[str, Any]) -> None:
    """Keep what a worker has measured."""
    measuring.measurement_record(measured=Measured.from_json(message))


@shared_task(name=names.RECORD_DROP, **RETRIED)
def record_drop(message: dict[str, Any]) -> None:
    """Delete the row of a generation whose collection is gone."""
    services.drop_record(collection=Dropped.from_json(message).collection)


@long_tick(names.WATCH_MATCH_RECALL)
def watch_match_recall() -> None:
    """Measure what is searched, and settle changes of search parameters."""
    recall.searched_recall_tick()


@shared_task(name=names.ASK_FOR_RECALL, ignore_result=True)
def ask_for_recall() -> None:
    """Have live searches measured."""
    live_recall.recall_ask()
