"""What the guarded Milvus Lite and its client survive: kills, stops, freezes, restarts, forks."""

import os
import signal
import subprocess
import sys
import threading
import time
import traceback
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from pymilvus import MilvusClient

from tests.servers import embedded_milvus, free_port, start_embedded_milvus, stop
from worker.errors import NotOpen
from worker.vector_search.config import CollectionConfig, MilvusConfig, PerformanceConfig
from worker.vector_search.connection import BREAKER_FAILURES, ConnectionManager
from worker.vector_search.core import VectorSearchService
from worker.vector_search.exceptions import StoreRejected, StoreTimeout, StoreUnavailable
from worker.vector_search.interfaces import FaceRecord, SearchQuery

pytestmark = pytest.mark.services

DIMENSION = 32
GALLERY = str(uuid.uuid4())
TIMEOUT_SECONDS = 1.0
#: What a busy machine may add to a timeout.
SLACK_SECONDS = 1.0

FAST = PerformanceConfig(
    search_timeout_seconds=TIMEOUT_SECONDS,
    insert_timeout_seconds=TIMEOUT_SECONDS,
    health_timeout_seconds=TIMEOUT_SECONDS,
)
PATIENT = PerformanceConfig(search_timeout_seconds=30, insert_timeout_seconds=60)


