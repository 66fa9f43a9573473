"""How calls share a few connections, without a server: pymilvus' client is replaced."""

import itertools
import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pymilvus.client.types import LoadState
from pymilvus.exceptions import MilvusException

from worker.errors import Busy, NotOpen
from worker.vector_search import connection
from worker.vector_search.config import MilvusConfig, PerformanceConfig
from worker.vector_search.connection import ConnectionManager
from worker.vector_search.exceptions import CollectionNotLoaded, StoreTimeout, StoreUnavailable

SECONDS = 5.0


class FakeClient:
    """Keeps what it was made with."""

    made: list["FakeClient"] = []

    def __init__(self, **options: Any) -> None:
        self.options = options
        self.is_closed = False
        self.made.append(self)

    def _get_connection(self) -> "FakeClient":
        return self

    def get_load_state(self, _collection: str, timeout: float) -> dict[str, LoadState]:
        return {"state": LoadState.NotLoad}

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture(autouse=True)
def clients(monkeypatch: pytest.MonkeyPatch) -> list[FakeClient]:
    monkeypatch.setattr(FakeClient, "made", [])
    monkeypatch.setattr(connection, "MilvusClient", FakeClient)
    return FakeClient.made


@pytest.fixture
def make_manager() -> Iterator[Callable[..., ConnectionManager]]:
    made: list[ConnectionManager] = []

    def make(pool: int = 8, calls: int = 8, health_seconds: float = 2.0, **milvus: Any) -> ConnectionManager:
        manager = ConnectionManager(
            milvus=MilvusConfig(**{"uri": "http://milvus:1", **milvus}),
            performance=PerformanceConfig(
                connection_pool_size=pool, max_connections=calls, health_timeout_seconds=health_seconds
            ),
        )
        manager.open()
        made.append(manager)
        return manager

    yield make
    for manager in made:
        manager.close()


def together(manager: ConnectionManager, count: int) -> list[FakeClient]:
    """Make this many calls at the same time; return the client of each."""
    barrier = threading.Barrier(count)

    def meet(client: FakeClient, _seconds: float) -> FakeClient:
        barrier.wait(SECONDS)
        return client

    with ThreadPoolExecutor(count) as threads:
        calls = [threads.submit(manager.call, meet, timeout_seconds=SECONDS) for _ in range(count)]
        return [call.result() for call in calls]


def test_calls_at_the_same_time_have_a_connection_each(make_manager: Callable[..., ConnectionManager]) -> None:
    assert len(set(together(make_manager(pool=4, calls=4), 4))) == 4


def test_there_are_no_more_connections_than_the_pool_allows_and_all_carry_the_same_load(
    make_manager: Callable[..., ConnectionManager], clients: list[FakeClient]
) -> None:
    used = together(make_manager(pool=2, calls=8), 8)

    assert len(clients) == 2
    assert [used.count(client) for client in clients] == [4, 4]


def test_calls_one_after_the_other_need_only_the_connection_of_the_opening(
    make_manager: Callable[..., ConnectionManager], clients: list[FakeClient]
) -> None:
    manager = make_manager()
    for _ in range(5):
        manager.call(lambda client, seconds: None, timeout_seconds=SECONDS)

    assert len(clients) == 1


def test_closing_closes_every_connection(
    make_manager: Callable[..., ConnectionManager], clients: list[FakeClient]
) -> None:
    manager = make_manager(pool=3, calls=3)
    together(manager, 3)

    manager.close()

    assert [client.is_closed for client in clients] == [True] * 3


def test_a_caller_beyond_the_bound_waits_within_its_own_time_and_is_then_told_to_come_back(
    make_manager: Callable[..., ConnectionManager],
) -> None:
    manager = make_manager(pool=1, calls=1)
    begun, end = threading.Event(), threading.Event()

    def hold(_client: object, _seconds: float) -> None:
        begun.set()
        end.wait(SECONDS)

    with ThreadPoolExecutor(1) as threads:
        holding = threads.submit(manager.call, hold, timeout_seconds=SECONDS)
        begun.wait(SECONDS)
        started = time.monotonic()
        with pytest.raises(Busy, match="1 calls to the vector store are in flight"):
            manager.call(lambda client, seconds: None, timeout_seconds=0.2)
        assert 0.2 <= time.monotonic() - started < 1.0
        assert manager.health("faces").connection_status == "connected", "a look at the health waits for nobody"
        end.set()
        holding.result()

    manager.call(lambda client, seconds: None, timeout_seconds=0.2)


def test_a_caller_that_had_to_wait_has_only_the_rest_of_its_time(
    make_manager: Callable[..., ConnectionManager],
) -> None:
    manager = make_manager(pool=1, calls=1)
    begun = threading.Event()

    def hold(_client: object, _seconds: float) -> None:
        begun.set()
        time.sleep(0.3)

    with ThreadPoolExecutor(1) as threads:
        threads.submit(manager.call, hold, timeout_seconds=SECONDS)
        begun.wait(SECONDS)
        left = manager.call(lambda client, seconds: seconds, timeout_seconds=1.0)

    assert 0 < left < 0.8


