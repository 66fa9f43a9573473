"""Messages are frozen, survive JSON, and outlive the release that wrote them."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tasks.errors import BadMessage
from tasks.messages.detect import DetectRequest, DetectResult
from tasks.messages.indexing import IndexRequest
from tasks.messages.parsing import parse
from tasks.messages.search import SearchRequest, SearchResult
from tasks.messages.verify import VerifyRequest, VerifyResult
from worker.reasons import Reason

REQUEST = {
    "target": {"pack": "dlib", "collection": "faces_dlib"},
    "gallery_ids": ["g"],
    "image_key": "k",
    "limit": 10,
}


def test_a_message_survives_json():
    request = SearchRequest.from_json(REQUEST)
    assert SearchRequest.from_json(json.loads(json.dumps(request.to_json()))) == request


def test_a_message_cannot_be_changed():
    with pytest.raises(ValidationError):
        SearchRequest.from_json(REQUEST).limit = 3


def test_a_field_of_a_later_release_is_ignored():
    assert SearchRequest.from_json(REQUEST | {"mood": "blue"}).gallery_ids == ("g",)


def test_a_message_of_another_version_is_refused_and_named():
    with pytest.raises(BadMessage, match="version"):
        parse(SearchRequest, REQUEST | {"version": 2})


def test_a_refusal_names_fields_and_never_their_values():
    with pytest.raises(BadMessage) as refusal:
        parse(SearchRequest, REQUEST | {"limit": "a secret value"})
    assert "limit" in str(refusal.value)
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize("limit", [0, -1, 1001])
def test_a_limit_out_of_bounds_is_refused(limit):
    with pytest.raises(BadMessage):
        parse(SearchRequest, REQUEST | {"limit": limit})


@pytest.mark.parametrize("query", [{"image_key": ""}, {"face_id": "f"}], ids=["none", "both"])
def test_a_search_has_either_an_image_or_a_face(query):
    with pytest.raises(BadMessage):
        parse(SearchRequest, REQUEST | query)
    assert parse(SearchRequest, REQUEST | {"image_key": "", "face_id": "f"}).face_id == "f"


def test_a_reason_survives_json():
    result = SearchResult(reason=Reason("below_threshold", "No face there is similar enough.", 0.25))
    assert SearchResult.from_json(json.loads(json.dumps(result.to_json()))) == result


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_whatever_arrives_is_a_message_or_a_coded_refusal(junk):
    for kind in (SearchRequest, IndexRequest, SearchResult, VerifyRequest, VerifyResult, DetectRequest, DetectResult):
        with suppress(BadMessage):
            assert isinstance(parse(kind, junk), kind)
