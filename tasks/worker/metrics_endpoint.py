"""A worker's own metrics over HTTP."""

import os
import shutil
from pathlib import Path
from typing import Final

import psutil
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.multiprocess import MultiProcessCollector

from tasks.health.metrics import REGISTRY
from worker.errors import ConfigError

#: Set for a prefork worker: its children write here, and its endpoint adds it up.
MULTIPROCESS_FOLDER: Final = os.environ.get("PROMETHEUS_MULTIPROC_DIR", "")


class MetricsEndpoint:
    """A worker process' own metrics over HTTP."""

    def __init__(self, host: str, port: int, *others: CollectorRegistry) -> None:
        """Also serves `others`. Port 0 takes a free one. Raises ConfigError."""
        registry = CollectorRegistry(auto_describe=False)
        # A collector needs only `collect()`, which a registry has.
        for part in others:
            registry.register(part)
        if MULTIPROCESS_FOLDER:
            MultiProcessCollector(registry, MULTIPROCESS_FOLDER)  # type: ignore[no-untyped-call]
        else:
            registry.register(REGISTRY)
        try:
            self._server, self._thread = start_http_server(port, addr=host, registry=registry)
        except OSError as error:
            reason = error.strerror or error
            raise ConfigError(f"METRICS_HOST and METRICS_PORT are {host!r} and {port}: {reason}.") from error
        self.address = f"{host}:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def prepare_multiprocess_folder() -> None:
    """Empty this worker's folder before its children write there, and delete those of processes that are gone."""
    if not MULTIPROCESS_FOLDER:
        return
    own = Path(MULTIPROCESS_FOLDER)
    own.mkdir(parents=True, exist_ok=True)
    gone = [each for each in own.parent.iterdir() if each.name.isdigit() and not psutil.pid_exists(int(each.name))]
    for folder in {own, *gone}:
        shutil.rmtree(folder, ignore_errors=True)
    own.mkdir()
