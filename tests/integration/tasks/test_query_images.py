"""Query images on their way: what is gone, foreign or unreachable has a code."""

import pytest
import redis

from tasks.errors import BadMessage, QueryImageGone, QueueUnavailable
from tasks.web.query_images import KEY_PREFIX, QueryImageWriter
from tasks.worker.query_images import QueryImageReader
from tests.redis_server import redis_server
from tests.servers import free_port

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory):
    with redis_server(tmp_path_factory.mktemp("cache")) as (url, _):
        yield url


@pytest.fixture
async def writer(redis_url):
    cache = redis.asyncio.Redis.from_url(redis_url)
    yield QueryImageWriter(cache)
    await cache.aclose()


@pytest.fixture
def reader(redis_url):
    with redis.Redis.from_url(redis_url) as cache:
        yield QueryImageReader(cache)


async def test_an_image_comes_out_as_it_went_in(writer, reader):
    [key] = await writer.put("job", b"\x00\xffbytes", ttl_seconds=5)
    assert reader.get(key) == b"\x00\xffbytes"


async def test_two_jobs_have_two_images(writer, reader):
    [first], [second] = await writer.put("1", b"a", ttl_seconds=5), await writer.put("2", b"b", ttl_seconds=5)
    assert (reader.get(first), reader.get(second)) == (b"a", b"b")


async def test_one_job_may_have_two_images_which_go_together(writer, reader):
    first, second = await writer.put("job", b"a", b"b", ttl_seconds=5)
    assert (reader.get(first), reader.get(second)) == (b"a", b"b")
    await writer.discard("job")
    for key in (first, second):
        with pytest.raises(QueryImageGone):
            reader.get(key)
    first, second = await writer.put("job", b"a", b"b", ttl_seconds=5)
    reader.discard(first, second)
    with pytest.raises(QueryImageGone):
        reader.get(second)


async def test_an_image_of_a_cancelled_job_is_gone(writer, reader):
    [key] = await writer.put("job", b"a", ttl_seconds=5)
    await writer.discard("job")
    await writer.discard("job")
    with pytest.raises(QueryImageGone):
        reader.get(key)


async def test_an_image_leaves_by_itself(writer, reader, redis_url):
    [key] = await writer.put("job", b"a", ttl_seconds=5)
    with redis.Redis.from_url(redis_url) as client:
        assert 0 < client.pttl(key) <= 5000


async def test_a_discarded_image_is_gone_with_a_sentence(writer, reader):
    [key] = await writer.put("job", b"a", ttl_seconds=5)
    reader.discard(key)
    with pytest.raises(QueryImageGone, match="search again"):
        reader.get(key)


def test_a_key_that_is_not_an_upload_is_not_read(reader, redis_url):
    with redis.Redis.from_url(redis_url) as client:
        client.set("somebody-elses-key", b"secret")
    with pytest.raises(BadMessage):
        reader.get("somebody-elses-key")


async def test_a_cache_that_is_down_says_so():
    url = f"redis://127.0.0.1:{free_port()}/0"
    with pytest.raises(QueueUnavailable):
        QueryImageReader(redis.Redis.from_url(url)).get(KEY_PREFIX + "x")
    QueryImageReader(redis.Redis.from_url(url)).discard(KEY_PREFIX + "x")  # it is answered already: no reason to fail
    cache = redis.asyncio.Redis.from_url(url)
    with pytest.raises(QueueUnavailable):
        await QueryImageWriter(cache).put("job", b"a", ttl_seconds=5)
    await cache.aclose()
