"""Log lines: JSON for machines, or one readable line; both carry the ids of their request and task.

All code logs through `logging`; structlog holds the ids (its context variables) and writes the JSON.
"""

import logging
import os
from typing import Any, Final, Literal

import structlog
from celery.signals import after_setup_logger, after_setup_task_logger
from django.conf import settings
from structlog.typing import EventDict, WrappedLogger

LogFormat = Literal["json", "line"]
LINE: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def formatter(log_format: LogFormat) -> logging.Formatter:
    """Return the formatter of every handler of this service."""
    return _json_formatter() if log_format == "json" else _LineFormatter(LINE)


class _LineFormatter(logging.Formatter):
    """The plain line, with the bound ids after the message."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        ids = " ".join(f"{name}={value}" for name, value in structlog.contextvars.get_contextvars().items())
        return super().formatMessage(record) + (f" [{ids}]" if ids else "")


def _json_formatter() -> logging.Formatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _add_pid,
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            structlog.processors.EventRenamer("message"),
            structlog.processors.JSONRenderer(sort_keys=True),
        ],
    )


def _add_pid(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    event["pid"] = os.getpid()
    return event


@after_setup_logger.connect
@after_setup_task_logger.connect
def use_our_format(logger: logging.Logger, **_: Any) -> None:
    """Celery creates the handlers of workers and beat; the format of their lines is ours."""
    for handler in logger.handlers:
        handler.setFormatter(formatter(settings.LOG_FORMAT))
