"""The cache answers for the store only as long as nothing was written, and a search never fails for it."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from inspect import isfunction
from pathlib import Path

import numpy as np
import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.redis_server import redis_server, start_redis
from tests.servers import embedded_milvus, free_port, stop
from tests.unit.worker.vector_search.cached import (
    DIMENSION,
    FINGERPRINT,
    Service,
    face,
    numbers,
    unit,
)
from worker.errors import NotOpen
from worker.vector_search.cache import (
    EPOCH_PREFIX,
    CachedVectorStore,
)
from worker.vector_search.cached_values import LIST_KEY
from worker.vector_search.config import CollectionConfig, MilvusConfig, PerformanceConfig
from worker.vector_search.core import VectorSearchService
from worker.vector_search.exceptions import InvalidEmbedding, InvalidId, StoreTimeout, StoreUnavailable
from worker.vector_search.interfaces import Match, SearchQuery, VectorStore

pytestmark = pytest.mark.services

GALLERY = "11111111-0000-0000-0000-000000000000"
OTHER_GALLERY = "22222222-0000-0000-0000-000000000000"
THIRD_GALLERY = "33333333-0000-0000-0000-000000000000"
FOURTH_GALLERY = "44444444-0000-0000-0000-000000000000"
QUERY = SearchQuery(gallery_ids=(GALLERY,), embeddings=unit(1)[np.newaxis])
OF_THREE = replace(QUERY, gallery_ids=(GALLERY, OTHER_GALLERY, THIRD_GALLERY))
EPOCH_KEY = f"{EPOCH_PREFIX}faces:{GALLERY}"


# -- what is kept -------------------------------------------------------------------------------------------------


def test_the_same_query_reaches_the_store_once_whichever_worker_asks(service: Service) -> None:
    (one, store), (another, its_store) = service.worker(), service.worker()
    one.upsert([face(1, GALLERY), face(2, GALLERY)])

    answers = [one.search(QUERY), one.search(QUERY), another.search(QUERY)]

    assert answers[0] == answers[1] == answers[2]
    assert numbers(answers[0]) == [1, 2]
    assert (store.searches, its_store.searches) == (1, 0)


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"limit": 1}, id="another limit"),
        pytest.param({"min_similarity": 0.99999}, id="another threshold"),
        pytest.param({"gallery_ids": (OTHER_GALLERY,)}, id="another gallery"),
        pytest.param({"gallery_ids": (GALLERY, OTHER_GALLERY)}, id="one gallery more"),
        pytest.param({"embeddings": unit(0, 1)[np.newaxis]}, id="another face"),
        pytest.param({"embeddings": np.stack([unit(1), unit(1)])}, id="one face more"),
    ],
)
def test_another_query_is_another_value(service: Service, changed: dict[str, object]) -> None:
    worker, store = service.worker()
    worker.upsert([face(1, GALLERY), face(2, GALLERY), face(3, OTHER_GALLERY)])
    worker.search(QUERY)
    query = replace(QUERY, **changed)  # type: ignore[arg-type]

    assert worker.search(query) == worker.search(query) == store.search(query) != store.search(QUERY)


def test_every_field_of_a_query_is_part_of_its_name() -> None:
    """So that a field which SearchQuery gains cannot be forgotten."""
    from worker.vector_search.cache import _name

    assert _name(QUERY) == _name(replace(QUERY)) != _name(replace(QUERY, limit=11))


def test_workers_of_another_collection_share_no_matches(service: Service) -> None:
    worker, _ = service.worker()
    worker.upsert([face(1, GALLERY)])
    worker.search(QUERY)
    other, store = service.worker(collection="faces_of_another_generation")
    other.upsert([])

    other.search(QUERY)

    assert store.searches == 1


def test_what_the_store_raises_is_raised_and_not_kept(service: Service, client: redis.Redis) -> None:
    worker, store = service.worker()
    worker.upsert([face(1, GALLERY)])

    def fail() -> None:
        raise StoreTimeout("too slow")

    store.before = fail  # type: ignore[method-assign]
    with pytest.raises(StoreTimeout):
        worker.search(QUERY)

    assert client.zcard(LIST_KEY) == 0


# -- right at once ------------------------------------------------------------------------------------------------

WRITES: dict[str, tuple[Callable[[VectorStore], None], list[int]]] = {
    "upsert": (lambda store: store.upsert([face(3, GALLERY)]), [1, 2, 3]),
    "delete_faces": (
        lambda store: store.delete_faces(gallery_id=GALLERY, face_ids=[face(1, GALLERY).face_id]),
        [2],
    ),
    "delete_photos": (
        lambda store: store.delete_photos(gallery_id=GALLERY, photo_ids=[face(1, GALLERY).photo_id]),
        [2],
    ),
    "delete_stale_faces": (
        lambda store: store.delete_stale_faces(gallery_id=GALLERY, kept={face(1, GALLERY).photo_id: []}),
        [2],
    ),
}
READS = {"open", "close", "search", "exact_search", "count", "fetch", "iterate", "list_faces", "info", "health"}
#: After it there is nothing left to search.
ENDS = {"drop"}


@pytest.mark.parametrize("name", WRITES)
def test_a_write_of_another_worker_is_seen_by_the_next_search(service: Service, name: str) -> None:
    (one, store), (another, _) = service.worker(), service.worker()
    one.upsert([face(1, GALLERY), face(2, GALLERY), face(9, OTHER_GALLERY)])
    assert numbers(one.search(QUERY)) == numbers(one.search(QUERY)) == [1, 2]
    elsewhere = replace(QUERY, gallery_ids=(OTHER_GALLERY,))
    one.search(elsewhere)
    searches = store.searches
    write, expected = WRITES[name]

    write(another)

    assert numbers(one.search(QUERY)) == numbers(one.search(QUERY)) == expected
    one.search(elsewhere)
    assert store.searches == searches + 1  # and the other gallery's matches are still kept


@pytest.mark.parametrize("written", [GALLERY, OTHER_GALLERY, THIRD_GALLERY])
def test_a_write_to_any_gallery_of_the_set_is_seen_by_the_next_search(service: Service, written: str) -> None:
    (one, store), (another, _) = service.worker(), service.worker()
    one.upsert([face(1, GALLERY), face(2, OTHER_GALLERY), face(3, THIRD_GALLERY), face(4, FOURTH_GALLERY)])
    assert numbers(one.search(OF_THREE)) == numbers(one.search(OF_THREE)) == [1, 2, 3]
    searches = store.searches

    another.upsert([face(5, FOURTH_GALLERY)])
    assert numbers(one.search(OF_THREE)) == [1, 2, 3]
    assert store.searches == searches  # a gallery outside the set does not matter

    another.upsert([face(6, written)])
    assert numbers(one.search(OF_THREE)) == numbers(one.search(OF_THREE)) == [1, 2, 3, 6]
    assert store.searches == searches + 1


def test_the_order_of_the_galleries_and_repeats_make_no_other_value(service: Service) -> None:
    worker, store = service.worker()
    worker.upsert([face(1, GALLERY), face(2, OTHER_GALLERY)])
    both = replace(QUERY, gallery_ids=(GALLERY, OTHER_GALLERY))

    worker.search(both)
    worker.search(replace(both, gallery_ids=(OTHER_GALLERY, GALLERY, OTHER_GALLERY)))

    assert store.searches == 1


def test_a_slow_search_of_a_set_keeps_nothing_once_one_of_its_galleries_was_written(service: Service) -> None:
    (slow, store), (another, _) = service.worker(), service.worker()
    slow.upsert([face(1, GALLERY), face(2, OTHER_GALLERY), face(3, THIRD_GALLERY)])
    erase = {"gallery_id": THIRD_GALLERY, "photo_ids": [face(3, THIRD_GALLERY).photo_id]}
    store.after = lambda: another.delete_photos(**erase)  # type: ignore[method-assign, arg-type]

    assert numbers(slow.search(OF_THREE)) == [1, 2, 3]  # it began before
    store.after = lambda: None  # type: ignore[method-assign]

    assert numbers(slow.search(OF_THREE)) == [1, 2]


def test_nothing_is_kept_of_a_set_before_the_epochs_of_all_its_galleries_have_settled(
    service: Service, client: redis.Redis
) -> None:
    worker, store = service.worker(settle_seconds=0.5)
    worker.search(OF_THREE)
    assert len(client.keys(f"{EPOCH_PREFIX}*")) == 3  # it begins to wait for all of them at once
    time.sleep(0.55)
    worker.search(OF_THREE)
    worker.search(OF_THREE)
    assert store.searches == 2  # settled: the second answer was kept

    worker.upsert([face(1, OTHER_GALLERY)])
    worker.search(OF_THREE)
    worker.search(OF_THREE)
    assert store.searches == 4
    time.sleep(0.55)
    worker.search(OF_THREE)
    worker.search(OF_THREE)
    assert store.searches == 5


def test_a_lost_epoch_of_one_gallery_makes_the_answers_for_the_set_unreadable(
    service: Service, client: redis.Redis
) -> None:
    worker, store = service.worker()
    worker.upsert([face(1, GALLERY), face(2, OTHER_GALLERY)])
    worker.search(OF_THREE)
    searches = store.searches

    client.delete(f"{EPOCH_PREFIX}faces:{OTHER_GALLERY}")

    worker.search(OF_THREE)
    assert store.searches == searches + 1


def test_every_method_of_a_store_is_known_as_a_read_or_a_write() -> None:
    """A write that the contract gains must raise the epoch: override it in CachedVectorStore, and add it above."""
    methods = {name for name, value in vars(VectorStore).items() if isfunction(value) and not name.startswith("_")}

    assert methods == READS | ENDS | set(WRITES)
    assert ENDS | set(WRITES) <= set(vars(CachedVectorStore))


def test_an_erasure_by_another_process_is_seen_by_the_next_search(service: Service, tmp_path: Path) -> None:
    with embedded_milvus(tmp_path) as (uri, _):
        store = CachedVectorStore(
            VectorSearchService(
                milvus=MilvusConfig(uri=uri),
                collection=CollectionConfig(name="faces"),
                performance=PerformanceConfig(),
                dimension=DIMENSION,
                fingerprint=FINGERPRINT,
            ),
            service.cache(),
        )
        store.open()
        store.upsert([face(1, GALLERY), face(2, GALLERY)])
        assert numbers(store.search(QUERY)) == numbers(store.search(QUERY)) == [1, 2]

        erase = f"""
