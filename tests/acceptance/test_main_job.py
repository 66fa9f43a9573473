"""Photos go into a gallery, a face is searched, the right photos come back: through every real process."""

import io
import json
import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests import pictures
from tests.service import RunningService
from tests.web_client import WebClient

pytestmark = pytest.mark.acceptance

Wait = Callable[[WebClient, str], None]


def png(width: int, height: int, mode: str = "RGB") -> bytes:
    out = io.BytesIO()
    Image.new(mode, (width, height)).save(out, format="PNG")
    return out.getvalue()


def bad_files() -> dict[str, bytes]:
    return {
        "words.jpg": b"these are words, not a picture",
        "empty.jpg": b"",
        "cut.png": pictures.sample_files()["coffee.png"][:5000],
        "bomb.png": png(20_000, 20_000, mode="1"),
        "drawing.svg": b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
        "dot.png": png(1, 1),
    }


def test_a_changed_portrait_is_found_among_uploaded_photos(alice: WebClient, wait_until_indexed: Wait):
    gallery = alice.create_gallery(f"found {uuid.uuid4()}")
    uploaded = alice.upload(gallery, pictures.sample_files())
    assert {file["result"] for file in uploaded} == {"added"}
    wait_until_indexed(alice, gallery)

    answer = alice.search(gallery, pictures.edited_portrait())
    assert answer.status_code == 200, answer.text
    [face] = answer.json()["faces"]
    best = face["matches"][0]
    assert best["photo"] == pictures.PORTRAIT
    assert best["similarity"] > 0.9
    assert best["photo_id"] == alice.photos(gallery)[pictures.PORTRAIT]["id"]
    assert (face["reason"], answer.json()["reason"]) == (None, None)


def test_a_stored_face_finds_the_same_person_on_other_photos_but_not_itself(alice: WebClient, wait_until_indexed: Wait):
    gallery = alice.create_gallery(f"stored {uuid.uuid4()}")
    portraits = {"one.png": pictures.sample_files()[pictures.PORTRAIT], "other.jpg": pictures.edited_portrait()}
    alice.upload(gallery, portraits | {"tom.jpg": pictures.sample_bytes("tom_hanks")})
    wait_until_indexed(alice, gallery)
    ids = {name: photo["id"] for name, photo in alice.photos(gallery).items()}
    faces = {name: alice.get(f"/photos/{photo_id}")["faces"][0]["id"] for name, photo_id in ids.items()}

    def search(name: str, **params: float) -> dict[str, Any]:
        address, form = f"/api/v1/galleries/{gallery}/searches", {"face_id": faces[name]}
        answer = alice.http.post(address, params={"wait": 120, **params}, data=form, headers=alice.headers)
        assert answer.status_code == 200, answer.text
        [face] = answer.json()["faces"]
        return dict(face)

    assert [match["photo"] for match in search("one.png")["matches"]] == ["other.jpg"]
    nobody = search("tom.jpg")
    every = search("tom.jpg", min_similarity=-1)["matches"]
    assert (nobody["matches"], nobody["reason"]["code"]) == ([], "below_threshold")
    assert nobody["reason"]["best_similarity"] == every[0]["similarity"]
    assert {match["photo"] for match in every} == {"one.png", "other.jpg"}


def test_two_images_are_verified(alice: WebClient):
    def verify(image: bytes, other_image: bytes) -> dict[str, Any]:
        files = {"image": ("a", image), "other_image": ("b", other_image)}
        answer = alice.http.post("/api/v1/verify", files=files, headers=alice.headers)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    portrait, tom = pictures.sample_files()[pictures.PORTRAIT], pictures.sample_bytes("tom_hanks")
    same = verify(portrait, pictures.edited_portrait())
    assert (same["is_same"], same["reason"]) == (True, None)
    assert same["similarity"] >= same["threshold"]
    different = verify(portrait, tom)
    assert (different["is_same"], different["reason"]["code"]) == (False, "below_threshold")
    faceless = verify(portrait, pictures.sample_files()["coffee.png"])
    assert (faceless["is_same"], faceless["reason"]["code"]) == (None, "no_face")
    assert [picture["face"] is None for picture in faceless["pictures"]] == [False, True]


def test_the_faces_of_an_image_are_detected_and_nothing_is_kept(alice: WebClient, service: RunningService):
    before = service.all_face_ids()
    image = {"image": ("a", pictures.sample_bytes("tom_hanks"))}
    answer = alice.http.post("/api/v1/detect", files=image, headers=alice.headers)
    assert answer.status_code == 200, answer.text
    [face] = answer.json()["faces"]
    assert 0 < face["quality"] <= 1
    assert len(face["landmarks"]) == 5
    assert sorted(service.all_face_ids()) == sorted(before)


