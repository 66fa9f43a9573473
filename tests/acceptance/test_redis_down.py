"""Redis goes away and comes back: uploads are kept, searches say so, and everything goes on by itself."""

from pathlib import Path

import pytest

from tests import pictures
from tests.service import EVERYTHING, RunningService
from tests.web_client import WebClient

pytestmark = pytest.mark.acceptance


@pytest.fixture
def service(tmp_path: Path):
    with RunningService(tmp_path, processes=EVERYTHING) as running:
        running.create_user()
        running.wait_until_healthy()
        yield running


def test_a_photo_uploaded_while_redis_is_down_is_indexed_once_it_is_back(service: RunningService, tmp_path: Path):
    alice = WebClient(service.url)
    gallery = alice.create_gallery("patience")
    service.stop("redis")

    [uploaded] = alice.upload(gallery, {pictures.PORTRAIT: pictures.sample_bytes("astronaut")})
    assert uploaded["result"] == "added"

    answer = alice.search(gallery, pictures.edited_portrait())
    assert (answer.status_code, answer.json()["code"]) == (503, "queue_unavailable")
    assert "Retry-After" in answer.headers
    query = tmp_path / "query.jpg"
    query.write_bytes(pictures.edited_portrait())
    done = service.manage("search_photo", str(query), "--gallery", "patience", check=False)
    assert done.returncode != 0
    assert "Redis" in done.stderr
    assert "Traceback" not in done.stderr
    diagnosis = service.manage("doctor", check=False)
    assert diagnosis.returncode != 0
    assert "WRONG  redis " in diagnosis.stdout

    service.start("redis")
    service.wait_until(lambda: alice.progress(gallery)["indexed"] == 1, "the photo is indexed")
    matches = alice.search(gallery, pictures.edited_portrait()).json()["faces"][0]["matches"]
    assert matches[0]["photo"] == pictures.PORTRAIT
    alice.close()
