"""A worker checks its vector store every HEALTH_CHECK_INTERVAL, and with every report while the store fails."""

from tasks.worker.store_health import StoreHealthCheck
from worker.config import FaceConfig
from worker.face_index import FaceIndex
from worker.recognition.engine import FaceEngine
from worker.vector_search.interfaces import StoreHealth
from worker.vector_search.memory import InMemoryVectorStore


class CountingStore(InMemoryVectorStore):
    """Counts how often it is checked."""

    checks = 0

    def health(self) -> StoreHealth:
        self.checks += 1
        return super().health()


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def make_index(tmp_path) -> tuple[CountingStore, FaceIndex]:
    store = CountingStore(name="faces", dimension=4, fingerprint="f")
    return store, FaceIndex(FaceEngine(FaceConfig(packs_dir=tmp_path)), store)


def test_a_healthy_store_is_checked_once_in_an_interval(tmp_path) -> None:
    store, index = make_index(tmp_path)
    store.open()
    clock = Clock()
    check = StoreHealthCheck(300, clock=clock)

    assert check.health(index).is_healthy
    clock.now = 299
    assert check.health(index).is_healthy
    assert store.checks == 1
    store.close()
    clock.now = 300
    assert not check.health(index).is_healthy


def test_a_failing_store_is_checked_with_every_report(tmp_path) -> None:
    store, index = make_index(tmp_path)
    check = StoreHealthCheck(300, clock=Clock())

    assert not check.health(index).is_healthy
    store.open()
    assert check.health(index).is_healthy
    assert store.checks == 2


def test_another_collection_is_checked_at_once(tmp_path) -> None:
    (store, index), (other_store, other) = make_index(tmp_path), make_index(tmp_path)
    store.open()
    check = StoreHealthCheck(300, clock=Clock())

    assert check.health(index).is_healthy
    assert not check.health(other).is_healthy
    assert other_store.checks == 1