class Server:
    """A server that can be ended and started again on its folder and port."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.port = free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        self.process = start_embedded_milvus(self.data_dir, self.port)

    def end(self, signal_number: int) -> int:
        """Send the signal; return the exit code."""
        self.process.send_signal(signal_number)
        return self.process.wait(timeout=10)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "milvus")
    yield server
    if server.process.poll() is None:
        server.process.send_signal(signal.SIGCONT)
    stop(server.process)


@pytest.fixture
def make_store(server: Server) -> Iterator["MakeStore"]:
    made: list[VectorSearchService] = []

    def make(performance: PerformanceConfig, **milvus: Any) -> VectorSearchService:
        store = VectorSearchService(
            milvus=MilvusConfig(uri=server.uri, timeout_seconds=10, **milvus),
            collection=CollectionConfig(name="faces"),
            performance=performance,
            dimension=DIMENSION,
            fingerprint="f" * 64,
        )
        store.open()
        made.append(store)
        return store

    yield make
    for store in made:
        store.close()


MakeStore = Callable[..., VectorSearchService]


def faces(count: int, *, seed: int = 0) -> list[FaceRecord]:
    vectors = np.random.default_rng(seed).normal(size=(count, DIMENSION)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return [
        FaceRecord(face_id=str(uuid.uuid4()), photo_id=str(uuid.uuid4()), gallery_id=GALLERY, embedding=vector)
        for vector in vectors
    ]


def search_for(store: VectorSearchService, record: FaceRecord) -> str:
    """Return the id of the most similar face."""
    query = SearchQuery(gallery_ids=(GALLERY,), embeddings=record.embedding[np.newaxis], limit=1)
    return store.search(query)[0][0].face_id


# -- the server ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "flush_bytes",
    [pytest.param(2**30, id="all in the write-ahead log"), pytest.param(300_000, id="flushed many times on the way")],
)
def test_9600_rows_of_eight_writers_survive_a_kill(
    server: Server, make_store: MakeStore, monkeypatch: pytest.MonkeyPatch, flush_bytes: int
) -> None:
    monkeypatch.setenv("MILVUS_LITE_MEMTABLE_MEMORY_LIMIT_BYTES", str(flush_bytes))
    server.end(signal.SIGTERM)
    server.start()
    store = make_store(PATIENT)

    def write(seed: int) -> None:
        for batch in range(12):
            store.upsert(faces(100, seed=100 * seed + batch))

    with ThreadPoolExecutor(8) as writers:
        list(writers.map(write, range(8)))
    assert server.end(signal.SIGKILL) == -signal.SIGKILL
    server.start()

    assert store.count() == 9600
    assert len({row.face_id for row in store.iterate()}) == 9600


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_is_clean_and_quick_and_the_rows_are_there_afterwards(
    server: Server, make_store: MakeStore, signal_number: int
) -> None:
    records = faces(2000)
    store = make_store(PATIENT)
    store.upsert(records)

    started = time.monotonic()
    exit_code = server.end(signal_number)
    seconds = time.monotonic() - started

    assert exit_code == 0
    assert seconds < 4
    server.start()
    assert search_for(store, records[7]) == records[7].face_id
    assert store.count() == 2000


def test_a_stop_right_after_a_freeze_is_noticed(server: Server) -> None:
    # The system then hands SIGTERM to any thread, for the main one is still busy with SIGCONT.
    for _ in range(3):
        server.process.send_signal(signal.SIGSTOP)
        server.process.send_signal(signal.SIGCONT)
        assert server.end(signal.SIGTERM) == 0
        server.start()


def start_refused(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "worker.vector_search.milvus.lite", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_a_taken_port_is_one_sentence_that_names_it(server: Server, tmp_path: Path) -> None:
    refused = start_refused("--data-dir", str(tmp_path / "other"), "--port", str(server.port))

    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == f"Port {server.port} on 127.0.0.1 cannot be used: it is in use.\n"


def test_a_folder_of_a_running_server_is_one_sentence_that_names_it(server: Server) -> None:
    refused = start_refused("--data-dir", str(server.data_dir), "--port", str(free_port()))

    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == f"Another Milvus Lite server is using the folder {server.data_dir}.\n"


def test_readers_never_miss_settled_faces_while_the_engine_flushes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MILVUS_LITE_MEMTABLE_MEMORY_LIMIT_BYTES", "200000")  # a flush every other batch
    with embedded_milvus(tmp_path / "milvus") as (uri, _process):
        store = VectorSearchService(
            milvus=MilvusConfig(uri=uri, timeout_seconds=60),
            collection=CollectionConfig(name="faces"),
            performance=PATIENT,
            dimension=DIMENSION,
            fingerprint="f" * 64,
        )
        store.open()
        settled = faces(1)
        store.upsert(settled)
        written = threading.Event()

        def read() -> int:
            rounds = 0
            while not written.is_set():
                face_id = settled[-1].face_id
                assert face_id in store.fetch([face_id]), "a face that was written before is not there"
                rounds += 1
            return rounds

        with ThreadPoolExecutor(4) as readers:
            reading = [readers.submit(read) for _ in range(4)]
            try:
                for seed in range(30):
                    batch = faces(500, seed=seed)
                    store.upsert(batch)
                    settled.append(batch[0])
            finally:
                written.set()
            assert all(each.result() > 0 for each in reading)
        store.close()


# -- the client ----------------------------------------------------------------------------------------------


def test_a_released_collection_is_loaded_again_by_the_client_that_uses_it(
    server: Server, make_store: MakeStore
) -> None:
    (record,) = records = faces(1)
    store = make_store(PATIENT)
    store.upsert(records)
    operator = MilvusClient(server.uri, dedicated=True, timeout=10)
    uses: list[Callable[[], object]] = [
        lambda: search_for(store, record),
        lambda: store.count(gallery_id=GALLERY),
        lambda: store.fetch([record.face_id])[record.face_id],
        lambda: next(store.iterate()),
        lambda: store.delete_photos(gallery_id=GALLERY, photo_ids=[record.photo_id]),
    ]
    for use in uses:
        operator.release_collection("faces", timeout=10)
        assert store.health().collection_status == "released"
        use()
        assert store.health().is_healthy
    operator.close()


def test_a_restarted_server_is_used_again_by_the_same_client(server: Server, make_store: MakeStore) -> None:
    records = faces(10)
    store = make_store(PATIENT)
    store.upsert(records)

    for signal_number in (signal.SIGTERM, signal.SIGKILL):
        server.end(signal_number)
        with pytest.raises(StoreUnavailable):
            store.count()
        health = store.health()
        assert (health.is_healthy, health.connection_status) == (False, "disconnected")
        server.start()
        assert store.count() == 10
        assert search_for(store, records[3]) == records[3].face_id
        assert store.health().is_healthy


def test_every_call_to_a_frozen_server_ends_within_its_timeout(server: Server, make_store: MakeStore) -> None:
    (record,) = records = faces(1)
    store = make_store(FAST, max_retries=5)
    manager = ConnectionManager(milvus=MilvusConfig(uri=server.uri, timeout_seconds=TIMEOUT_SECONDS), performance=FAST)
    store.upsert(records)

    server.process.send_signal(signal.SIGSTOP)
    uses: list[Callable[[], object]] = [
        lambda: search_for(store, record),
        lambda: store.upsert(records),
        lambda: manager.open(),
        lambda: search_for(store, record),
    ]
    for use in uses:
        started = time.monotonic()
        with pytest.raises((StoreTimeout, StoreUnavailable)):
            use()
        assert time.monotonic() - started < TIMEOUT_SECONDS + SLACK_SECONDS
    started = time.monotonic()
    assert not store.health().is_healthy
    assert time.monotonic() - started < TIMEOUT_SECONDS + SLACK_SECONDS

    server.process.send_signal(signal.SIGCONT)
    manager.close()
    assert until(lambda: search_for(store, record)) == record.face_id


def test_eight_threads_at_a_frozen_server_do_not_wait_for_each_other(server: Server, make_store: MakeStore) -> None:
    (record,) = records = faces(1)
    store = make_store(FAST)
    store.upsert(records)
    server.process.send_signal(signal.SIGSTOP)

    def search(_number: int) -> None:
        with pytest.raises((StoreTimeout, StoreUnavailable)):
            search_for(store, record)

    started = time.monotonic()
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(search, range(8)))

    assert time.monotonic() - started < TIMEOUT_SECONDS + SLACK_SECONDS


def test_a_client_that_keeps_asking_for_signs_of_life_is_not_sent_away(server: Server) -> None:
    """pymilvus asks an idle server every ten seconds; gRPC's servers take the third time for an attack by default."""
    options = [
        ("grpc.keepalive_time_ms", 100),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
    ]
    is_there, was_sent_away = threading.Event(), threading.Event()

    def note(state: grpc.ChannelConnectivity) -> None:
        if state is grpc.ChannelConnectivity.READY:
            is_there.set()
        elif is_there.is_set():
            was_sent_away.set()

    with grpc.insecure_channel(f"127.0.0.1:{server.port}", options=options) as channel:
        channel.subscribe(note, try_to_connect=True)
        assert is_there.wait(10)
        assert not was_sent_away.wait(6)
        channel.unsubscribe(note)


