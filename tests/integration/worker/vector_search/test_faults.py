"""What the client survives, with the guarded Milvus Lite and a whole Milvus alike: kills, freezes, restarts, forks.

The faults that only one of the two servers knows are in `test_embedded_faults.py`.
"""

import os
import signal
import threading
import time
import traceback
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pymilvus import MilvusClient

from tests.ports import free_port_block
from tests.servers import MILVUS_PORTS, require_milvus, start_embedded_milvus, start_milvus, stop
from worker.vector_search.config import CollectionConfig, MilvusConfig, PerformanceConfig
from worker.vector_search.connection import BREAKER_FAILURES
from worker.vector_search.core import VectorSearchService
from worker.vector_search.exceptions import StoreTimeout, StoreUnavailable, VectorSearchError
from worker.vector_search.interfaces import FaceRecord, SearchQuery
from worker.vector_search.milvus.translation import FOREIGN_ERRORS

pytestmark = pytest.mark.services

COLLECTION = "faces"
DIMENSION = 8
GALLERY = str(uuid.uuid4())

TIMEOUT_SECONDS = 2.0
#: What a busy machine may add to a timeout.
SLACK_SECONDS = 1.0
#: How soon a client uses a server that answers again.
RECONNECT_SECONDS = 5.0
#: For what takes as long as it takes; a test that waits this long has failed.
PATIENCE_SECONDS = 60.0

FAST = PerformanceConfig(
    search_timeout_seconds=TIMEOUT_SECONDS,
    insert_timeout_seconds=TIMEOUT_SECONDS,
    health_timeout_seconds=TIMEOUT_SECONDS,
)
PATIENT = PerformanceConfig(
    search_timeout_seconds=PATIENCE_SECONDS,
    insert_timeout_seconds=PATIENCE_SECONDS,
    connection_pool_size=8,
    max_connections=8,
)

MakeStore = Callable[..., VectorSearchService]


class Server:
    """A server that can be killed and started again, on its folder and its ports."""

    def __init__(self, kind: str, data_dir: Path) -> None:
        self._start = {"embedded": start_embedded_milvus, "milvus": start_milvus}[kind]
        self._data_dir = data_dir
        self._port = free_port_block(len(MILVUS_PORTS))
        self.uri = f"http://127.0.0.1:{self._port}"
        self.start()

    def start(self) -> None:
        self.process = self._start(self._data_dir, self._port)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(timeout=PATIENCE_SECONDS)

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)


