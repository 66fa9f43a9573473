"""Every non-match has a reason: its code is one of a closed list, and its sentence says what happened."""

from typing import get_args

import pytest

from worker.reasons import (
    Reason,
    RejectCode,
    UnmatchedCode,
    below_threshold,
    empty_gallery,
    why_no_face,
    why_no_match,
)


def test_there_are_five_codes() -> None:
    codes = {*get_args(RejectCode), *get_args(UnmatchedCode)}
    assert codes == {"no_face", "face_too_small", "low_quality", "below_threshold", "empty_gallery"}


@pytest.mark.parametrize(
    ("rejected", "code", "sentence"),
    [
        ([], "no_face", "No face was found in this picture."),
        (["no_face"], "no_face", "No usable face was found in this picture: 1 too unclear."),
        (["face_too_small", "no_face"], "face_too_small", "No usable face was found in this picture: 1 too unclear,"),
        (["face_too_small", "low_quality", "low_quality"], "low_quality", "1 too small, 2 of too low quality."),
    ],
)
def test_the_face_nearest_to_being_accepted_gives_the_code(
    rejected: list[RejectCode], code: str, sentence: str
) -> None:
    reason = why_no_face(rejected)
    assert (reason.code, reason.best_similarity) == (code, None)
    assert sentence in reason.message


def test_a_search_matches_nothing_when_none_of_its_faces_does() -> None:
    assert why_no_match([None, below_threshold(0.5)]) is None
    assert why_no_match([below_threshold(0.1), below_threshold(0.5), below_threshold(-1.0)]) == below_threshold(0.5)
    assert why_no_match([empty_gallery(), empty_gallery()]) == empty_gallery()
    assert why_no_match([below_threshold(None)]) == Reason("below_threshold", "No face there is similar enough.")
