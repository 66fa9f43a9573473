"""The database tasks of generations, run by the records worker. Thin: they parse a message and call a service."""

from typing import Any

from celery import shared_task

from tasks import names
from tasks.messages.consistency import Checked
from tasks.messages.generations import Copied, Dropped, Measured
from webapp.gallery.tasks import RETRIED
from webapp.operations import checking, generation_services, measuring, reindexing


# Not retried: beat sends the next one soon.
@shared_task(name=names.ADVANCE_GENERATIONS, ignore_result=True)
def advance_generations() -> None:
    """Fill and measure generations."""
    reindexing.generations_advance()


@shared_task(name=names.RECORD_COPY, **RETRIED)
def record_copy(message: dict[str, Any]) -> None:
    """Write down that a range of photos was copied."""
    reindexing.copy_record(copied=Copied.from_json(message))


@shared_task(name=names.RECORD_MEASUREMENT, **RETRIED)
def record_measurement(message: dict[str, Any]) -> None:
    """Keep what a worker has measured."""
    measuring.measurement_record(measured=Measured.from_json(message))


@shared_task(name=names.RECORD_DROP, **RETRIED)
def record_drop(message: dict[str, Any]) -> None:
    """Delete the row of a generation whose collection is gone."""
    generation_services.drop_record(collection=Dropped.from_json(message).collection)


@shared_task(name=names.RECORD_CHECK, **RETRIED)
def record_check(message: dict[str, Any]) -> None:
    """Write down how a range of photos differs, and go on with the next."""
    checking.check_record(checked=Checked.from_json(message))


@shared_task(name=names.ASK_FOR_RECALL, ignore_result=True)
def ask_for_recall() -> None:
    """Have live searches measured."""
    checking.recall_ask()
