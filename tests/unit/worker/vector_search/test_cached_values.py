"""Cached values expire, are bounded in number and size, and hold nothing that could be run."""

import json
import logging
import pickle
import time

import numpy as np
import pytest
import redis

from tests.servers import free_port
from tests.unit.worker.vector_search.cached import (
    FINGERPRINT,
    CountingRecorder,
    Service,
    face,
    never,
    numbers,
    seen,
    unit,
)
from worker.vector_search.cache import EPOCH_PREFIX
from worker.vector_search.cached_values import KEY_PREFIX, LIST_KEY, MAX_VALUE_BYTES
from worker.vector_search.interfaces import SearchQuery

pytestmark = pytest.mark.services

GALLERY = "11111111-0000-0000-0000-000000000000"
QUERY = SearchQuery(gallery_ids=(GALLERY,), embeddings=unit(1)[np.newaxis])
EPOCH_KEY = f"{EPOCH_PREFIX}faces:{GALLERY}"
IMAGE = b"the bytes of a query image"


def test_without_redis_a_search_is_answered_by_the_store_and_counted_as_a_miss(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = CountingRecorder()
    worker, store = service.worker(redis_url=f"redis://127.0.0.1:{free_port()}/0", recorder=recorder)
    cache = service.query_faces(service.caches[-1])

    assert worker.search(QUERY) == [[]]
    assert cache.faces(IMAGE, variant="all", find=seen).width == 640

    assert store.searches == 1
    assert recorder.counts == {"cache_failures": 1, "cache_matches_misses": 1, "cache_faces_misses": 1}
    assert [record.levelno for record in caplog.records if "cached_values" in record.name] == [logging.WARNING]


# -- bounds -------------------------------------------------------------------------------------------------------


def test_values_end_with_their_time(service: Service, client: redis.Redis) -> None:
    worker, store = service.worker(ttl_seconds=0.2)
    cache = service.query_faces(service.caches[-1])
    worker.upsert([face(1, GALLERY)])
    worker.search(QUERY)
    cache.faces(IMAGE, variant="all", find=seen)
    time.sleep(0.25)

    worker.search(QUERY)

    assert store.searches == 2
    assert cache.faces(IMAGE, variant="all", find=lambda: seen(width=7)).width == 7
    time.sleep(0.25)
    cache.faces(b"another image", variant="all", find=seen)
    assert client.zcard(LIST_KEY) == 1  # the expired ones have left the list


def test_no_more_values_are_kept_than_allowed_and_the_oldest_go_first(service: Service, client: redis.Redis) -> None:
    caches = [service.query_faces(service.cache(max_values=5)) for _ in range(2)]
    for number in range(20):
        caches[number % 2].faces(b"%d" % number, variant="all", find=seen)
        time.sleep(0.002)  # values of the same millisecond have no age

    values = [key for key in client.scan_iter(KEY_PREFIX + "*") if key != LIST_KEY.encode()]
    assert len(values) == client.zcard(LIST_KEY) == 5
    for number in range(15, 20):
        caches[0].faces(b"%d" % number, variant="all", find=never)


def test_what_is_very_large_is_not_kept(service: Service, client: redis.Redis) -> None:
    cache = service.query_faces()
    many = MAX_VALUE_BYTES // 100

    cache.faces(IMAGE, variant="all", find=lambda: seen(many))

    assert client.keys("*") == []


def test_nothing_but_epochs_and_the_list_lives_without_the_values_time(service: Service, client: redis.Redis) -> None:
    worker, _ = service.worker(ttl_seconds=60)
    worker.upsert([face(1, GALLERY)])
    worker.search(QUERY)
    service.query_faces(service.caches[-1]).faces(IMAGE, variant="all", find=seen)

    lives = {key.decode(): client.ttl(key) for key in client.scan_iter("*")}

    assert lives.pop(LIST_KEY) == -1
    assert lives.pop(EPOCH_KEY) > 60
    assert len(lives) == 2
    assert all(0 < seconds <= 60 for seconds in lives.values())


# -- what stands in Redis -----------------------------------------------------------------------------------------


def values_of(client: redis.Redis) -> dict[str, dict[bytes, bytes]]:
    return {key.decode(): client.hgetall(key) for key in client.zrange(LIST_KEY, 0, -1)}


def test_what_is_kept_is_json_or_float32_and_never_pickled(service: Service, client: redis.Redis) -> None:
    worker, _ = service.worker()
    worker.upsert([face(1, GALLERY)])
    [[hit]] = worker.search(QUERY)
    found = seen(2)
    service.query_faces(service.caches[-1]).faces(IMAGE, variant="all", find=lambda: found)

    kept = values_of(client)
    (matches,) = (values for key, values in kept.items() if "matches" in key)
    (faces,) = (values for key, values in kept.items() if "faces:" + FINGERPRINT in key)

    assert json.loads(matches[b"json"]) == [[[hit.face_id, hit.photo_id, hit.similarity]]]
    assert faces[b"float32"] == b"".join(each.embedding.astype("<f4").tobytes() for each in found.faces)
    assert json.loads(faces[b"json"])["faces"][0]["score"] == 0.987654321
    assert set(matches) | set(faces) == {b"json", b"float32"}
    assert IMAGE not in b"".join([*faces.values(), *matches.values()])
    for value in (matches[b"json"], faces[b"json"], faces[b"float32"]):
        with pytest.raises(Exception):  # noqa: B017, PT011
            pickle.loads(value)


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param({"json": "{"}, id="not JSON"),
        pytest.param({"json": "[]"}, id="too few lists"),
        pytest.param({"json": "[[[1]]]"}, id="hits of another shape"),
        pytest.param({"json": "{}"}, id="an object"),
        pytest.param({"float32": b"abc"}, id="not float32"),
        pytest.param({"json": pickle.dumps([[]])}, id="pickled"),
    ],
)
def test_a_value_that_cannot_be_read_is_a_miss(
    service: Service, client: redis.Redis, damage: dict[str, bytes | str]
) -> None:
    worker, store = service.worker()
    worker.upsert([face(1, GALLERY)])
    worker.search(QUERY)
    service.query_faces(service.caches[-1]).faces(IMAGE, variant="all", find=seen)
    for key in values_of(client):
        if "json" in damage or "faces:" + FINGERPRINT in key:
            client.hset(key, mapping=damage)

    assert numbers(worker.search(QUERY)) == [1]
    assert service.query_faces(service.caches[-1]).faces(IMAGE, variant="all", find=lambda: seen(width=7)).width == 7
    assert store.searches == (2 if "json" in damage else 1)


def test_the_hit_rate_is_measured(service: Service) -> None:
    recorder = CountingRecorder()
    worker, _ = service.worker(recorder=recorder)
    worker.upsert([face(1, GALLERY)])
    for _ in range(4):
        worker.search(QUERY)
        service.query_faces(service.caches[-1]).faces(IMAGE, variant="all", find=seen)

    assert recorder.counts == {
        "cache_matches_misses": 1,
        "cache_matches_hits": 3,
        "cache_faces_misses": 1,
        "cache_faces_hits": 3,
    }