def test_a_full_house_does_not_open_the_breaker(make_manager: Callable[..., ConnectionManager]) -> None:
    manager = make_manager(pool=1, calls=1)

    def refused_inside(_client: object, _seconds: float) -> None:
        for _ in range(2 * connection.BREAKER_FAILURES):
            with pytest.raises(Busy):
                manager.call(lambda client, seconds: None, timeout_seconds=0.001)

    manager.call(refused_inside, timeout_seconds=SECONDS)
    manager.call(lambda client, seconds: None, timeout_seconds=SECONDS)


def test_a_failed_call_gives_its_place_back(make_manager: Callable[..., ConnectionManager]) -> None:
    manager = make_manager(pool=1, calls=1, max_retries=0)

    def fail(_client: object, _seconds: float) -> None:
        raise MilvusException(code=101, message="collection not loaded")

    for _ in range(3):
        with pytest.raises(CollectionNotLoaded):
            manager.call(fail, timeout_seconds=0.5)


@pytest.mark.parametrize("max_retries", [0, 3])
def test_a_call_that_finds_no_server_is_made_again_after_the_pause_that_is_set(
    make_manager: Callable[..., ConnectionManager], max_retries: int
) -> None:
    manager = make_manager(max_retries=max_retries, retry_delay_seconds=0.05)
    at: list[float] = []

    def fail(_client: object, _seconds: float) -> None:
        at.append(time.monotonic())
        raise MilvusException(code=2, message="Fail connecting to server")

    with pytest.raises(StoreUnavailable):
        manager.call(fail, timeout_seconds=SECONDS)

    pauses = [later - earlier for earlier, later in itertools.pairwise(at)]
    assert len(at) == 1 + max_retries
    for number, pause in enumerate(pauses):
        assert 0.05 * 2**number <= pause < 0.05 * 2**number + 0.05 + 0.2, "doubled each time, and a random part"


def test_no_retry_begins_after_the_time_is_over(make_manager: Callable[..., ConnectionManager]) -> None:
    manager = make_manager(max_retries=10, retry_delay_seconds=0.1)

    def fail(_client: object, _seconds: float) -> None:
        raise MilvusException(code=2, message="Fail connecting to server")

    started = time.monotonic()
    with pytest.raises((StoreUnavailable, StoreTimeout)):
        manager.call(fail, timeout_seconds=0.5)
    assert time.monotonic() - started < 0.8


def test_a_client_is_made_as_the_settings_say(
    make_manager: Callable[..., ConnectionManager], clients: list[FakeClient]
) -> None:
    make_manager(
        uri="",
        host="milvus",
        port=5,
        secure=True,
        user="root",
        password="geheim",
        database="faces",
        server_pem_path=__file__,
        server_name="faces.test",
        timeout_seconds=3.0,
    )

    (client,) = clients
    expected = {
        "uri": "https://milvus:5",
        "secure": True,
        "token": "root:geheim",
        "db_name": "faces",
        "server_pem_path": __file__,
        "server_name": "faces.test",
        "dedicated": True,
    }
    assert {key: client.options[key] for key in expected} == expected
    assert client.options["timeout"] == pytest.approx(3.0, abs=0.1)


def test_the_alias_names_the_server_in_logs_and_in_its_health_and_no_password_gets_there(
    make_manager: Callable[..., ConnectionManager], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        manager = make_manager(connection_alias="north", user="root", password="geheim")

    assert "Connection north to http://milvus:1 is open." in caplog.text
    assert manager.health("faces").detail == "north: Collection 'faces' is not loaded."
    assert "geheim" not in caplog.text


def test_the_latency_of_a_look_is_in_milliseconds(
    make_manager: Callable[..., ConnectionManager], monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(_self: FakeClient, _collection: str, timeout: float) -> dict[str, LoadState]:
        time.sleep(0.05)
        return {"state": LoadState.Loaded}

    monkeypatch.setattr(FakeClient, "get_load_state", slow)

    manager = make_manager()
    started = time.monotonic()
    latency_ms = manager.health("faces").latency_ms

    assert latency_ms is not None
    assert 50.0 <= latency_ms <= (time.monotonic() - started) * 1000


def test_a_look_hands_on_no_more_than_the_health_timeout(
    make_manager: Callable[..., ConnectionManager], monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[float] = []

    def look(_self: FakeClient, _collection: str, timeout: float) -> dict[str, LoadState]:
        given.append(timeout)
        return {"state": LoadState.Loaded}

    monkeypatch.setattr(FakeClient, "get_load_state", look)

    make_manager(health_seconds=1.5).health("faces")

    assert 0.0 < given[0] <= 1.5


def test_a_manager_that_could_not_open_or_is_closed_is_not_open(
    make_manager: Callable[..., ConnectionManager], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_self: FakeClient, **_options: Any) -> None:
        raise MilvusException(code=2, message="Fail connecting to server")

    closed = make_manager()
    closed.close()
    with monkeypatch.context() as without_server:
        without_server.setattr(FakeClient, "__init__", refuse)
        refused = ConnectionManager(milvus=MilvusConfig(uri="http://milvus:1"), performance=PerformanceConfig())
        with pytest.raises(StoreUnavailable):
            refused.open()
    for manager in (
        closed,
        refused,
        ConnectionManager(milvus=MilvusConfig(uri="http://m:1"), performance=PerformanceConfig()),
    ):
        with pytest.raises(NotOpen):
            manager.call(lambda _client, _seconds: None, timeout_seconds=SECONDS)
