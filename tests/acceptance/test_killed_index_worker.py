"""worker-index is killed in the middle of an import: every photo is indexed once a worker is back."""

import io
import os
from pathlib import Path

import pytest
from PIL import Image

from tests import pictures
from tests.service import EVERYTHING, RunningService
from tests.web_client import WebClient

pytestmark = pytest.mark.acceptance

PHOTOS = 40
GALLERY = "killed"


@pytest.fixture
def service(tmp_path):
    with RunningService(tmp_path, processes=EVERYTHING, environment={"INDEX_CHUNK_SIZE": "4"}) as running:
        running.create_user()
        running.wait_until_healthy()
        yield running


def many_portraits(folder: Path, count: int = PHOTOS) -> None:
    """Write photos that all hold a face and all differ."""
    with Image.open(pictures.sample_file("astronaut")) as opened:
        portrait = opened.convert("RGB").crop((100, 0, 400, 300))
    for number in range(count):
        out = io.BytesIO()
        portrait.rotate(number % 7 - 3).save(out, format="JPEG", quality=60 + number % 30)
        (folder / f"portrait-{number:04}.jpg").write_bytes(out.getvalue() + number.to_bytes(2))


def test_every_photo_is_indexed_once_a_worker_is_back(service: RunningService, tmp_path: Path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    many_portraits(folder)
    service.manage("import_photos", str(folder), "--gallery", GALLERY, "--create")
    alice = WebClient(service.url)
    gallery = alice.get("/galleries")["items"][0]["id"]

    service.wait_until(lambda: alice.progress(gallery)["indexed"] > 0, "the import has begun")
    killed = service.process("worker-index").pid
    service.kill("worker-index")
    assert alice.progress(gallery)["pending"] > 0, "the import was over before the kill"
    with pytest.raises(ProcessLookupError):
        os.killpg(killed, 0)

    service.start("worker-index")
    service.wait_until(lambda: alice.progress(gallery)["pending"] == 0, "no photo is pending")
    progress = alice.progress(gallery)
    assert progress["indexed"] == PHOTOS, progress
    face_ids = service.all_face_ids()
    rows = sum(photo["face_count"] for photo in alice.photos(gallery).values())
    assert rows == len(set(face_ids)) == len(face_ids)
    alice.close()
