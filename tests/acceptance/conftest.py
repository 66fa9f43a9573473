"""The whole service, started once for the folder; tests that kill something start their own."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pymilvus import MilvusClient

from tests.service import RunningService
from tests.web_client import PASSWORD, USERNAME, WebClient

SERVERS = ("redis", "redis-cache", "milvus")
WORKERS = ("worker-search", "worker-index", "worker-records")
#: Faults must heal within a test's patience, not within an operator's.
IMPATIENT = {"INDEX_LEASE_SECONDS": "8", "VISIBILITY_TIMEOUT_SECONDS": "60"}


def create_user(service: RunningService) -> None:
    service.environment["DJANGO_SUPERUSER_PASSWORD"] = PASSWORD
    service.manage("createsuperuser", "--noinput", "--username", USERNAME, "--email", "alice@example.org")


def all_face_ids(service: RunningService) -> list[str]:
    """Ask Milvus itself, past our own code, for the id of every face."""
    client = MilvusClient(service.milvus_uri)
    try:
        collection = f"faces_{service.environment['PACK_NAME']}"
        client.load_collection(collection)
        rows = client.query(collection, filter='face_id != ""', output_fields=["face_id"], limit=16384)
        return [row["face_id"] for row in rows]
    finally:
        client.close()


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    folder: Path = tmp_path_factory.mktemp("service")
    with RunningService(folder, processes=[*SERVERS, "web", *WORKERS, "beat"], environment=IMPATIENT) as running:
        create_user(running)
        running.wait_until(lambda: running.manage("doctor", check=False).returncode == 0, "doctor is content")
        yield running


@pytest.fixture
def alice(service: RunningService) -> Iterator[WebClient]:
    client = WebClient(service.url)
    yield client
    client.close()


@pytest.fixture
def wait_until_indexed(service: RunningService) -> Callable[[WebClient, str], None]:
    def wait(client: WebClient, gallery_id: str) -> None:
        service.wait_until(lambda: client.progress(gallery_id)["pending"] == 0, "no photo is pending")

    return wait
