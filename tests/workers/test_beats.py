"""Beat: two at once do no harm, and one that hangs is told from one that ticks."""

import base64
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
from django.conf import settings

from tasks import names, queues
from tasks.beat.schedule import FEED_INTERVAL_SECONDS
from tasks.dictionaries import pack_name
from tasks.health.inspection import beat_answers
from tests import pictures
from tests.redis_server import queue_messages
from tests.servers import free_port
from tests.service import RunningService
from tests.waiting import HANG_SECONDS, eventually
from webapp.operations import health

pytestmark = [pytest.mark.services, pytest.mark.timeout(HANG_SECONDS)]

NODES = ("redis", "redis-cache", "beat", "worker-records")
#: As many as the command adds before it finds that the queue is down.
PHOTOS = 8


@pytest.fixture
def beat(nodes: dict[str, Any]) -> Any:
    return nodes["beat"]


def test_doctor_says_that_a_frozen_beat_does_not_answer(beat: Any) -> None:
    eventually(beat_answers, "beat answers")
    assert health._beat().ok
    beat.kill(signal="SIGSTOP")
    try:
        # Other processes keep the processors busy: a ping may come before beat has stopped.
        eventually(lambda: not beat_answers(), "beat no longer answers")
        finding = health._beat()
        assert not finding.ok
        assert finding.detail == "does not answer"
        assert finding.remedy
    finally:
        beat.kill(signal="SIGCONT")
    eventually(beat_answers, "beat answers again")


@contextmanager
def another_beat(service: RunningService, folder: Path) -> Iterator[None]:
    """A second beat, as after a careless scaling: same settings, a schedule file of its own."""
    schedule = folder / "second"
    beat = ["celery", "-A", "tasks.app", "beat", "--pidfile=", "--loglevel", "info", "--schedule", schedule]
    with (folder / "second.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *beat], cwd=settings.BASE_DIR, env=service.environment, stdout=log, stderr=log
        )
    try:
        eventually(lambda: "Sending due task feed-index-queue" in (folder / "second.log").read_text(), "it ticks")
        yield
    finally:
        process.terminate()
        process.wait(30)


@pytest.mark.long
def test_two_beats_send_each_photo_once(service: RunningService, broker: redis.Redis, tmp_path: Path) -> None:
    service.create_user()
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(PHOTOS):
        (folder / f"{number}.jpg").write_bytes(pictures.edited_portrait() + bytes([number]))
    service.environment["REDIS_URL"] = f"redis://127.0.0.1:{free_port()}/0"  # the photos are left to beat
    try:
        service.manage("import_photos", str(folder), "--gallery", "beats", "--create", check=False)
    finally:
        del service.environment["REDIS_URL"]
    with another_beat(service, tmp_path):
        eventually(lambda: len(set(sent_photos(broker))) == PHOTOS, "every photo is sent")
        time.sleep(2 * FEED_INTERVAL_SECONDS)
    assert max(Counter(sent_photos(broker)).values()) == 1


def sent_photos(broker: redis.Redis) -> list[str]:
    """Return the ids of the photos in the index queue, which nobody consumes here."""
    messages = [json.loads(raw) for raw in queue_messages(broker, queues.index_queue(pack_name()))]
    bodies = [json.loads(base64.b64decode(each["body"])) for each in messages if _is_index(each)]
    return [photo["photo_id"] for _, kwargs, _ in bodies for photo in kwargs["message"]["photos"]]


def _is_index(message: dict[str, Any]) -> bool:
    return bool(message["headers"]["task"] == names.INDEX_PHOTOS)
