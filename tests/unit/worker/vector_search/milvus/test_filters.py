"""No id leaves its quotes."""

import re
import uuid
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from milvus_lite.search.filter import parse_expr

from worker.vector_search.exceptions import InvalidId
from worker.vector_search.milvus import filters

#: Everything that a filter may be: fields, operators and quoted ids. Nothing else.
_TERM = r'(gallery_id == "ID"|face_id > "ID"|photo_id (>|<)= "ID"|(face_id|photo_id) in \["ID"(, "ID")*\])'
SHAPE = re.compile(rf"{_TERM}( and {_TERM})*".replace("ID", r"[0-9a-f-]{36}"))

any_text = st.text() | st.text(alphabet='0123456789abcdef-"\\ |=&[]', max_size=60)
uuids = st.uuids().map(str)


@given(any_text)
@example('" || gallery_id != "')
@example(f'{uuid.uuid4()}" or face_id != "')
@example(f"{uuid.uuid4()}\n")
@example(str(uuid.uuid4()).upper() + "A")
def test_no_text_escapes_its_quotes(text: str) -> None:
    attempts: list[Callable[[], str]] = [
        lambda: filters.in_gallery(text),
        lambda: filters.after_face(text),
        lambda: filters.in_photos((text, str(uuid.UUID(int=1)))),
        lambda: filters.in_photos((str(uuid.UUID(int=1)), text)),
        lambda: "".join(filters.any_of_faces([text])),
        lambda: "".join(filters.any_of_photos([str(uuid.UUID(int=1)), text])),
    ]
    for make in attempts:
        try:
            made = make()
        except InvalidId:
            continue
        assert SHAPE.fullmatch(made)


@given(uuids, st.lists(uuids, min_size=1, max_size=5))
def test_a_filter_of_ids_is_one_that_the_engine_understands(gallery_id: str, photo_ids: list[str]) -> None:
    (photos,) = filters.any_of_photos(photo_ids)
    made = filters.all_of(filters.in_gallery(gallery_id), photos, filters.after_face(photo_ids[0]))

    assert SHAPE.fullmatch(made)
    parse_expr(made)


def test_a_long_list_of_ids_is_split_and_none_is_lost() -> None:
    face_ids = [str(uuid.uuid4()) for _ in range(2 * filters.IDS_PER_FILTER + 1)]

    made = list(filters.any_of_faces(face_ids))

    assert len(made) == 3
    assert sorted(re.findall(r'"([^"]+)"', "".join(made))) == sorted(face_ids)


def test_no_ids_make_no_filter_rather_than_one_that_matches_everything() -> None:
    assert list(filters.any_of_faces([])) == []


def test_one_string_is_not_taken_for_a_list_of_ids() -> None:
    with pytest.raises(InvalidId, match="list of ids"):
        list(filters.any_of_photos("abc"))


def test_empty_filters_ask_for_nothing() -> None:
    gallery = filters.in_gallery(str(uuid.uuid4()))

    assert filters.all_of("", "") == ""
    assert filters.all_of("", gallery) == gallery
