"""`search_photo`: what it prints, and one sentence for what goes wrong."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from tasks.messages.base import ErrorInfo
from tasks.messages.search import SearchResult
from tasks.web.memory import MemorySearchClient
from tests.unit.webapp.conftest import add_indexed_photo
from tests.unit.webapp.search.test_api import answer_with
from webapp.gallery import services
from webapp.gallery.models import Gallery
from worker.reasons import Reason


def run(*arguments: Any, **options: Any) -> str:
    out = io.StringIO()
    call_command(*map(str, arguments), stdout=out, stderr=io.StringIO(), **options)
    return out.getvalue()


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
        "certainty": "very_likely",
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
