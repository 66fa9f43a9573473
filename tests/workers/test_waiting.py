"""Many searches that nobody answers: what they cost Redis, and what lies in the broker meanwhile."""

import asyncio
import uuid
from dataclasses import replace
from typing import Any

import pytest
import redis
from django.conf import settings

from tasks import queues
from tasks.config import QueueConfig
from tasks.dictionaries import pack_name
from tasks.messages.base import BoxInfo
from tasks.messages.indexing import IndexRequest, KnownFace, PhotoRef, RemoveRequest
from tasks.messages.search import SearchResult
from tasks.targets import default_target
from tasks.web.results import KEY_PREFIX
from tasks.web.search_client import SearchClient
from tasks.work_queue import work_queue
from tests import pictures
from tests.redis_server import queue_messages
from tests.waiting import HANG_SECONDS
from webapp.indexing.dispatch import REMOVAL_CHUNK_SIZE

pytestmark = [pytest.mark.services, pytest.mark.timeout(HANG_SECONDS)]

NODES = ("redis", "redis-cache")
WAITING = 200
#: Faces of a photo of a large group.
FACES = 50
#: Far below what a picture takes, and small enough for a thousand of them.
LARGEST_SEARCH_BYTES = 2_000
LARGEST_INDEX_BYTES = 160_000


@pytest.fixture(autouse=True)
def empty(broker: redis.Redis) -> None:
    broker.flushall()


async def test_200_waiting_searches_are_one_subscription_and_none_is_left_after(
    nodes: dict[str, Any], broker: redis.Redis
) -> None:
    image = pictures.edited_portrait()
    config = replace(QueueConfig.from_django(), search_queue_bound=WAITING)
    async with SearchClient(config) as search:
        # With a long deadline, because the room for searches shrinks while nobody answers.
        options: dict[str, Any] = {"gallery_ids": (str(uuid.uuid4()),), "timeout_seconds": 24 * 3600}
        ids = [await search.start_search(image, **options) for _ in range(WAITING)]
        waits = [
            asyncio.create_task(search.wait_for_answer(search_id, SearchResult, timeout_seconds=30))
            for search_id in ids
        ]
        while search.waiting < WAITING:
            await asyncio.sleep(0.05)
        assert (broker.pubsub_numpat(), broker.pubsub_channels(KEY_PREFIX + "*")) == (1, [])
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
        assert search.waiting == 0
        assert broker.pubsub_numpat() == 1
    while broker.pubsub_numpat():
        await asyncio.sleep(0.05)


async def test_no_byte_of_a_picture_is_in_the_broker(nodes: dict[str, Any], broker: redis.Redis) -> None:
    async with SearchClient() as search:
        await search.start_search(
            pictures.edited_portrait(), gallery_ids=(str(uuid.uuid4()),), limit=1000, min_similarity=0.123456789
        )
    [message] = queue_messages(broker, queues.search_queue(pack_name()))
    assert len(message) < LARGEST_SEARCH_BYTES
    assert len(message) < len(pictures.edited_portrait()) / 2
    held = {key for key in broker.scan_iter() if not key.startswith((b"_kombu", b"search."))}
    assert not held, "nothing else is kept of a search"


def test_the_largest_messages_stay_small(nodes: dict[str, Any], broker: redis.Redis) -> None:
    box = BoxInfo(left=1234.56789012345, top=1234.56789012345, right=1234.56789012345, bottom=1234.56789012345)
    known = tuple(KnownFace(face_id=str(uuid.uuid4()), box=box) for _ in range(FACES))
    gallery_id = str(uuid.uuid4())
    photos = tuple(
        PhotoRef(photo_id=str(uuid.uuid4()), storage_key=f"{uuid.uuid4()}/{uuid.uuid4()}", known_faces=known)
        for _ in range(settings.INDEX_CHUNK_SIZE)
    )
    target, queue = default_target(), queues.index_queue(pack_name())
    work_queue().send(IndexRequest(target=target, gallery_id=gallery_id, photos=photos), queue=queue)
    ids = tuple(str(uuid.uuid4()) for _ in range(REMOVAL_CHUNK_SIZE))
    work_queue().send(RemoveRequest(targets=(target,) * 3, gallery_id=gallery_id, photo_ids=ids), queue=queue)
    messages = queue_messages(broker, queue)
    assert len(messages) == 2
    assert max(map(len, messages)) < LARGEST_INDEX_BYTES
