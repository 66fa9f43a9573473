"""A service whose ended processes are started again, as a supervisor (systemd, Compose) does in production."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import pytest

from tests.service import EVERYTHING, RunningService
from webapp.operations.ports import LocalPorts

# One line for each request of the traffic would hide the figures.
logging.getLogger("httpx").setLevel(logging.WARNING)

#: Chunks are small so that a fault meets many messages; an unacknowledged one comes back soon.
ENVIRONMENT = {
    "INDEX_CHUNK_SIZE": "4",
    "INDEX_LEASE_SECONDS": "5",
    "VISIBILITY_TIMEOUT_SECONDS": "15",
    "SEARCH_TIMEOUT_SECONDS": "12",
    "WORKER_SOFT_SHUTDOWN_SECONDS": "5",
}


class Supervisor:
    """Starts each process of the service again that has ended. Use as a context manager."""

    def __init__(self, service: RunningService) -> None:
        self._service = service
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)
        self.restarts: list[str] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(0.5):
            for name in EVERYTHING:
                if self._service.process(name).poll() is not None:
                    self.restarts.append(name)
                    self._service.start(name)


@contextmanager
def supervised(
    folder: Path, *, environment: dict[str, str] | None = None, ports: LocalPorts | None = None
) -> Iterator[tuple[RunningService, Supervisor]]:
    """Run the whole service, healthy, with a supervisor."""
    environment = ENVIRONMENT | (environment or {})
    with RunningService(folder, processes=EVERYTHING, environment=environment, ports=ports) as service:
        service.create_user()
        service.wait_until_healthy()
        with Supervisor(service) as supervisor:
            yield service, supervisor


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """One service for all faults of a module: each must find it whole, because the one before has left it so."""
    with supervised(tmp_path_factory.mktemp("faults")) as (service, _):
        yield service
