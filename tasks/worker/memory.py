"""A limit on a worker's memory: above it the worker shuts down as on SIGTERM, and its supervisor starts it again.

Celery's own limit (`worker_max_memory_per_child`) is for the children of a prefork pool; the workers that hold models
have threads. SIGTERM is the warm shutdown of every pool: the worker takes no more messages, finishes what is running,
and returns to the queue what it has taken and not started.
"""

import contextlib
import logging
import os
import signal
import threading
from typing import Final

import psutil

from worker.config import FaceConfig

logger = logging.getLogger(__name__)

CHECK_INTERVAL_SECONDS: Final = 5.0
MB: Final = 1024 * 1024
#: How often a file may be in memory while it is decoded: what was read, and copies inside the decoders.
FILE_COPIES: Final = 3
#: What else a worker with a model may grow by, in MB: buffers of model runs, caches, and what the heap does not return.
OTHER_GROWTH_MB: Final = 512


def growth_mb(config: FaceConfig, *, threads: int) -> float:
    """Return by how much a worker may grow after it has opened its model, if that many threads read images."""
    return (config.most_picture_bytes + threads * FILE_COPIES * config.max_image_bytes) / MB + OTHER_GROWTH_MB


def memory_mb(process: psutil.Process) -> float:
    """Return the resident memory of the process and its children; a child may end meanwhile."""
    total_bytes = 0
    for each in (process, *process.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            total_bytes += each.memory_info().rss
    return round(total_bytes / MB, 1)


class MemoryBound:
    """Watches this process from a background thread, and ends it once."""

    def __init__(self, bound_mb: float, *, interval_seconds: float = CHECK_INTERVAL_SECONDS) -> None:
        self._bound_mb = bound_mb
        self._interval_seconds = interval_seconds
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="memory-bound", daemon=True)

    def open(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._stopping.set()

    def _run(self) -> None:
        process = psutil.Process()
        while not self._stopping.wait(self._interval_seconds):
            used_mb = memory_mb(process)
            if used_mb > self._bound_mb:
                logger.warning(
                    "This worker uses %.0f MB; its limit is %.0f MB (WORKER_MAX_MEMORY_MB). It finishes what is "
                    "running and exits, to be started again.",
                    used_mb,
                    self._bound_mb,
                )
                os.kill(os.getpid(), signal.SIGTERM)
                return
