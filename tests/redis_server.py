"""A real Redis for tests: on a free port, in its own folder, stopped by its own process id."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.servers import free_port, stop
from tests.waiting import eventually


def start_redis(folder: Path, port: int) -> subprocess.Popen[str]:
    """Start a Redis with an append-only file and return when it answers."""
    folder.mkdir(parents=True, exist_ok=True)
    process = subprocess.Popen(
        [
            *("redis-server", "--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder)),
            *("--appendonly", "yes", "--save", "", "--maxmemory-policy", "noeviction"),
            *("--logfile", str(folder / "redis.log")),
        ],
        text=True,
    )
    client = redis.Redis(port=port)

    def answers() -> bool:
        assert process.poll() is None, "redis-server ended"
        with suppress(redis.ConnectionError):
            return bool(client.ping())
        return False

    try:
        eventually(answers, "redis-server answers", details=(folder / "redis.log").read_text)
    except BaseException:
        stop(process)
        raise
    return process


@contextmanager
def redis_server(folder: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run a Redis; yield its URL and its process."""
    port = free_port()
    process = start_redis(folder, port)
    try:
        yield f"redis://127.0.0.1:{port}/0", process
    finally:
        stop(process)


def queue_lists(queue: str) -> tuple[str, ...]:
    """Return the names of a queue's lists, in the order in which workers take from them: kombu keeps one per step."""
    return (queue, *(f"{queue}\x06\x16{step}" for step in (3, 6, 9)))


def queue_messages(broker: redis.Redis, queue: str) -> list[bytes]:
    """Return the messages that wait in a queue."""
    found: list[bytes] = [message for each in queue_lists(queue) for message in broker.lrange(each, 0, -1)]
    return found


def point_at(url: str, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make this Redis, for one test, what Celery sends to and what the settings call redis and redis-cache."""
    from tasks.app import app  # not for those who only start a Redis

    settings.REDIS_URL = settings.REDIS_CACHE_URL = url
    # The last one last: the others are derived from it, and their values are put back at the end.
    for name in ("broker_read_url", "broker_write_url", "broker_url"):
        monkeypatch.setattr(app.conf, name, url)
    # Connections that Celery keeps are to another Redis.
    monkeypatch.setattr(app, "_pool", None)
    monkeypatch.setattr(app.amqp, "_producer_pool", None)
