"""Messages are frozen, survive JSON, and outlive the release that wrote them."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tasks.errors import BadMessage
from tasks.messages.indexing import IndexRequest
from tasks.messages.parsing import parse
from tasks.messages.search import SearchRequest, SearchResult

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


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_whatever_arrives_is_a_message_or_a_coded_refusal(junk):
    for kind in (SearchRequest, IndexRequest, SearchResult):
        with suppress(BadMessage):
            assert isinstance(parse(kind, junk), kind)
