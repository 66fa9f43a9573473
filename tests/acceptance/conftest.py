"""A user of the service over HTTP."""

from collections.abc import Callable, Iterator

import pytest

from tests.service import RunningService
from tests.web_client import WebClient


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
