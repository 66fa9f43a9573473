"""Every face without a match has a reason, and so has an answer without any: in the API, on pages, by commands."""

from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tasks.messages.answers import RejectedFaceInfo
from tasks.messages.base import BoxInfo
from tasks.messages.search import FaceMatches, Match, SearchResult
from tasks.web.memory import MemorySearchClient
from tests.unit.webapp.conftest import add_indexed_photo, upload
from tests.unit.webapp.indexing.importing.test_import_photos import run
from tests.unit.webapp.search.test_api import SEEN
from webapp.gallery.models import Gallery, Photo
from webapp.indexing import deleting
from worker.reasons import Reason, RejectCode, below_threshold, empty_gallery, why_no_face


@pytest.fixture
def api(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def faces_with(*reasons: Reason | None, photo: Photo | None = None) -> SearchResult:
    """A result with a face for each reason; a face without one matches the photo."""
    matches = (
        () if photo is None else (Match(face_id=str(photo.faces.get().id), photo_id=str(photo.id), similarity=0.9),)
    )
    faces = tuple(FaceMatches(face=SEEN, matches=() if reason else matches, reason=reason) for reason in reasons)
    return SearchResult(faces=faces, width=100, height=80)


def answer(client: Client, gallery: Gallery) -> Any:
    response = client.post(f"/api/v1/galleries/{gallery.id}/searches?wait=1", {"image": upload()})
    assert response.status_code == 200
    return response.json()


def page(client: Client, gallery: Gallery) -> str:
    response = client.post(f"/galleries/{gallery.id}/search/", {"image": upload()}, follow=True)
    shown: str = response.content.decode()
    return shown


def rejected(reason: RejectCode) -> RejectedFaceInfo:
    return RejectedFaceInfo(box=BoxInfo(left=1, top=2, right=3, bottom=4), score=0.5, reason=reason)


@pytest.mark.parametrize(
    ("reasons", "code", "best"),
    [
        ([below_threshold(0.2), below_threshold(0.4)], "below_threshold", 0.4),
        ([empty_gallery()], "empty_gallery", None),
    ],
    ids=["below the threshold", "nothing to compare with"],
)
def test_an_answer_without_a_match_has_the_reason_of_its_most_similar_face(
    api: Client, gallery: Gallery, face_search: MemorySearchClient, reasons: list[Reason], code: str, best: float | None
) -> None:
    face_search.result = faces_with(*reasons)
    answered = answer(api, gallery)
    assert [face["reason"]["code"] for face in answered["faces"]] == [reason.code for reason in reasons]
    assert (answered["reason"]["code"], answered["reason"]["best_similarity"]) == (code, best)


def test_one_match_is_enough_for_the_answer_but_each_other_face_has_its_reason(
    api: Client, gallery: Gallery, face_search: MemorySearchClient
) -> None:
    face_search.result = faces_with(None, below_threshold(0.4), photo=add_indexed_photo(gallery))
    answered = answer(api, gallery)
    assert answered["reason"] is None
    assert [face["reason"] and face["reason"]["code"] for face in answered["faces"]] == [None, "below_threshold"]


def test_a_face_whose_matches_were_deleted_since_has_a_reason_too(
    api: Client, gallery: Gallery, face_search: MemorySearchClient
) -> None:
    photo = add_indexed_photo(gallery)
    face_search.result = faces_with(None, photo=photo)
    deleting.photos_delete(gallery=gallery, photo_ids=[photo.id])
    answered = answer(api, gallery)
    assert answered["faces"][0]["matches"] == []
    assert answered["faces"][0]["reason"] == answered["reason"]
    assert (answered["reason"]["code"], answered["reason"]["best_similarity"]) == ("below_threshold", None)


@pytest.mark.parametrize("code", ["no_face", "face_too_small", "low_quality"])
def test_a_picture_without_a_usable_face_says_why(
    api: Client, gallery: Gallery, face_search: MemorySearchClient, code: RejectCode
) -> None:
    face_search.result = SearchResult(rejected=(rejected(code),), reason=why_no_face([code]), width=1, height=1)
    answered = answer(api, gallery)
    assert (answered["faces"], answered["reason"]["code"]) == ([], code)
    assert answered["rejected"] == [
        {"box": {"left": 1, "top": 2, "right": 3, "bottom": 4}, "score": 0.5, "reason": code}
    ]
    assert "No usable face was found in this picture: 1 " in page(api, gallery)


def test_the_page_says_why_a_face_has_no_match_and_how_similar_the_best_is(
    api: Client, gallery: Gallery, face_search: MemorySearchClient
) -> None:
    face_search.result = faces_with(below_threshold(0.4213))
    shown = page(api, gallery)
    assert "No face there is similar enough." in shown
    assert "similarity 0.421" in shown
    face_search.result = faces_with(empty_gallery())
    assert "There is no face there to compare with." in page(api, gallery)


def test_the_page_says_which_faces_were_left_out(
    api: Client, gallery: Gallery, face_search: MemorySearchClient
) -> None:
    result = faces_with(below_threshold(0.4))
    left_out = (rejected("face_too_small"), rejected("low_quality"), rejected("no_face"))
    face_search.result = result.model_copy(update={"rejected": left_out})
    assert "Not searched for: 1 too small, 1 of too low quality." in page(api, gallery)
    face_search.result = result
    assert "Not searched for" not in page(api, gallery)


def test_the_command_says_it_too(gallery: Gallery, face_search: MemorySearchClient, tmp_path: Path) -> None:
    picture = tmp_path / "query.jpg"
    picture.write_bytes(b"query")
    result = faces_with(below_threshold(0.4213), empty_gallery())
    face_search.result = result.model_copy(update={"rejected": (rejected("low_quality"),)})
    printed = run("search_photo", picture, "--gallery", "Friends")
    assert "  No face there is similar enough. The most similar one: 0.421." in printed.splitlines()
    assert "  There is no face there to compare with." in printed.splitlines()
    assert printed.splitlines()[-1] == "Not searched for: 1 of too low quality."
