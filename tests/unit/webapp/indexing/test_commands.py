"""The commands: what they print, and one sentence for what goes wrong."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import OperationalError

from tasks.messages.base import ErrorInfo
from tasks.messages.search import SearchResult
from tasks.web.memory import MemorySearchClient
from tests.unit.webapp.conftest import WatchedQueue, add_indexed_photo, face_info, failed, indexed, record
from tests.unit.webapp.search.test_api import answer_with
from webapp.gallery import services
from webapp.gallery.models import Gallery, Photo
from webapp.indexing.management.commands import import_photos
from webapp.jobs.models import Job
from webapp.jobs.services import job_cancel
from worker.reasons import Reason


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three pictures (one in a folder below, one with an odd suffix), two other files, and hidden ones."""
    root = tmp_path / "pictures"
    (root / "below").mkdir(parents=True)
    (root / ".hidden").mkdir()
    for name in ("a.jpg", "below/b.PNG", "c.svg", "notes.txt", "README", ".d.jpg", ".hidden/e.jpg"):
        (root / name).write_bytes(name.encode())
    return root


@pytest.fixture(autouse=True)
def quick_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_photos, "POLL_SECONDS", 0.01)


def run(*arguments: Any, **options: Any) -> str:
    out = io.StringIO()
    call_command(*map(str, arguments), stdout=out, stderr=io.StringIO(), **options)
    return out.getvalue()


# -- import_photos ------------------------------------------------------------------------------------------


def test_a_folder_is_imported_with_all_below_it(folder: Path, gallery: Gallery) -> None:
    printed = run("import_photos", folder, "--gallery", "Friends")
    assert {photo.filename for photo in gallery.photos.all()} == {"a.jpg", "b.PNG", "c.svg"}
    assert "Gallery Friends: 3 added, 0 already there." in printed
    assert "Now: 3 pending." in printed
    assert "Skipped, not pictures judging by their names (2):" in printed
    assert "notes.txt" in printed


def test_run_twice_it_adds_nothing_twice(folder: Path, gallery: Gallery, queue: WatchedQueue) -> None:
    run("import_photos", folder, "--gallery", "Friends")
    sent = len(queue.indexed)
    summary = json.loads(run("import_photos", folder, "--gallery", "Friends", "--json"))
    assert (summary["added"], summary["already_there"]) == (0, 3)
    assert len(queue.indexed) == sent
    assert gallery.photos.count() == 3


