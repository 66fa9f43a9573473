"""When a worker process opens and closes what it holds.

What it opens follows from its queues: a process with a GPU queue opens one FaceIndex for all its threads, the records
worker opens none. Celery does not send `worker_process_init` to a threads pool, so the engine opens on the worker's own
start signal, before the first message is taken.
"""

import logging
import sys
from typing import Any

from celery.signals import celeryd_init, worker_init, worker_shutdown
from django.conf import settings

from tasks.worker import metrics_endpoint
from tasks.worker.niceness import lower_priority
from tasks.worker.state import state
from worker.errors import FaceQueueError

logger = logging.getLogger(__name__)


@celeryd_init.connect
def use_worker_settings(conf: Any, **_: Any) -> None:
    """Apply the workers' settings over the web's, however this worker was started."""
    conf.update(settings.CELERY_WORKER_ROLE)


@worker_init.connect
def open_worker(sender: Any, **_: Any) -> None:
    """Open what this worker's queues need; a worker that cannot work must not take messages."""
    metrics_endpoint.prepare_multiprocess_folder()
    state.concurrency = sender.concurrency
    queues = tuple(sender.app.amqp.queues.consume_from)
    lower_priority(queues)
    try:
        state.open(sender.hostname, queues)
    except FaceQueueError as error:
        state.close()
        # Celery logs and ignores an exception in a signal handler; only exiting stops the start.
        sys.exit(f"{sender.hostname} cannot start ({error.code}): {error}")


@worker_shutdown.connect
def close_worker(**_: Any) -> None:
    state.close()
