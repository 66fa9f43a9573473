"""A photo moves to another gallery through the real processes, and its job is followed as events."""

import json
import uuid
from collections.abc import Callable

import pytest

from tests import pictures
from tests.service import RunningService
from tests.web_client import WebClient

pytestmark = pytest.mark.acceptance


def found_in(alice: WebClient, gallery: str) -> list[str]:
    """Return the ids of the faces that a search for the portrait finds in the gallery."""
    [face] = alice.search(gallery, pictures.edited_portrait()).raise_for_status().json()["faces"]
    return [match["face_id"] for match in face["matches"]]


def events_of(alice: WebClient, job_id: str) -> list[tuple[str, dict]]:
    """Follow the job to its end; return the kind and the data of each event."""
    found: list[tuple[str, dict]] = []
    with alice.http.stream("GET", f"/api/v1/jobs/{job_id}/events") as stream:
        kind = ""
        for line in stream.iter_lines():
            if line.startswith("event: "):
                kind = line.removeprefix("event: ")
            elif line.startswith("data: "):
                found.append((kind, json.loads(line.removeprefix("data: "))))
    return found


def test_a_moved_photo_is_found_in_the_target_only_under_its_id_and_name(
    service: RunningService, alice: WebClient, wait_until_indexed: Callable[[WebClient, str], None]
):
    source, target = (alice.create_gallery(f"{name} {uuid.uuid4()}") for name in ("source", "target"))
    [added] = alice.upload(source, {pictures.PORTRAIT: pictures.sample_files()[pictures.PORTRAIT]})
    wait_until_indexed(alice, source)
    photo = alice.get(f"/photos/{added['photo_id']}")
    [face] = photo["faces"]
    named = alice.http.put(f"/api/v1/faces/{face['id']}/person", json={"name": "Eileen"}, headers=alice.headers)
    named.raise_for_status()
    assert found_in(alice, source) == [face["id"]]
    faces_before = service.all_face_ids()

    address = f"/api/v1/photos/{photo['id']}/move"
    moved = alice.http.post(address, json={"gallery_id": target}, headers=alice.headers)
    assert moved.status_code == 202, moved.text
    assert found_in(alice, source) == [], "from this moment on, whatever the vector store still has"
    *_, (kind, job) = events_of(alice, moved.json()["job_id"])
    assert (kind, job["state"], job["counts"]["indexed"]) == ("over", "finished", 1)
    assert (found_in(alice, source), found_in(alice, target)) == ([], [face["id"]])
    [kept] = alice.get(f"/photos/{photo['id']}")["faces"]
    assert (kept["id"], kept["person"]) == (face["id"], "Eileen")
    assert service.all_face_ids() == faces_before, "nothing is left behind, and nothing is there twice"
