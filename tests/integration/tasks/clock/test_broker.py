"""Which messages count as lost: by the shared clock, whatever the clock of the host that takes or looks."""

import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from kombu import Connection
from kombu.transport import redis as kombu_redis

from tasks.app import app
from tasks.clock import broker
from tests.clocks import have_wrong_clock
from tests.redis_server import redis_server
from tests.waiting import HANG_SECONDS

pytestmark = [pytest.mark.services, pytest.mark.timeout(HANG_SECONDS)]

VISIBILITY_SECONDS = 60


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with redis_server(tmp_path_factory.mktemp("redis")) as (url, _process):
        yield url


class Worker:
    """A connection that takes messages."""

    def __init__(self, url: str) -> None:
        options = {"visibility_timeout": VISIBILITY_SECONDS}
        self.connection = Connection(url, transport_options=options)
        self.channel: Any = self.connection.channel()

    def take(self, queue: str) -> Any:
        return self.channel.basic_get(queue)

    def look_for_lost_messages(self) -> None:
        self.channel.qos.restore_visible(interval=1)


@pytest.fixture
def worker(url: str) -> Iterator[Worker]:
    worker = Worker(url)
    yield worker
    worker.channel.qos._delivered.clear()  # nothing is put back as it closes
    worker.connection.release()


@pytest.fixture
def queue(worker: Worker) -> str:
    """A queue with one message."""
    name = f"queue-{uuid.uuid4()}"
    with worker.connection.SimpleQueue(name) as queue:
        queue.put({})
    return name


def waiting(worker: Worker, queue: str) -> int:
    return int(worker.channel._size(queue))


@pytest.mark.parametrize("scheme", ["redis", "rediss"])
def test_both_kinds_of_redis_url_go_by_the_shared_clock(scheme: str) -> None:
    connection = Connection(f"{scheme}://127.0.0.1:1/0")
    assert connection.transport_cls == scheme  # kombu turns TLS on by this name
    assert connection.get_transport_cls() is broker.Transport
    assert type(app.connection_for_read().transport) is broker.Transport


@pytest.mark.parametrize("taker", [0.0, 1000.0, -1000.0])
@pytest.mark.parametrize("looker", [0.0, 1000.0, -1000.0])
def test_what_a_worker_runs_is_not_taken_from_it(
    worker: Worker, queue: str, monkeypatch: pytest.MonkeyPatch, taker: float, looker: float
) -> None:
    have_wrong_clock(monkeypatch, taker)
    assert worker.take(queue) is not None
    have_wrong_clock(monkeypatch, looker)
    worker.look_for_lost_messages()
    assert waiting(worker, queue) == 0


@pytest.mark.parametrize("taker", [0.0, 1000.0, -1000.0])
@pytest.mark.parametrize("looker", [0.0, 1000.0, -1000.0])
def test_what_a_dead_worker_held_comes_back(
    worker: Worker, queue: str, monkeypatch: pytest.MonkeyPatch, taker: float, looker: float
) -> None:
    have_wrong_clock(monkeypatch, taker)
    worker.take(queue)
    # Time passes for all hosts alike.
    have_wrong_clock(monkeypatch, looker + VISIBILITY_SECONDS + 1)
    monkeypatch.setattr(broker.clock, "_offset", time.time() - time.monotonic() + VISIBILITY_SECONDS + 1)
    worker.look_for_lost_messages()
    assert waiting(worker, queue) == 1


def test_a_message_is_noted_as_kombu_notes_it(
    worker: Worker, queue: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change of kombu's format would lose messages: what we note, kombu's own class restores."""
    have_wrong_clock(monkeypatch, 0.0)
    message = worker.take(queue)
    theirs = kombu_redis.QoS(worker.channel)
    theirs.restore_by_tag(message.delivery_tag)
    assert waiting(worker, queue) == 1
    assert worker.take(queue).payload == {}