def test_waiting_ends_with_the_outcomes(
    folder: Path, gallery: Gallery, queue: WatchedQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(_: float) -> None:
        for photo in Photo.objects.filter(state="pending")[:1]:
            outcome = failed(photo) if photo.filename == "c.svg" else indexed(photo, face_info())
            record(gallery, outcome)

    monkeypatch.setattr(import_photos.time, "sleep", answer)
    printed = run("import_photos", folder, "--gallery", "Friends", "--wait")
    assert "Now: 2 indexed, 1 failed." in printed
    assert "c.svg: This file is not a picture. (not_an_image)" in printed


def test_an_import_is_one_job(folder: Path, gallery: Gallery, settings: Any) -> None:
    settings.INDEX_CHUNK_SIZE = 1
    printed = run("import_photos", folder, "--gallery", "Friends")
    job = Job.objects.get()
    assert (job.total, job.state, job.open_until) == (3, "running", None)
    assert f"Job {job.id}" in printed


def test_waiting_ends_when_somebody_cancels_the_job(
    folder: Path, gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_photos.time, "sleep", lambda _: job_cancel(job=Job.objects.get()))
    summary = json.loads(run("import_photos", folder, "--gallery", "Friends", "--wait", "--json"))
    assert summary["outcomes"]["cancelled"] == 3
    assert summary["failed"] == []


def test_waiting_without_a_worker_ends_with_a_sentence(folder: Path, gallery: Gallery) -> None:
    with pytest.raises(CommandError, match=r"No worker answered within 0\.05 seconds; 3 photos are still pending"):
        run("import_photos", folder, "--gallery", "Friends", "--wait", "--timeout", "0.05")


def test_a_queue_that_is_down_stops_the_import(
    folder: Path, gallery: Gallery, queue: WatchedQueue, settings: Any
) -> None:
    settings.INDEX_CHUNK_SIZE = 1
    queue.is_down = True
    with pytest.raises(CommandError, match="The queue does not answer; the work is saved"):
        run("import_photos", folder, "--gallery", "Friends", "--wait")
    assert gallery.photos.count() == 1, "it does not ask the dead queue for every chunk"


def test_a_file_that_cannot_be_read_stops_nothing(folder: Path, gallery: Gallery) -> None:
    (folder / "broken.jpg").symlink_to(folder / "nowhere.jpg")
    printed = run("import_photos", folder, "--gallery", "Friends")
    assert "3 added" in printed
    assert "broken.jpg: The file cannot be read: No such file or directory." in printed


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        pytest.param(["nowhere", "--gallery", "Friends"], "There is no folder “nowhere”", id="no folder"),
        pytest.param(["{empty}", "--gallery", "Friends"], "There are no pictures in", id="no pictures"),
        pytest.param(["{folder}", "--gallery", "Foes"], "There is no gallery “Foes”; .*--create", id="no gallery"),
        pytest.param(
            ["{folder}", "--gallery", "Friends", "--owner", "bob"], "There is no user “bob”", id="no such user"
        ),
        pytest.param(
            ["{folder}", "--gallery", "Friends", "--owner", "eve"], "no gallery “Friends” of eve", id="not hers"
        ),
        pytest.param(["{folder}", "--gallery", "New", "--create"], "choose one with --owner", id="whose?"),
    ],
)
def test_what_is_missing_is_said(
    folder: Path, tmp_path: Path, gallery: Gallery, stranger: User, arguments: list[str], sentence: str
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(CommandError, match=sentence):
        run("import_photos", *[argument.format(folder=folder, empty=empty) for argument in arguments])


def test_a_gallery_is_created_on_demand(folder: Path, user: User) -> None:
    for _ in range(2):
        run("import_photos", folder, "--gallery", "New", "--create")
    assert Gallery.objects.get().owner == user


def test_a_gallery_is_found_however_its_name_is_typed(folder: Path, user: User) -> None:
    for name in ("Ren\u00e9", " Rene\u0301\u200b"):
        run("import_photos", folder, "--gallery", name, "--create")
    assert Gallery.objects.get().name == "Ren\u00e9"
    run("import_photos", folder, "--gallery", "Rene\u0301")


def test_a_name_that_two_users_have_asks_for_the_owner(folder: Path, gallery: Gallery, stranger: User) -> None:
    services.gallery_create(owner=stranger, name="Friends")
    with pytest.raises(CommandError, match=r"choose one with --owner \(ada, eve\)"):
        run("import_photos", folder, "--gallery", "Friends")
    run("import_photos", folder, "--gallery", "Friends", "--owner", "ada")
    assert gallery.photos.count() == 3


def test_a_database_that_is_down_is_a_sentence(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise OperationalError("no such table: gallery_gallery")

    monkeypatch.setattr(import_photos, "gallery_named", broken)
    with pytest.raises(CommandError, match=r"The database does not answer .*migrate"):
        run("import_photos", folder, "--gallery", "Friends")


# -- search_photo -------------------------------------------------------------------------------------------


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "query.jpg"
    path.write_bytes(b"query")
    return path


def test_matches_are_printed_as_a_table(gallery: Gallery, face_search: MemorySearchClient, picture: Path) -> None:
    face_search.result = answer_with(add_indexed_photo(gallery))
    printed = run("search_photo", picture, "--gallery", "Friends", "--limit", "3", "--min-similarity", "0.2")
    assert printed.splitlines()[0] == "Face 1 at 1, 2, 3, 4 (score 0.90)"
    assert printed.splitlines()[2].split() == ["1", "0.900", "ada.jpg"]
    (sent,) = face_search.started
    assert (sent.query, sent.limit, sent.min_similarity) == (b"query", 3, 0.2)


def test_several_galleries_are_searched_at_once(
    gallery: Gallery, face_search: MemorySearchClient, picture: Path
) -> None:
    other = services.gallery_create(owner=gallery.owner, name="Family")
    face_search.result = answer_with(add_indexed_photo(other))
    printed = run("search_photo", picture, "--gallery", "Friends", "--gallery", "Family", "--gallery", "Friends")
    assert "ada.jpg" in printed
    (sent,) = face_search.started
    assert sent.gallery_ids == (str(gallery.id), str(other.id))


def test_json_is_the_answer_of_the_api(gallery: Gallery, face_search: MemorySearchClient, picture: Path) -> None:
    photo = add_indexed_photo(gallery)
    face_search.result = answer_with(photo)
    answer = json.loads(run("search_photo", picture, "--gallery", "Friends", "--json"))
    assert answer["reason"] is None
    (match,) = answer["faces"][0]["matches"]
    assert match == {
        "gallery_id": str(gallery.id),
        "photo": "ada.jpg",
        "photo_id": str(photo.id),
        "face_id": str(photo.faces.get().id),
        "similarity": 0.9,
        "person": None,
        "person_id": None,
    }


def test_a_picture_without_a_face_has_a_reason(
    gallery: Gallery, face_search: MemorySearchClient, picture: Path
) -> None:
    face_search.result = SearchResult(reason=Reason("no_face", "There is no face."))
    assert run("search_photo", picture, "--gallery", "Friends").strip() == "There is no face."
    answer = json.loads(run("search_photo", picture, "--gallery", "Friends", "--json"))
    assert answer == {
        "faces": [],
        "rejected": [],
        "reason": {"code": "no_face", "message": "There is no face.", "best_similarity": None},
        "width": None,
        "height": None,
    }


def test_a_file_that_is_no_picture_is_an_error(
    gallery: Gallery, face_search: MemorySearchClient, picture: Path
) -> None:
    face_search.result = SearchResult(error=ErrorInfo(code="not_an_image", message="This file is not a picture."))
    with pytest.raises(CommandError, match=r"This file is not a picture\."):
        run("search_photo", picture, "--gallery", "Friends")


def test_a_service_that_is_down_is_a_sentence(gallery: Gallery, face_search: MemorySearchClient, picture: Path) -> None:
    face_search.is_down = True
    with pytest.raises(CommandError, match="The queue does not answer"):
        run("search_photo", picture, "--gallery", "Friends")


def test_no_worker_is_a_sentence(gallery: Gallery, face_search: MemorySearchClient, picture: Path) -> None:
    with pytest.raises(CommandError, match="No search worker answered within 3 seconds"):
        run("search_photo", picture, "--gallery", "Friends", "--timeout", "3")


@pytest.mark.parametrize("arguments", [["--limit", "0"], ["--limit", "x"], ["--min-similarity", "2"]])
def test_bad_options_are_refused(gallery: Gallery, picture: Path, arguments: list[str]) -> None:
    with pytest.raises(CommandError):
        run("search_photo", picture, "--gallery", "Friends", *arguments)


def test_files_that_cannot_be_searched(gallery: Gallery, tmp_path: Path, picture: Path, settings: Any) -> None:
    with pytest.raises(CommandError, match="cannot be read: No such file"):
        run("search_photo", tmp_path / "nowhere.jpg", "--gallery", "Friends")
    with pytest.raises(CommandError, match="cannot be read: Is a directory"):
        run("search_photo", tmp_path, "--gallery", "Friends")
    settings.FACE_CONFIG = settings.FACE_CONFIG | {"MAX_IMAGE_BYTES": 1}
    with pytest.raises(CommandError, match="are accepted"):
        run("search_photo", picture, "--gallery", "Friends")
