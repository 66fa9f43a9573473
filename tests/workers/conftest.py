"""pytest-celery on our own app, settings and command lines; its fixtures are imported here and nowhere else.

As a plugin it would cost every test run a second and bring hooks of its own, so `addopts` keeps it out. Each module
names the processes it wants in NODES; they run on the ports that this process' own settings name, so what the tests
call (`tasks.app`, `SearchClient`) is what production calls.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
import redis
from celery import Celery
from django.conf import settings
from pytest_celery import (
    CeleryBackendCluster,
    CeleryBrokerCluster,
    CeleryTestBackend,
    CeleryTestBroker,
    CeleryTestSetup,
    CeleryTestWorker,
    CeleryWorkerCluster,
    celery_setup,  # noqa: F401
    celery_setup_app,  # noqa: F401
    celery_setup_config,  # noqa: F401
    celery_setup_name,  # noqa: F401
    celery_worker_cluster_config,  # noqa: F401
)

from tasks.app import app as our_app
from tasks.health.reports import KEY_PREFIX, WorkerReport
from tests.service import RunningService
from tests.workers import docker_nodes
from tests.workers.nodes import SERVERS, process_nodes

#: Longer than any test lets a task wait on purpose, on a busy machine too.
VISIBILITY_SECONDS = 20
ENVIRONMENT = {
    "CANARY_INTERVAL": "1",
    "VISIBILITY_TIMEOUT_SECONDS": str(VISIBILITY_SECONDS),
    "WORKER_SOFT_SHUTDOWN_SECONDS": "3",
}
KINDS: dict[str, Callable[..., dict[str, Any]]] = {
    "processes": process_nodes,
    "docker": docker_nodes.docker_nodes,
}


@pytest.fixture(scope="module", params=list(KINDS))
def kind(request: pytest.FixtureRequest) -> str:
    """What the nodes are."""
    if request.param == "docker" and not docker_nodes.engine_answers():
        pytest.skip("no Docker engine answers")
    chosen: str = request.param
    return chosen


@pytest.fixture(scope="module")
def service(
    request: pytest.FixtureRequest, kind: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningService]:
    """Folder, environment and database of the nodes; it starts none of them. A module may add its own ENVIRONMENT."""
    folder = tmp_path_factory.mktemp("workers")
    environment = ENVIRONMENT | getattr(request.module, "ENVIRONMENT", {})
    with RunningService(folder, processes=(), environment=environment, ports=settings.PORTS) as service:
        yield service


@pytest.fixture(scope="module")
def nodes(request: pytest.FixtureRequest, kind: str, service: RunningService) -> Iterator[dict[str, Any]]:
    """The module's NODES by name, all ready."""
    started = KINDS[kind](service, request.module.NODES)
    try:
        for node in started.values():
            assert node.ready()
        yield started
    finally:
        for name in sorted(started, key=lambda name: name in SERVERS):
            started[name].teardown()
        # The next test of this process must not get a connection to a Redis that is gone.
        for pool in (our_app.amqp.producer_pool, our_app.pool):
            pool.resize(pool.limit, reset=True)


@pytest.fixture
def broker(nodes: dict[str, Any], service: RunningService) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(service.redis_url, socket_timeout=10) as client:
        yield client


@pytest.fixture
def cache(nodes: dict[str, Any], service: RunningService) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(service.redis_cache_url, socket_timeout=10) as client:
        yield client


def reports(cache: redis.Redis) -> dict[str, WorkerReport]:
    """Return what the workers say of themselves, by role."""
    found = cache.mget(list(cache.scan_iter(match=KEY_PREFIX + "*")) or ["none"])
    read = [WorkerReport.model_validate_json(each) for each in found if each]
    return {report.role: report for report in read}


@contextmanager
def locked_database(service: RunningService) -> Iterator[None]:
    """Let nobody write: a task of the records worker that does waits in the middle of its work."""
    with closing(sqlite3.connect(service.folder / "db.sqlite3", timeout=20, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            connection.execute("ROLLBACK")


# -- what pytest-celery asks for ------------------------------------------------------------------------------


class OurSetup(CeleryTestSetup):
    """Uses the service's own Celery app."""

    @classmethod
    def name(cls) -> str:
        return str(our_app.main)

    @classmethod
    def create_setup_app(cls, celery_setup_config: dict[str, str], celery_setup_app_name: str) -> Celery:  # noqa: F811
        found = {name: getattr(our_app.conf, name) for name in celery_setup_config}
        assert found == celery_setup_config, "the nodes must be where the settings say"
        return our_app


@pytest.fixture
def celery_setup_cls() -> type[CeleryTestSetup]:
    return OurSetup


@pytest.fixture
def celery_broker_cluster(nodes: dict[str, Any]) -> CeleryBrokerCluster:
    return CeleryBrokerCluster(CeleryTestBroker(nodes["redis"]))


@pytest.fixture
def celery_backend_cluster(nodes: dict[str, Any]) -> CeleryBackendCluster:
    return CeleryBackendCluster(CeleryTestBackend(nodes["redis"]))


@pytest.fixture
def celery_worker_cluster(nodes: dict[str, Any]) -> CeleryWorkerCluster:
    workers = [node for name, node in nodes.items() if name.startswith("worker-")]
    return CeleryWorkerCluster(*[CeleryTestWorker(node, our_app) for node in workers])


@pytest.fixture
def celery_broker_cluster_config(celery_broker_cluster: CeleryBrokerCluster) -> dict[str, Any]:
    config: dict[str, Any] = celery_broker_cluster.config()
    return config


@pytest.fixture
def celery_backend_cluster_config(celery_backend_cluster: CeleryBackendCluster) -> dict[str, Any]:
    config: dict[str, Any] = celery_backend_cluster.config()
    return config
