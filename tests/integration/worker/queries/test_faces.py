"""The faces of a query image come back from the cache exactly as they were found."""

import numpy as np
import pytest
import redis

from tests.unit.worker.vector_search.cached import Service, never, seen
from worker.queries.faces import QueryFaceCache, QueryFaces
from worker.vector_search.cached_values import LIST_KEY

pytestmark = pytest.mark.services

IMAGE = b"the bytes of a query image"


def test_the_faces_of_an_image_come_back_as_they_were_found(service: Service) -> None:
    found = seen(3)
    service.query_faces().faces(IMAGE, variant="all", find=lambda: found)

    kept = service.query_faces().faces(IMAGE, variant="all", find=never)

    assert (kept.width, kept.height, len(kept.faces)) == (640, 480, 3)
    for was, now in zip(found.faces, kept.faces, strict=True):
        assert (now.box, now.score, now.quality) == (was.box, was.score, was.quality)
        assert now.embedding.dtype == now.landmarks.dtype == np.float32
        assert np.array_equal(now.embedding, was.embedding)
        assert np.array_equal(now.landmarks, was.landmarks)
        now.embedding[0] = 0  # a caller may write to its own


def test_an_image_without_faces_is_kept_as_such(service: Service) -> None:
    service.query_faces().faces(IMAGE, variant="all", find=lambda: seen(0))

    assert service.query_faces().faces(IMAGE, variant="all", find=never) == QueryFaces(faces=(), width=640, height=480)


def test_another_image_pack_or_variant_is_another_value(service: Service) -> None:
    service.query_faces().faces(IMAGE, variant="all", find=lambda: seen(width=1))

    def width(cache: QueryFaceCache, image: bytes = IMAGE, variant: str = "all") -> int:
        return cache.faces(image, variant=variant, find=lambda: seen(width=2)).width

    assert width(service.query_faces(), image=b"another image") == 2
    assert width(service.query_faces(), variant="largest") == 2
    assert width(service.query_faces(fingerprint="another pack")) == 2
    assert width(service.query_faces()) == 1


def test_what_the_engine_raises_is_raised_and_not_kept(service: Service, client: redis.Redis) -> None:
    with pytest.raises(AssertionError):
        service.query_faces().faces(IMAGE, variant="all", find=never)

    assert client.zcard(LIST_KEY) == 0


def test_a_value_without_its_embeddings_is_a_miss(service: Service, client: redis.Redis) -> None:
    service.query_faces().faces(IMAGE, variant="all", find=seen)
    [key] = client.zrange(LIST_KEY, 0, -1)
    client.hdel(key, "float32")

    assert service.query_faces().faces(IMAGE, variant="all", find=lambda: seen(width=7)).width == 7