@pytest.fixture(params=["embedded", "milvus"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    if request.param == "milvus":
        require_milvus()
    server = Server(request.param, tmp_path / "milvus")
    yield server
    server.kill()
    stop(server.process)


@pytest.fixture
def make_store(server: Server) -> Iterator[MakeStore]:
    made: list[VectorSearchService] = []

    def make(performance: PerformanceConfig, **milvus: Any) -> VectorSearchService:
        store = VectorSearchService(
            milvus=MilvusConfig(uri=server.uri, **milvus),
            collection=CollectionConfig(name=COLLECTION),
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


def faces(count: int) -> list[FaceRecord]:
    vectors = np.random.default_rng().normal(size=(count, DIMENSION)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return [
        FaceRecord(face_id=str(uuid.uuid4()), photo_id=str(uuid.uuid4()), gallery_id=GALLERY, embedding=vector)
        for vector in vectors
    ]


def search_for(store: VectorSearchService, record: FaceRecord) -> str:
    """Return the id of the most similar face."""
    query = SearchQuery(gallery_ids=(GALLERY,), embeddings=record.embedding[np.newaxis], limit=1)
    return store.search(query)[0][0].face_id


def until(use: Callable[[], str], *, seconds: float = PATIENCE_SECONDS) -> str:
    """Use the store until it answers; fail when that takes longer than the seconds given."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return use()
        except (StoreUnavailable, StoreTimeout):
            assert time.monotonic() < deadline, "the store did not answer again in time"
            time.sleep(0.05)


# -- a killed server -----------------------------------------------------------------------------------------


def test_a_kill_under_eight_writers_loses_no_acknowledged_row(server: Server, make_store: MakeStore) -> None:
    store = make_store(PATIENT, timeout_seconds=PATIENCE_SECONDS, max_retries=0)
    acknowledged: list[FaceRecord] = []
    enough = threading.Semaphore(0)

    def write() -> None:
        """Write until the server is gone."""
        while True:
            batch = faces(50)
            try:
                store.upsert(batch)
            except VectorSearchError:
                return
            acknowledged.extend(batch)
            enough.release()

    with ThreadPoolExecutor(8) as threads:
        writers = [threads.submit(write) for _ in range(8)]
        try:
            for _ in range(40):
                assert enough.acquire(timeout=PATIENCE_SECONDS)
            assert not any(writer.done() for writer in writers), "the kill must come under all eight"
        finally:
            server.kill()
    server.start()

    expected = {record.face_id: record.embedding for record in acknowledged}
    assert len(expected) >= 40 * 50
    found: dict[str, Any] = {}
    until(lambda: found.update(store.fetch(expected)) or "fetched")
    assert found.keys() == expected.keys()
    assert all(np.allclose(found[face_id], embedding) for face_id, embedding in expected.items())


def test_a_restarted_server_is_used_again_by_the_same_client(server: Server, make_store: MakeStore) -> None:
    (record,) = records = faces(1)
    store = make_store(FAST, timeout_seconds=10)
    store.upsert(records)
    server.kill()
    while not is_refused_at_once(store):
        pass

    server.start()
    wait_until_a_new_client_is_answered(server)

    assert until(lambda: search_for(store, record), seconds=RECONNECT_SECONDS) == record.face_id
    assert store.health().is_healthy


def is_refused_at_once(store: VectorSearchService) -> bool:
    """Make a call that fails; say whether the open breaker refused it."""
    with pytest.raises((StoreUnavailable, StoreTimeout)) as refused:
        store.count()
    return "try again in a moment" in str(refused.value)


def wait_until_a_new_client_is_answered(server: Server) -> None:
    """Return when the server answers somebody who has never known it otherwise, also about the rows."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            with closing(MilvusClient(server.uri, timeout=5, dedicated=True)) as client:
                client.load_collection(COLLECTION, timeout=5)
                client.query(COLLECTION, output_fields=["count(*)"], consistency_level="Strong", timeout=5)
            return
        except FOREIGN_ERRORS:
            assert time.monotonic() < deadline, "the server did not come back"


# -- a frozen server -----------------------------------------------------------------------------------------


def test_calls_to_a_frozen_server_end_in_time_and_open_the_breaker_until_it_thaws(
    server: Server, make_store: MakeStore
) -> None:
    make_store(PATIENT)  # Loading a new collection may take longer than the store under test waits.
    (record,) = records = faces(1)
    store = make_store(FAST, timeout_seconds=TIMEOUT_SECONDS)
    store.upsert(records)
    uses: list[Callable[[], object]] = [
        lambda: search_for(store, record),
        lambda: store.upsert(records),
        lambda: store.count(),
        lambda: store.fetch([record.face_id]),
        lambda: store.delete_photos(gallery_id=GALLERY, photo_ids=[record.photo_id]),
        lambda: store.delete_stale_faces(gallery_id=GALLERY, kept={record.photo_id: []}),
        lambda: list(store.iterate()),
        lambda: store.info(),
    ]

    server.freeze()
    try:
        for use in uses:
            started = time.monotonic()
            with pytest.raises((StoreTimeout, StoreUnavailable)):
                use()
            assert time.monotonic() - started < TIMEOUT_SECONDS + SLACK_SECONDS
        started = time.monotonic()
        health = store.health()
        assert time.monotonic() - started < TIMEOUT_SECONDS + SLACK_SECONDS
        assert (health.is_healthy, health.connection_status) == (False, "disconnected")
        for _ in range(BREAKER_FAILURES):  # One in a while is let through, to see whether the server is back.
            if is_refused_at_once(store):
                break
        else:
            pytest.fail("the breaker is not open")
    finally:
        server.thaw()

    assert until(lambda: search_for(store, record)) == record.face_id
    for _ in range(2 * BREAKER_FAILURES):  # None of them is refused: the breaker is closed, not only ajar.
        assert search_for(store, record) == record.face_id


# -- threads and processes -----------------------------------------------------------------------------------


def test_four_threads_behind_the_breaker_run_at_once(server: Server, make_store: MakeStore) -> None:
    connection = make_store(PATIENT)._connection
    together = threading.Barrier(4)

    def inside_a_call(client: MilvusClient, seconds: float) -> list[str]:
        together.wait(timeout=PATIENCE_SECONDS)  # Nobody goes on before all four are inside.
        found: list[str] = client.list_collections(timeout=seconds)
        return found

    with ThreadPoolExecutor(4) as threads:
        calls = [threads.submit(connection.call, inside_a_call, timeout_seconds=2 * PATIENCE_SECONDS) for _ in range(4)]
        assert [call.result() for call in calls] == [[COLLECTION]] * 4


def test_after_a_fork_no_child_hangs(server: Server, make_store: MakeStore) -> None:
    (record,) = records = faces(1)
    store = make_store(PATIENT)
    store.upsert(records)
    assert search_for(store, record) == record.face_id

    children = [forked(lambda: search_for(store, record) == record.face_id) for _ in range(20)]

    assert exit_codes_of(children) == [0] * 20
    assert search_for(store, record) == record.face_id


def forked(use: Callable[[], bool]) -> int:
    """Return the process id of a child that tells by its exit code whether `use` was right."""
    child = os.fork()
    if child == 0:  # It never returns to pytest.
        try:
            os._exit(0 if use() else 1)
        except BaseException:
            traceback.print_exc()
            os._exit(2)
    return child


def exit_codes_of(children: list[int]) -> list[int]:
    """Wait for all children; end those that hang."""
    waiting = set(children)

    def end_them() -> None:
        for child in list(waiting):
            os.kill(child, signal.SIGKILL)

    watchdog = threading.Timer(PATIENCE_SECONDS, end_them)
    watchdog.start()
    codes = []
    for child in children:
        codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        waiting.discard(child)
    watchdog.cancel()
    return codes