from worker.vector_search.cache import CachedVectorStore, CacheManager
from worker.vector_search.config import CollectionConfig, MilvusConfig, PerformanceConfig
from worker.vector_search.core import VectorSearchService
store = CachedVectorStore(
    VectorSearchService(milvus=MilvusConfig(uri={uri!r}), collection=CollectionConfig(name="faces"),
        performance=PerformanceConfig(), dimension={DIMENSION}, fingerprint={FINGERPRINT!r}),
    CacheManager({service.redis_url!r}, collection="faces", ttl_seconds=60, max_values=9),
)
store.open()
store.delete_photos(gallery_id={GALLERY!r}, photo_ids=[{face(1, GALLERY).photo_id!r}])
store.close()
"""
        subprocess.run([sys.executable, "-c", erase], check=True, timeout=60)

        assert numbers(store.search(QUERY)) == [2]
        store.close()


def test_a_search_that_was_slower_than_an_erasure_leaves_nothing_behind(service: Service) -> None:
    (slow, store), (another, _) = service.worker(), service.worker()
    slow.upsert([face(1, GALLERY), face(2, GALLERY)])
    store.after = lambda: WRITES["delete_photos"][0](another)  # type: ignore[method-assign]

    assert numbers(slow.search(QUERY)) == [1, 2]  # it began before
    store.after = lambda: None  # type: ignore[method-assign]

    assert numbers(slow.search(QUERY)) == [2]


def test_a_search_in_the_middle_of_a_write_leaves_nothing_behind(service: Service) -> None:
    (writer, store), (another, _) = service.worker(), service.worker()
    writer.upsert([face(1, GALLERY), face(2, GALLERY)])
    store.before = lambda: another.search(QUERY)  # type: ignore[method-assign, assignment, return-value]

    WRITES["delete_photos"][0](writer)

    assert numbers(another.search(QUERY)) == [2]


def test_what_a_store_that_is_behind_still_answers_is_not_kept(service: Service) -> None:
    """Milvus with bounded staleness may answer from some seconds ago; here it is up to a quarter of a second."""
    worker, store = service.worker(settle_seconds=0.5)
    worker.upsert([face(1, GALLERY), face(2, GALLERY)])
    old = dict(service.rows["faces"].rows)
    WRITES["delete_photos"][0](worker)
    new = dict(service.rows["faces"].rows)

    service.rows["faces"].rows = old
    assert numbers(worker.search(QUERY)) == [1, 2]
    service.rows["faces"].rows = new

    assert numbers(worker.search(QUERY)) == [2]
    time.sleep(0.55)
    searches = store.searches
    assert numbers(worker.search(QUERY)) == numbers(worker.search(QUERY)) == [2]
    assert store.searches == searches + 1  # settled: now it is kept


def test_a_write_that_fails_half_way_counts_as_a_write(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    (one, _), (another, store) = service.worker(), service.worker()
    one.upsert([face(1, GALLERY), face(2, GALLERY)])
    upsert = store.upsert

    def half(records: list[object], **_options: object) -> None:
        one.search(QUERY)  # kept under the epoch from before the write
        upsert([face(3, GALLERY)])
        raise StoreTimeout("The answer was lost.")

    monkeypatch.setattr(store, "upsert", half)
    with pytest.raises(StoreTimeout):
        another.upsert([face(3, GALLERY), face(4, GALLERY)])

    assert numbers(one.search(QUERY)) == [1, 2, 3]


def test_a_writer_that_dies_in_the_middle_leaves_no_old_matches(service: Service) -> None:
    worker, _ = service.worker()
    worker.upsert([face(1, GALLERY), face(2, GALLERY)])
    worker.search(QUERY)

    writing = service.cache().writing([GALLERY])
    writing.__enter__()
    del service.rows["faces"].rows[face(1, GALLERY).face_id]  # and then nothing more is heard of it

    assert numbers(worker.search(QUERY)) == [2]


@pytest.mark.parametrize("lost", ["restart", "epoch"])
def test_an_epoch_that_redis_has_lost_is_never_used_again(service: Service, client: redis.Redis, lost: str) -> None:
    worker, store = service.worker(settle_seconds=0.2)
    worker.upsert([face(1, GALLERY), face(2, GALLERY)])
    time.sleep(0.25)
    assert numbers(worker.search(QUERY)) == numbers(worker.search(QUERY)) == [1, 2]
    old = client.get(EPOCH_KEY)

    # Redis loses the epoch just after a write has raised it; with "epoch" the old matches are still there.
    WRITES["delete_photos"][0](worker)
    client.flushall() if lost == "restart" else client.delete(EPOCH_KEY)

    searches = store.searches
    assert numbers(worker.search(QUERY)) == numbers(worker.search(QUERY)) == [2]
    assert store.searches == searches + 2  # as after a write, nothing is kept until the new epoch has settled
    assert client.get(EPOCH_KEY) not in (None, old)
    time.sleep(0.25)
    assert numbers(worker.search(QUERY)) == numbers(worker.search(QUERY)) == [2]
    assert store.searches == searches + 3


def test_epochs_expire_long_after_everything_that_is_kept_under_them(service: Service, client: redis.Redis) -> None:
    worker, _ = service.worker(ttl_seconds=60)
    worker.search(QUERY)
    begun = client.ttl(EPOCH_KEY)
    worker.upsert([face(1, GALLERY)])

    assert begun > 86_400 < client.ttl(EPOCH_KEY)


Step = tuple[str, int]
STEPS = st.tuples(st.sampled_from(["upsert", "delete", "search", "restart"]), st.integers(0, 3))


@pytest.mark.parametrize("gallery_ids", [(GALLERY,), (GALLERY, OTHER_GALLERY)], ids=["one gallery", "two galleries"])
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.tuples(STEPS, st.lists(STEPS, max_size=3), st.lists(STEPS, max_size=3)),
        max_size=12,
    )
)
def test_whatever_happens_during_it_a_search_answers_with_a_state_from_its_own_time(
    redis_url: str, gallery_ids: tuple[str, ...], steps: list[tuple[Step, list[Step], list[Step]]]
) -> None:
    """Two workers take turns; while one works, the other does so just before and after the rows are touched."""
    service = Service(redis_url)
    client = redis.Redis.from_url(redis_url)
    client.flushall()
    workers = [service.worker(), service.worker()]
    states: list[list[int]] = [[]]  # which faces there were, after each write that touched them
    finished = 0  # the last of them whose write has ended

    def take(step: Step, before: list[Step], after: list[Step], turn: int) -> None:
        nonlocal finished
        verb, number = step
        (worker, store), row = workers[turn % 2], face(number, gallery_ids[number % len(gallery_ids)])
        touched = 0

        def do_after() -> None:
            nonlocal touched
            states.append(sorted(int(each[-12:]) for each in service.rows["faces"].rows))
            touched = len(states) - 1
            for each in after:
                take(each, [], [], turn + 1)

        store.before = lambda: [take(each, [], [], turn + 1) for each in before]  # type: ignore
        store.after = do_after  # type: ignore
        if verb == "restart":
            client.flushall()
        elif verb == "search":
            began = finished
            assert numbers(worker.search(replace(QUERY, gallery_ids=gallery_ids))) in states[began:]
        else:
            if verb == "upsert":
                worker.upsert([row])
            else:
                worker.delete_photos(gallery_id=row.gallery_id, photo_ids=[row.photo_id])
            finished = max(finished, touched)

    for turn, (step, before, after) in enumerate(steps):
        take(step, before, after, turn)
    service.close()
    client.close()


def test_under_threads_no_search_finds_what_was_erased_before_it_began(service: Service) -> None:
    workers = [service.worker()[0] for _ in range(4)]
    erased_at: dict[int, float] = {}
    written_at: dict[int, float] = {}
    wrong: list[str] = []
    stopping = threading.Event()

    def write(store: CachedVectorStore, first: int) -> None:
        for number in range(first, first + 60):
            store.upsert([face(number, GALLERY)])
            written_at[number] = time.monotonic()
            if number % 2:
                store.delete_photos(gallery_id=GALLERY, photo_ids=[face(number, GALLERY).photo_id])
                erased_at[number] = time.monotonic()

    def read(store: CachedVectorStore) -> None:
        while not stopping.is_set():
            began = time.monotonic()
            written, erased = dict(written_at), dict(erased_at)
            found = set(numbers(store.search(replace(QUERY, limit=1000))))
            wrong.extend(f"{number} was erased" for number, at in erased.items() if at < began and number in found)
            wrong.extend(f"{number} is missing" for number in written if number % 2 == 0 and number not in found)

    readers = [threading.Thread(target=read, args=[store]) for store in workers]
    writers = [threading.Thread(target=write, args=[store, 1000 * i]) for i, store in enumerate(workers[:2])]
    for thread in readers + writers:
        thread.start()
    for thread in writers:
        thread.join()
    stopping.set()
    for thread in readers:
        thread.join()

    assert not wrong
    assert numbers(workers[0].search(replace(QUERY, limit=1000))) == sorted(set(written_at) - set(erased_at))


# -- Redis is not there -------------------------------------------------------------------------------------------


def test_without_redis_a_write_is_refused_before_anything_is_written(service: Service) -> None:
    worker, store = service.worker(redis_url=f"redis://127.0.0.1:{free_port()}/0")

    for write, _ in WRITES.values():
        with pytest.raises(StoreUnavailable) as refused:
            write(worker)
        assert refused.value.retryable

    assert store.count() == 0
    worker.upsert([])  # writes nothing, so there is nothing to tell


def test_a_write_whose_end_redis_did_not_hear_of_is_made_again(tmp_path: Path) -> None:
    port = free_port()
    process = start_redis(tmp_path, port)
    service = Service(f"redis://127.0.0.1:{port}/0")
    worker, store = service.worker()
    upsert = store.upsert

    def upsert_and_lose_redis(records: list[object], **_options: object) -> None:
        upsert(records)  # type: ignore[arg-type]
        stop(process)

    store.upsert = upsert_and_lose_redis  # type: ignore[method-assign, assignment]
    with pytest.raises(StoreUnavailable, match="repeat the write"):
        worker.upsert([face(1, GALLERY)])
    assert store.count() == 1
    store.upsert = upsert  # type: ignore[method-assign]

    process = start_redis(tmp_path, port)
    try:
        worker.upsert([face(1, GALLERY)])  # at once, over the connections from before the restart
        time.sleep(1.1)  # searches leave Redis alone for a second after it has failed
        assert numbers(worker.search(QUERY)) == numbers(worker.search(QUERY)) == [1]
        assert store.searches == 1
    finally:
        stop(process)
        service.close()


def test_a_failed_write_is_reported_as_such_when_redis_is_gone_too(tmp_path: Path) -> None:
    with redis_server(tmp_path) as (url, process):
        cache = Service(url).cache()
        with pytest.raises(InvalidEmbedding), cache.writing([GALLERY]):  # noqa: PT012
            stop(process)
            raise InvalidEmbedding("not a number")


def test_a_frozen_redis_costs_one_search_its_timeout_and_the_next_nothing(tmp_path: Path) -> None:
    with redis_server(tmp_path) as (url, process):
        service = Service(url)
        worker, _ = service.worker()
        worker.search(QUERY)
        process.send_signal(signal.SIGSTOP)
        try:
            began = time.monotonic()
            worker.search(QUERY)
            first = time.monotonic() - began
            for _ in range(20):
                worker.search(QUERY)
            rest = time.monotonic() - began - first
        finally:
            process.send_signal(signal.SIGCONT)
        assert 0.4 < first < 1.5
        assert rest < 0.3
        service.close()


# -- the rest of the contract -------------------------------------------------------------------------------------


def test_a_closed_store_says_so_although_the_cache_knows_the_answer(service: Service, client: redis.Redis) -> None:
    worker, _ = service.worker()
    worker.upsert([face(1, GALLERY)])
    worker.search(QUERY)
    epoch = client.get(EPOCH_KEY)
    worker.close()
    worker.close()

    with pytest.raises(NotOpen):
        worker.search(QUERY)
    with pytest.raises(NotOpen):
        worker.upsert([face(2, GALLERY)])
    assert client.get(EPOCH_KEY) == epoch


def test_what_is_refused_leaves_nothing_in_redis(service: Service, client: redis.Redis) -> None:
    worker, _ = service.worker()

    with pytest.raises(InvalidId):
        worker.search(replace(QUERY, gallery_ids=("*",)))
    with pytest.raises(InvalidId):
        worker.delete_photos(gallery_id="*", photo_ids=[])
    with pytest.raises(InvalidEmbedding):
        worker.search(replace(QUERY, embeddings=[["no", "numbers"]]))  # type: ignore[arg-type]

    assert client.keys("*") == []


def test_a_query_of_the_wrong_shape_is_refused_although_its_values_are_known(service: Service) -> None:
    worker, _ = service.worker()
    worker.search(QUERY)

    with pytest.raises(InvalidEmbedding):
        worker.search(replace(QUERY, embeddings=QUERY.embeddings[0]))


def test_the_other_reads_go_to_the_store(service: Service) -> None:
    worker, store = service.worker()
    worker.upsert([face(1, GALLERY)])

    assert worker.count(gallery_id=GALLERY) == 1
    assert list(worker.fetch([face(1, GALLERY).face_id])) == [face(1, GALLERY).face_id]
    assert [row.face_id for row in worker.iterate()] == [face(1, GALLERY).face_id]
    assert worker.info() == store.info()
    assert worker.health().is_healthy
    assert numbers(worker.exact_search(QUERY)) == [1]


def test_hits_are_hits(service: Service) -> None:
    worker, _ = service.worker()
    worker.upsert([face(1, GALLERY)])
    worker.search(QUERY)

    [[hit]] = worker.search(QUERY)

    assert isinstance(hit, Match)
    assert isinstance(hit.similarity, float)
