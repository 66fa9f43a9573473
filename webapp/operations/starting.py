"""What a service that has just been started still lacks; for `manage.py up` and `manage.py demo`."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable
from typing import Final

from django.conf import settings

from tasks.errors import QueueUnavailable
from tasks.health.checks import HealthReport
from tasks.health.inspection import redis_status
from tasks.web.search_client import SearchClient
from webapp.generations.selectors import ActiveTarget
from webapp.operations.local import LocalProcess, local_processes

POLL_SECONDS: Final = 0.5


def missing() -> str:
    """Say in one sentence what the service still waits for; empty when it is healthy and every server listens."""
    for name, url in (("redis", settings.REDIS_URL), ("redis-cache", settings.REDIS_CACHE_URL)):
        # Checked first: a search client would log that it cannot reach them.
        try:
            redis_status(url)
        except QueueUnavailable:
            return f"{name} does not answer yet."
    if silent := [process.name for process in local_processes(settings.PORTS) if not _listens(process)]:
        return f"Not listening yet: {', '.join(silent)}."
    report = health_report()
    if report.is_healthy:
        return ""
    first, *others = report.problems
    return f"{first} ({len(others)} more problems)" if others else first


def health_report() -> HealthReport:
    """Read what the workers report. Never raises for a service that is down."""

    async def read() -> HealthReport:
        async with SearchClient(active_target=ActiveTarget()) as client:
            return await client.health_check()

    return asyncio.run(read())


def announce_when_ready(announce: Callable[[str], None]) -> None:
    """Announce, from a thread that ends with this process, that the service is ready."""
    started = time.monotonic()

    def wait() -> None:
        while missing():
            time.sleep(POLL_SECONDS)
        seconds = time.monotonic() - started
        announce(f"Everything is healthy after {seconds:.0f} s. Pages: http://127.0.0.1:{settings.PORTS.web}/")

    threading.Thread(target=wait, name="announce-ready", daemon=True).start()


class Patience:
    """Runs out when nothing has changed for a number of seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._seen: object = None
        self._changed_at = time.monotonic()

    def saw(self, state: object) -> bool:
        """Note what can be seen now; return whether it has changed."""
        has_changed = state != self._seen
        if has_changed:
            self._seen, self._changed_at = state, time.monotonic()
        return has_changed

    @property
    def is_exhausted(self) -> bool:
        return time.monotonic() - self._changed_at > self._seconds


def _listens(process: LocalProcess) -> bool:
    if process.port is None:
        return True
    host = settings.WEB_HOST if process.name == "web" else "127.0.0.1"
    try:
        socket.create_connection((host, process.port), timeout=1.0).close()
    except OSError:
        return False
    return True
