"""Renditions through the real processes: indexing makes them, and `manage.py renditions` makes them again."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests import pictures
from tests.service import RunningService
from tests.web_client import WebClient

pytestmark = pytest.mark.acceptance


def rendition_files(service: RunningService, photo_id: str) -> dict[str, bytes]:
    folder = service.folder / "photos" / photo_id[:2] / photo_id
    return {file.name: file.read_bytes() for file in folder.glob("*.jpg")}


def test_renditions_that_are_gone_are_made_again_without_the_model(
    service: RunningService, alice: WebClient, wait_until_indexed: Callable[[WebClient, str], None]
) -> None:
    gallery = alice.create_gallery("to render")
    alice.upload(gallery, {name: pictures.sample_bytes(name) for name in ("astronaut", "six_people")})
    wait_until_indexed(alice, gallery)
    photos = alice.photos(gallery).values()
    before = {photo["id"]: rendition_files(service, photo["id"]) for photo in photos}
    assert sorted(len(files) for files in before.values()) == [3, 8], "a thumbnail, a preview, and a crop of each face"
    assert {alice.http.get(photo["thumbnail"]).status_code for photo in photos} == {200}

    for photo_id, files in before.items():
        for name in files:
            (service.folder / "photos" / photo_id[:2] / photo_id / name).unlink()
    assert {alice.http.get(photo["thumbnail"]).status_code for photo in photos} == {404}
    answer = service.manage("renditions", "--gallery", "to render", "--wait", "--json")

    [job] = json.loads(answer.stdout)
    counts: dict[str, Any] = job["counts"]
    assert (job["state"], job["total"], counts["rendered"], job["failed_photos"]) == ("finished", 2, 2, [])
    assert {photo_id: rendition_files(service, photo_id) for photo_id in before} == before
    assert {alice.http.get(photo["thumbnail"]).status_code for photo in photos} == {200}
    assert "No renditions are missing" in service.manage("renditions", "--gallery", "to render").stdout