def until(use: Callable[[], str]) -> str:
    """Use the store until the breaker lets a call through again."""
    deadline = time.monotonic() + 20
    while True:
        try:
            return use()
        except StoreUnavailable:
            assert time.monotonic() < deadline


def test_the_breaker_refuses_at_once_what_would_find_no_server_and_lets_the_next_one_through(
    server: Server, make_store: MakeStore
) -> None:
    (record,) = records = faces(1)
    store = make_store(FAST, max_retries=0)
    store.upsert(records)
    server.end(signal.SIGKILL)

    for _ in range(BREAKER_FAILURES):
        with pytest.raises(StoreUnavailable):
            search_for(store, record)
    with pytest.raises(StoreUnavailable, match="try again in a moment"):
        search_for(store, record)

    server.start()
    assert until(lambda: search_for(store, record)) == record.face_id


@pytest.mark.parametrize("max_retries", [0, 2])
def test_a_call_that_finds_no_server_is_made_again_as_often_as_configured_and_no_more(
    server: Server, max_retries: int
) -> None:
    manager = ConnectionManager(
        milvus=MilvusConfig(uri=server.uri, max_retries=max_retries), performance=PerformanceConfig()
    )
    manager.open()
    server.end(signal.SIGKILL)
    made: list[float] = []

    def list_collections(client: MilvusClient, seconds: float) -> list[str]:
        made.append(seconds)
        found: list[str] = client.list_collections(timeout=seconds)
        return found

    started = time.monotonic()
    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        manager.call(list_collections, timeout_seconds=30)
    manager.close()

    assert len(made) == 1 + max_retries
    assert made == sorted(made, reverse=True), "each attempt gets what is left of the timeout"
    assert time.monotonic() - started < 5, "pymilvus' own retries would use up the whole timeout"


def test_refused_requests_never_open_the_breaker(server: Server, make_store: MakeStore) -> None:
    store = make_store(FAST)
    for _ in range(2 * BREAKER_FAILURES):
        with pytest.raises(StoreRejected):
            store._rows.count("this is no filter")

    assert store.count() == 0


def test_a_forked_child_opens_a_connection_of_its_own(server: Server, make_store: MakeStore) -> None:
    (record,) = records = faces(1)
    store = make_store(PATIENT)
    store.upsert(records)
    parents_clients = clients_of(store)

    child = os.fork()
    if child == 0:  # The child says what it found by its exit code, and never returns to pytest.
        try:
            found = search_for(store, record)
            own_clients = clients_of(store)
            store.close()
            os._exit(0 if found == record.face_id and own_clients.isdisjoint(parents_clients) else 1)
        except BaseException:
            traceback.print_exc()
            os._exit(2)

    assert exit_code_of(child, seconds=30) == 0
    assert search_for(store, record) == record.face_id


def clients_of(store: VectorSearchService) -> set[object]:
    """Return the connections that this process holds."""
    return {each.client for each in store._connection._process().pool if each.client is not None}


def exit_code_of(child: int, *, seconds: float) -> int:
    """Wait for a forked child; end it when it hangs."""
    timer = threading.Timer(seconds, os.kill, [child, signal.SIGKILL])
    timer.start()
    try:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    finally:
        timer.cancel()


def test_a_closed_connection_says_that_it_is_not_open(server: Server) -> None:
    manager = ConnectionManager(milvus=MilvusConfig(uri=server.uri), performance=FAST)
    manager.open()
    manager.close()
    manager.close()

    with pytest.raises(NotOpen, match=r"call open\(\)"):
        manager.call(lambda client, seconds: client.list_collections(timeout=seconds), timeout_seconds=1)
    assert not manager.health("faces").is_healthy
