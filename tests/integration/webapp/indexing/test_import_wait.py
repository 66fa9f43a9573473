"""`import_photos --wait` gives up when no worker is alive that could index the photos, and not before."""

import io
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

from tasks.app import app
from tasks.health.reports import WorkerReport, report_key
from tests.redis_server import redis_server
from webapp.gallery import services

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]

TIMEOUT_SECONDS = 0.5


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One Redis for all tests: Celery keeps its connections."""
    with redis_server(tmp_path_factory.mktemp("redis")) as (url, _process):
        yield url


@pytest.fixture
def cache(url: str, tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[redis.Redis]:
    """An empty Redis that is broker and cache."""
    settings.REDIS_CACHE_URL = url
    settings.MEDIA_ROOT = tmp_path / "photos"
    # The last one last: the others are derived from it, and their values are put back at the end.
    for name in ("broker_read_url", "broker_write_url", "broker_url"):
        monkeypatch.setattr(app.conf, name, url)
    # Not the connections that other tests of this process have left.
    monkeypatch.setattr(app, "_pool", None)
    monkeypatch.setattr(app.amqp, "_producer_pool", None)
    with redis.Redis.from_url(url) as client:
        client.flushall()
        yield client


def report(cache: redis.Redis, *, queue: str = "index.dlib", active_tasks: int = 0) -> None:
    """Say what a worker says of itself."""
    worker = WorkerReport(name="a", pid=1, queues=(queue,), is_healthy=True, active_tasks=active_tasks)
    cache.set(report_key("a"), worker.model_dump_json())


def import_and_wait(folder: Path) -> None:
    pictures = folder / "pictures"
    pictures.mkdir()
    (pictures / "a.jpg").write_bytes(b"a picture")
    services.gallery_create(owner=User.objects.create_user("ada"), name="Friends")
    with pytest.raises(CommandError, match="No worker answered"):
        call_command(
            *("import_photos", str(pictures), "--gallery", "Friends", "--wait", "--timeout", str(TIMEOUT_SECONDS)),
            stdout=io.StringIO(),
            stderr=io.StringIO(),
        )


@pytest.mark.parametrize(
    "worker",
    [
        pytest.param({}, id="idle"),
        pytest.param({"active_tasks": 1}, id="busy"),
        pytest.param({"queue": "records", "active_tasks": 1}, id="recording what is left"),
    ],
)
def test_it_waits_while_a_worker_is_alive_and_gives_up_afterwards(
    cache: redis.Redis, tmp_path: Path, worker: dict[str, Any]
) -> None:
    report(cache, **worker)
    died_at: list[float] = []

    def die() -> None:
        died_at.append(time.monotonic())
        cache.delete(report_key("a"))

    timer = threading.Timer(4 * TIMEOUT_SECONDS, die)
    timer.start()
    import_and_wait(tmp_path)
    given_up_at = time.monotonic()
    timer.cancel()
    assert died_at, "it gave up while the worker was alive"
    assert given_up_at >= died_at[0]


@pytest.mark.parametrize(
    "worker",
    [
        pytest.param({"queue": "search.dlib", "active_tasks": 1}, id="for searches"),
        pytest.param({"queue": "records"}, id="with nothing to record"),
    ],
)
def test_no_other_worker_is_waited_for(cache: redis.Redis, tmp_path: Path, worker: dict[str, Any]) -> None:
    report(cache, **worker)
    import_and_wait(tmp_path)
