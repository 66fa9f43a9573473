"""Small files of very many pixels, many at once: memory stays below what is stated, and small searches are answered."""

import asyncio
import base64
import json
import time
import uuid
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis
from django.conf import settings
from PIL import Image as Pillow

from tasks import queues
from tasks.dictionaries import pack_name
from tasks.health.reports import WorkerReport
from tasks.messages.indexing import IndexRequest, PhotoRef
from tasks.targets import default_target
from tasks.web.search_client import SearchClient
from tasks.work_queue import work_queue
from tests import pictures
from tests.redis_server import queue_lists
from tests.service import RunningService
from tests.waiting import HANG_SECONDS, eventually
from tests.workers.conftest import reports
from worker.config import FaceConfig

pytestmark = [pytest.mark.services, pytest.mark.timeout(HANG_SECONDS)]

NODES = ("redis", "redis-cache", "milvus", "worker-search", "worker-index")
#: The pixel limit of the workers: the default would keep two cores busy for a minute.
WIDTH, HEIGHT = 4000, 2500
LIMITS = {"MAX_IMAGE_PIXELS": WIDTH * HEIGHT, "MAX_DECODED_BYTES": 425_000_000}
ENVIRONMENT = {f"FACE_{name}": str(value) for name, value in LIMITS.items()}
HOSTILE = 32
SMALL = 16
CHUNK = 8
#: Of each format, how it is written so that it takes much memory or time.
FORMATS: dict[str, dict[str, Any]] = {
    "AVIF": {"mode": "RGBA", "speed": 10, "subsampling": "4:4:4"},
    "PNG": {"mode": "RGBA"},
    "GIF": {"mode": "P"},
    "TIFF": {"mode": "RGB", "compression": "tiff_deflate"},
    "JPEG": {"mode": "CMYK", "progressive": True},
    "WEBP": {"mode": "RGBA", "lossless": True, "method": 0},
}


def hostile_pictures() -> list[bytes]:
    """Return one file of each format at the pixel limit."""
    found = []
    for file_format, options in FORMATS.items():
        options = dict(options)
        found.append(pictures.pillow_bytes(Pillow.new(options.pop("mode"), (WIDTH, HEIGHT)), file_format, **options))
    return found


def many(files: list[bytes]) -> list[bytes]:
    """Return HOSTILE files that all differ, so that no cache knows them."""
    return [files[number % len(files)] + b"one of many: %d" % number for number in range(HOSTILE)]


def index_requests(folder: Path, files: list[bytes]) -> list[IndexRequest]:
    """Store the files as photos; return the messages that index them."""
    refs = []
    for number, data in enumerate(files):
        (folder / f"photo-{number}").write_bytes(data)
        refs.append(PhotoRef(photo_id=str(uuid.uuid4()), storage_key=f"photo-{number}"))
    chunks = [tuple(refs[start : start + CHUNK]) for start in range(0, len(refs), CHUNK)]
    return [IndexRequest(target=default_target(), gallery_id=str(uuid.uuid4()), photos=chunk) for chunk in chunks]


def forget_peak(report: WorkerReport) -> float:
    """Let the peak of the worker's memory be what it has now (proc(5): 5 written to clear_refs); return it in MB."""
    Path(f"/proc/{report.pid}/clear_refs").write_text("5")
    return peak_mb(report)


def peak_mb(report: WorkerReport) -> float:
    status = Path(f"/proc/{report.pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


async def answered(search: SearchClient, data: bytes) -> float:
    """Search; return after how many seconds there was an answer."""
    began = time.monotonic()
    result = await search.search_faces_in_image(data, gallery_ids=(str(uuid.uuid4()),), timeout_seconds=120)
    assert result.error is None, result.error
    return time.monotonic() - began


async def search_all(files: list[bytes]) -> tuple[list[float], list[float]]:
    """Search for all the files at once and, beside them, for small pictures; return the seconds of both."""
    async with SearchClient() as search:
        large = [asyncio.create_task(answered(search, data)) for data in files]
        small = [await answered(search, pictures.edited_portrait() + b"%d" % number) for number in range(SMALL)]
        return await asyncio.gather(*large), small


async def wear_in(broker: redis.Redis, folder: Path, files: list[bytes]) -> None:
    """Let the workers see each file once: then they have loaded what the formats need, and grown their buffers."""
    for request in index_requests(folder, files):
        work_queue().send(request, queue=queues.index_queue(pack_name()))
        take_outcomes(broker)
    async with SearchClient() as search:
        for data in (*files, pictures.edited_portrait()):
            await answered(search, data)


async def test_memory_stays_below_its_ceiling_and_small_searches_are_answered(
    nodes: dict[str, Any], service: RunningService, broker: redis.Redis, cache: redis.Redis
) -> None:
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("the peak of a process' memory is known on Linux only")
    eventually(lambda: len(reports(cache)) == 2 and all(each.is_healthy for each in reports(cache).values()), "healthy")
    workers, hostile = reports(cache), hostile_pictures()
    await wear_in(broker, service.folder / "photos", hostile)
    before_mb = {role: forget_peak(report) for role, report in workers.items()}
    requests = index_requests(service.folder / "photos", many(hostile))
    for request in requests:
        work_queue().send(request, queue=queues.index_queue(pack_name()))
    large_seconds, small_seconds = await search_all(many(hostile))
    outcomes = [outcome for _ in requests for outcome in take_outcomes(broker)]

    assert [(outcome["state"], outcome["code"]) for outcome in outcomes] == [("no_faces", "no_face")] * HOSTILE
    config = FaceConfig.from_settings({"PACKS_DIR": settings.DATA_DIR, **LIMITS})
    pictures_mb = config.most_picture_bytes / 2**20
    for role, report in workers.items():
        print(
            f"{role}: {before_mb[role]:.0f} MB before, {peak_mb(report) - before_mb[role]:.0f} MB more at most; "
            f"pictures may take {pictures_mb:.0f} MB, and the limit is {report.memory_limit_mb:.0f} MB"
        )
    for seconds, which in ((small_seconds, "small"), (large_seconds, "hostile")):
        print(f"{which} searches: {max(seconds):.1f} s at most, {sum(seconds) / len(seconds):.1f} s on average")
    for role, report in workers.items():
        # The heap keeps some of what was freed. Without the gate it is more than one and a half times as much.
        assert peak_mb(report) - before_mb[role] < 1.3 * pictures_mb
        assert peak_mb(report) < report.memory_limit_mb
        assert psutil.pid_exists(report.pid)


def take_outcomes(broker: redis.Redis) -> list[dict[str, Any]]:
    """Wait for the outcomes of one chunk, as the records worker would."""
    _, raw = broker.blpop(queue_lists(queues.RECORDS), timeout=HANG_SECONDS)
    found: list[dict[str, Any]] = json.loads(base64.b64decode(json.loads(raw)["body"]))[1]["message"]["outcomes"]
    return found
