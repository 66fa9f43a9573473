"""The web and its two Redis servers, with bounds that a test reaches quickly."""

from collections.abc import Iterator

import pytest

from tests.service import RunningService
from tests.web_client import WebClient

#: So many connections from one address that is no proxy.
PER_CLIENT = 50
BODY_MEMORY_MB = 128
UPLOAD_MAX_MB = 64
SMALL = {
    "WEB_MAX_CONNECTIONS_PER_CLIENT": str(PER_CLIENT),
    "BODY_MEMORY_MB": str(BODY_MEMORY_MB),
    "UPLOAD_MAX_MB": str(UPLOAD_MAX_MB),
}


@pytest.fixture(scope="package")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    folder = tmp_path_factory.mktemp("attacked")
    with RunningService(folder, processes=("redis", "redis-cache", "web"), environment=SMALL) as running:
        running.create_user()
        yield running


@pytest.fixture
def user(attacked: RunningService) -> Iterator[WebClient]:
    client = WebClient(attacked.url)
    yield client
    client.close()


@pytest.fixture
def as_user(user: WebClient) -> tuple[str, str]:
    """The headers of a request by the user."""
    cookies = "; ".join(f"{name}={value}" for name, value in user.http.cookies.items())
    return f"Cookie: {cookies}", f"X-CSRFToken: {user.headers['X-CSRFToken']}"
