"""Nodes for pytest-celery that are processes: what it asks of a container, answered by a process of the Procfile."""

import os
import signal as signals
import socket
from collections.abc import Iterable

from tasks import roles
from tasks.dictionaries import pack_name
from tests.service import RunningService
from tests.waiting import eventually

#: What a process writes once it is ready.
READY_PROMPTS = {
    "redis": "Ready to accept connections",
    "redis-cache": "Ready to accept connections",
    "milvus": "ready",
    "beat": "beat: Starting",
    "worker-search": " ready.",
    "worker-index": " ready.",
    "worker-records": " ready.",
}
#: By worker: the queue that it consumes.
QUEUES = {role.process: role.queue(pack_name()) for role in roles.ROLES if role.is_required}
#: Servers stop last: a worker that loses Redis waits for it instead of stopping.
SERVERS = ("milvus", "redis", "redis-cache")


class ProcessNode:
    """One process, with the attributes and methods that pytest-celery's nodes use of a container."""

    def __init__(self, service: RunningService, name: str) -> None:
        self._service = service
        self.name = name
        self.id = socket.gethostname()
        self.celeryconfig = redis_config(service)
        self._log_before_start = 0
        self.start()

    @property
    def status(self) -> str:
        return "running" if self._service.process(self.name).poll() is None else "exited"

    def logs(self) -> str:
        return self._service.log(self.name)

    def ready(self) -> bool:
        """Wait until the process says that it is ready."""
        eventually(self._is_ready, f"{self.name} is ready")
        return True

    def kill(self, signal: str = "SIGKILL") -> None:
        process = self._service.process(self.name)
        number = signals.Signals[signal]
        # SIGKILL ends a container with all that is in it; other signals reach its first process only.
        (os.killpg if number == signals.SIGKILL else os.kill)(process.pid, number)
        if number == signals.SIGKILL:
            process.wait()

    def start(self) -> None:
        """Start the process and do not wait for it."""
        path = self._service.folder / f"{self.name}.log"
        self._log_before_start = path.stat().st_size if path.exists() else 0
        self._service.start(self.name)

    def restart(self, timeout: float = 0) -> None:
        """Stop the process when it runs, start it and wait until it is ready."""
        self._service.stop(self.name)
        self.start()
        self.ready()

    def reload(self) -> None:
        """Nothing: `status` is always asked for anew."""

    def teardown(self) -> None:
        process = self._service.process(self.name)
        process.send_signal(signals.SIGCONT)
        if process.poll() is None:
            self._service.stop(self.name)

    def worker_name(self) -> str:
        return f"{self.name.removeprefix('worker-')}-{self._service.process(self.name).pid}"

    def worker_queue(self) -> str:
        return QUEUES[self.name]

    def _is_ready(self) -> bool:
        assert self.status == "running", f"{self.name} ended: {self.logs()[-2000:]}"
        written = (self._service.folder / f"{self.name}.log").read_bytes()[self._log_before_start :]
        return READY_PROMPTS[self.name].encode() in written


def redis_config(service: RunningService) -> dict[str, str]:
    """Return what pytest-celery passes on as the address of broker and result backend."""
    return {"url": service.redis_url, "host_url": service.redis_url}


def process_nodes(service: RunningService, names: Iterable[str]) -> dict[str, ProcessNode]:
    """Start these processes, all at once."""
    return {name: ProcessNode(service, name) for name in names}
