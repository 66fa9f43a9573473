"""Nobody gets out of a gallery, whatever is given as an id: tried against a server that reads the filters."""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.servers import embedded_milvus
from worker.vector_search.config import CollectionConfig, MilvusConfig, PerformanceConfig
from worker.vector_search.core import VectorSearchService
from worker.vector_search.exceptions import InvalidId
from worker.vector_search.interfaces import FaceRecord, SearchQuery

pytestmark = pytest.mark.services

MINE, THEIRS, NOBODYS = (str(uuid.uuid4()) for _ in range(3))
EMBEDDING = np.array([1, 0, 0, 0], dtype=np.float32)


def face(gallery_id: str = MINE, **values: str) -> FaceRecord:
    made = {"face_id": str(uuid.uuid4()), "photo_id": str(uuid.uuid4())}
    return FaceRecord(**{**made, **values}, gallery_id=gallery_id, embedding=EMBEDDING)


MY_FACE, THEIR_FACES = face(), [face(THEIRS) for _ in range(3)]

#: Texts that would mean something inside a filter, around an id that is right.
HOSTILE = st.builds(
    "{}{}{}{}{}".format,
    st.sampled_from(["", MINE, THEIRS, THEIR_FACES[0].photo_id]),
    st.sampled_from(['"', "'", '\\"', '"]', '")', "\n", "\x00", ""]),
    st.sampled_from([" or ", " || ", " and not ", "//", ", ", "] or face_id in [", " == ", ""]),
    st.sampled_from(
        ['gallery_id != "', 'face_id > "', f'gallery_id == "{THEIRS}', 'photo_id like "%', "true", "1 == 1"]
    ),
    st.sampled_from(['"', "", '" or "" == "', '"]', "%"]),
)
#: Ids that are right in form and belong to somebody else or to nobody.
STRANGE = st.uuids().map(str) | st.sampled_from([each.photo_id for each in THEIR_FACES])
MANGLED = st.sampled_from([MINE, THEIRS]).flatmap(
    lambda id_: st.sampled_from(
        [id_.upper(), id_ + "\n", " " + id_, id_.replace("-", ""), f"{{{id_}}}", id_[:-1] + "٣"]
    )
)
OTHER_KINDS = st.none() | st.integers() | st.binary(max_size=40) | st.lists(st.just(THEIRS), max_size=2)
ANYTHING = HOSTILE | STRANGE | MANGLED | st.text(max_size=60) | OTHER_KINDS


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VectorSearchService]:
    with embedded_milvus(tmp_path_factory.mktemp("milvus")) as (uri, _process):
        store = VectorSearchService(
            milvus=MilvusConfig(uri=uri),
            collection=CollectionConfig(name="faces"),
            performance=PerformanceConfig(),
            dimension=len(EMBEDDING),
            fingerprint="f" * 64,
        )
        store.open()
        store.upsert([MY_FACE, *THEIR_FACES])
        yield store
        store.close()


def attempts(store: VectorSearchService, text: Any) -> dict[str, Callable[[], Any]]:
    """Return every way to give the text as a gallery, a photo or a face; what it returns is face ids, if anything."""
    query = SearchQuery(gallery_ids=(text,), embeddings=EMBEDDING[np.newaxis], limit=100)
    two = replace(query, gallery_ids=(NOBODYS, text))
    theirs = [each.photo_id for each in THEIR_FACES]
    their_faces = [each.face_id for each in THEIR_FACES]
    return {
        "search": lambda: [hit.face_id for hit in store.search(query)[0]],
        "search of two galleries": lambda: [hit.face_id for hit in store.search(two)[0]],
        "exact_search": lambda: [hit.face_id for hit in store.exact_search(query)[0]],
        "count": lambda: ["?"] * store.count(gallery_id=text) if text is not None else [],
        "iterate": lambda: [row.face_id for row in store.iterate(gallery_id=text)] if text is not None else [],
        "fetch": lambda: set(store.fetch([text])) - {text},
        "delete photos of the gallery": lambda: store.delete_photos(gallery_id=text, photo_ids=theirs),
        "delete the photo": lambda: store.delete_photos(gallery_id=MINE, photo_ids=[text]),
        "delete faces of the gallery": lambda: store.delete_faces(gallery_id=text, face_ids=their_faces),
        "delete the face": lambda: store.delete_faces(gallery_id=MINE, face_ids=[text]),
        "delete what the gallery no longer has": lambda: store.delete_stale_faces(
            gallery_id=text, kept=dict.fromkeys(theirs, ())
        ),
        "delete what the photo no longer has": lambda: store.delete_stale_faces(gallery_id=MINE, kept={text: []}),
        "delete all but the face": lambda: store.delete_stale_faces(gallery_id=MINE, kept={theirs[0]: [text]}),
    }


@settings(max_examples=300)
@given(text=ANYTHING)
@example(text=f'{MINE}" or gallery_id == "{THEIRS}')
@example(text='" or face_id != "')
@example(text=f'{THEIR_FACES[0].photo_id}"] or photo_id in ["{THEIR_FACES[1].photo_id}')
def test_no_text_reaches_a_row_of_another_gallery(store: VectorSearchService, text: Any) -> None:
    if isinstance(text, list):  # a list cannot be a key of a dictionary: nothing to try there
        text = tuple(text)
    refused = set()
    for name, attempt in attempts(store, text).items():
        try:
            found = attempt()
        except InvalidId:
            refused.add(name)
        else:
            assert not found, f"{name} answered {found}"

    assert {row.face_id for row in store.iterate()} == {each.face_id for each in [MY_FACE, *THEIR_FACES]}
    # A text is an id everywhere or nowhere. (None is the gallery of count and iterate that means all of them.)
    assert len(refused) in (0, 13 if text is not None else 11)


@settings(max_examples=100)
@given(text=HOSTILE | MANGLED | st.text(max_size=60) | OTHER_KINDS)
def test_no_text_gets_into_a_row(store: VectorSearchService, text: Any) -> None:
    for part in ("face_id", "photo_id", "gallery_id"):
        with pytest.raises(InvalidId):
            store.upsert([face(**{part: text})])

    assert store.count() == 1 + len(THEIR_FACES)
