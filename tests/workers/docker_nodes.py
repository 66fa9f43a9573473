"""The same nodes as containers: the Procfile's command lines in the image of the Dockerfile.

They share the host's network and the service's folder, so addresses and files are those of the processes.
"""

import functools
import os
from collections.abc import Iterable
from typing import Any

from django.conf import settings
from pytest_celery import CeleryTestContainer

import docker
from tests.service import RunningService
from tests.waiting import PATIENCE_SECONDS
from tests.workers.nodes import QUEUES, READY_PROMPTS, redis_config
from webapp.operations import local

IMAGE = "facequeue-tests"
REDIS_IMAGE = "redis:7.4"
#: What holds for the host only: the image has the packs in a folder of its own.
NOT_INHERITED = ("PATH", "PYTHONPATH", "HOME", "FACE_PACKS_DIR")


class DockerNode(CeleryTestContainer):
    """One container that runs one command line of the Procfile."""

    def __init__(self, container: Any, service: RunningService, process: str) -> None:
        super().__init__(container)
        self._process = process
        self._celeryconfig = redis_config(service)

    @property
    def celeryconfig(self) -> dict[str, str]:
        return self._celeryconfig

    @property
    def ready_prompt(self) -> str:
        return READY_PROMPTS[self._process]

    def ready(self) -> bool:
        # Not the inherited one: it waits for an address, of which a container in the host's network has none.
        self.reload()
        return self.status == "running" and self._wait_ready(timeout=PATIENCE_SECONDS)

    def start(self) -> None:
        """Start the container again and do not wait for it."""
        self._container.start()

    def teardown(self) -> None:
        self._container.remove(force=True)

    def worker_name(self) -> str:
        return f"{self._process.removeprefix('worker-')}-1"  # the first process of its container

    def worker_queue(self) -> str:
        return QUEUES[self._process]


@functools.cache
def engine_answers() -> bool:
    """Return whether there is a Docker engine to run containers."""
    try:
        return bool(docker.from_env().ping())
    except docker.errors.DockerException:
        return False


def docker_nodes(service: RunningService, names: Iterable[str]) -> dict[str, DockerNode]:
    """Build the image unless it is there, and start a container for each process."""
    client = docker.from_env()
    client.images.build(path=str(settings.BASE_DIR), tag=IMAGE)
    inherited = {name: value for name, value in service.environment.items() if name not in NOT_INHERITED}
    nodes = {}
    for process in local.local_processes(service.ports):
        if process.name not in names:
            continue
        container = client.containers.run(
            REDIS_IMAGE if process.name.startswith("redis") else IMAGE,
            ["/bin/sh", "-c", process.command],
            detach=True,
            network_mode="host",
            user=str(os.getuid()),
            environment=inherited,
            volumes={str(service.folder): {"bind": str(service.folder), "mode": "rw"}},
        )
        nodes[process.name] = DockerNode(container, service, process.name)
    return nodes