def test_one_bad_photo_never_fails_its_neighbours(alice: WebClient, wait_until_indexed: Wait):
    gallery = alice.create_gallery(f"bad {uuid.uuid4()}")
    alice.upload(gallery, bad_files() | {"astronaut.png": pictures.sample_files()["astronaut.png"]})
    wait_until_indexed(alice, gallery)
    photos = alice.photos(gallery)
    assert {name: photo["code"] for name, photo in photos.items()} == {
        "words.jpg": "not_an_image",
        "empty.jpg": "image_empty",
        "cut.png": "image_truncated",
        "bomb.png": "image_too_large",
        "drawing.svg": "image_unsupported",
        "dot.png": "no_face",
        "astronaut.png": "",
    }
    assert photos["astronaut.png"]["state"] == "indexed"
    assert all(photo["message"] for name, photo in photos.items() if name != "astronaut.png")


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [
        ("words.jpg", 400, "not_an_image"),
        ("empty.jpg", 400, "image_empty"),
        ("cut.png", 400, "image_truncated"),
        ("bomb.png", 413, "image_too_large"),
        ("drawing.svg", 400, "image_unsupported"),
    ],
)
def test_a_bad_query_image_gets_a_code_and_a_sentence(alice: WebClient, name: str, status: int, code: str):
    gallery = alice.create_gallery(f"query {uuid.uuid4()}")
    answer = alice.search(gallery, bad_files()[name])
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.json()["detail"].endswith(".")


def test_a_query_without_a_face_has_no_matches_and_a_reason(alice: WebClient):
    gallery = alice.create_gallery(f"faceless {uuid.uuid4()}")
    answer = alice.search(gallery, pictures.sample_files()["coffee.png"])
    assert answer.status_code == 200, answer.text
    assert answer.json()["faces"] == []
    assert answer.json()["reason"]["code"] == "no_face"


def test_a_deleted_photo_is_found_no_more_and_leaves_no_face(
    alice: WebClient, service: RunningService, wait_until_indexed: Wait
):
    gallery = alice.create_gallery(f"deleted {uuid.uuid4()}")
    before = set(service.all_face_ids())
    alice.upload(gallery, {"astronaut.png": pictures.sample_files()["astronaut.png"]})
    wait_until_indexed(alice, gallery)
    assert set(service.all_face_ids()) - before
    alice.delete_photo(alice.photos(gallery)["astronaut.png"]["id"])
    service.wait_until(lambda: sum(alice.progress(gallery).values()) == 0, "the photo is gone")
    assert set(service.all_face_ids()) == before
    answer = alice.search(gallery, pictures.edited_portrait())
    assert [face["matches"] for face in answer.json()["faces"]] == [[]]
    assert answer.json()["reason"]["code"] == "empty_gallery"


def test_the_commands_import_and_search_a_folder(service: RunningService, tmp_path: Path):
    for name, content in (pictures.sample_files() | bad_files()).items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "notes.txt").write_text("not imported")
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / os.fsdecode(b"caf\xe9")).symlink_to(tmp_path)
    name = f"commands {uuid.uuid4()}"
    done = service.manage("import_photos", str(tmp_path), "--gallery", name, "--create", "--wait", check=False)
    assert done.returncode == 3, f"bad files fail: {done.stdout}{done.stderr}"
    assert "indexed" in done.stdout
    assert "caf\u00e9: The link leads back to a folder that it is in. (link_cycle)" in done.stdout
    again = service.manage("import_photos", str(tmp_path), "--gallery", name, "--json")
    assert json.loads(again.stdout)["added"] == 0
    left_out = [item["path"] for item in json.loads(again.stdout)["items"] if item["result"] == "left_out"]
    assert left_out == ["pipe.jpg", "caf\u00e9"]

    query = tmp_path / "query.jpg"
    query.write_bytes(pictures.edited_portrait())
    found = json.loads(service.manage("search_photo", str(query), "--gallery", name, "--json").stdout)
    assert found["reason"] is None
    match = found["faces"][0]["matches"][0]
    assert match["photo"] == pictures.PORTRAIT
    of_the_face = {"face_id", "similarity", "certainty", "person", "person_id"}
    assert set(match) == {"photo", "photo_id", "gallery_id", *of_the_face}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        pytest.param(["import_photos", "{folder}/nowhere", "--gallery", "x"], "nowhere", id="no such folder"),
        pytest.param(["import_photos", "{folder}", "--gallery", "x", "--create"], "picture", id="no pictures"),
        pytest.param(["search_photo", "{folder}/words.dat", "--gallery", "none such"], "gallery", id="no such gallery"),
        pytest.param(["search_photo", "{folder}/nowhere.jpg", "--gallery", "x"], "nowhere.jpg", id="no such file"),
    ],
)
def test_a_command_that_cannot_work_says_why_in_one_sentence(
    service: RunningService, tmp_path: Path, arguments: list[str], sentence: str
):
    (tmp_path / "words.dat").write_bytes(b"words")
    done = service.manage(*[argument.format(folder=tmp_path) for argument in arguments], check=False)
    assert done.returncode != 0
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_a_search_with_a_file_that_is_no_picture_says_so(service: RunningService, alice: WebClient, tmp_path: Path):
    name = f"words {uuid.uuid4()}"
    alice.create_gallery(name)
    (tmp_path / "words.jpg").write_bytes(b"words")
    done = service.manage("search_photo", str(tmp_path / "words.jpg"), "--gallery", name, check=False)
    assert done.returncode != 0
    assert "picture" in done.stderr
    assert "Traceback" not in done.stderr
