"""Live searches are sampled within bounds, asked again, compared, and forgotten."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.vectors import DIMENSION, MATCH_SIMILARITY, clustered_faces
from tests.unit.worker.vector_search.recall.test_measured import GALLERIES, LossyStore, fill
from worker.vector_search.exceptions import StoreUnavailable
from worker.vector_search.interfaces import Match, SearchQuery
from worker.vector_search.recall.live import MOST_GALLERIES, QUERIES_PER_GALLERY, LiveQueries

FACES = clustered_faces(600, queries=100)


@pytest.fixture
def store() -> LossyStore:
    store = LossyStore(name="faces", dimension=DIMENSION, fingerprint="f" * 64)
    store.open()
    fill(store, FACES.embeddings)
    return store


def queries_of(store: LossyStore, *, sampled_share: float = 1.0) -> LiveQueries:
    return LiveQueries(store, min_similarity=MATCH_SIMILARITY, sampled_share=sampled_share)


def query(number: int, *, gallery_id: str | None = None) -> SearchQuery:
    """Return a query near one of the faces, in the gallery of that face unless told otherwise."""
    row = 5 * number
    return SearchQuery(
        gallery_ids=(gallery_id or GALLERIES[number % len(GALLERIES)],), embeddings=FACES.embeddings[row : row + 1]
    )


def test_each_gallery_that_was_searched_has_a_recall_of_its_own(store: LossyStore) -> None:
    live = queries_of(store)
    for number in range(6):
        live.offer(query(number))
    assert live.measure() == dict.fromkeys(GALLERIES, 1.0)


def test_what_the_index_loses_in_one_gallery_is_told_of_that_gallery(store: LossyStore) -> None:
    live = queries_of(store)
    live.offer(query(0))
    live.offer(query(1))
    store.lost_digits = "56789"  # all faces of the second identity, rows 5 to 9, and none of the first
    assert live.measure() == {GALLERIES[0]: 1.0, GALLERIES[1]: 0.0}


def test_a_query_is_measured_once_and_forgotten(store: LossyStore) -> None:
    live = queries_of(store)
    live.offer(query(0))
    assert live.measure() == {GALLERIES[0]: 1.0}
    assert live.measure() == {}


def test_what_was_kept_is_forgotten_when_the_store_is_away(store: LossyStore, monkeypatch: pytest.MonkeyPatch) -> None:
    live = queries_of(store)
    live.offer(query(0))

    def away(_query: SearchQuery) -> list[list[Match]]:
        raise StoreUnavailable("away")

    with monkeypatch.context() as patched:
        patched.setattr(store, "search", away)
        with pytest.raises(StoreUnavailable):
            live.measure()
    assert live.measure() == {}


def test_a_search_that_matches_nobody_says_nothing_of_the_index(store: LossyStore) -> None:
    live = queries_of(store)
    live.offer(query(0, gallery_id=str(uuid.uuid4())))
    assert live.measure() == {}


def test_a_search_of_several_galleries_counts_for_one_of_them_at_a_time(store: LossyStore) -> None:
    of_all = replace(query(1), gallery_ids=tuple(GALLERIES))
    live = queries_of(store)

    live.offer(of_all)
    live.measure()
    assert store.asked_in.total() == 1

    store.asked_in.clear()
    for _ in range(100):
        live.offer(of_all)
    # The face is in one of the galleries. The other two were searched as well, and have no match to find or to lose.
    assert live.measure() == {GALLERIES[1]: 1.0}
    assert set(store.asked_in) == set(GALLERIES)


def test_few_queries_are_kept_however_many_searches_there_are(store: LossyStore) -> None:
    live = queries_of(store)
    for _ in range(3):
        for number in range(20):
            live.offer(query(number, gallery_id=GALLERIES[0]))
        for number in range(MOST_GALLERIES + 10):
            live.offer(query(0, gallery_id=str(uuid.UUID(int=100 + number))))
    live.measure()
    # MOST_GALLERIES galleries in all; the asked embeddings of the one that is searched most are the latest few.
    assert max(store.asked) <= QUERIES_PER_GALLERY
    assert sum(store.asked) <= MOST_GALLERIES * QUERIES_PER_GALLERY


@pytest.mark.parametrize(
    ("sampled_share", "offered", "gallery_count"), [(0.0, query(0), 0), (1.0, query(0), 1)], ids=["none", "all"]
)
def test_the_share_that_is_sampled_is_the_one_given(
    store: LossyStore, sampled_share: float, offered: SearchQuery, gallery_count: int
) -> None:
    live = queries_of(store, sampled_share=sampled_share)
    for _ in range(50):
        live.offer(offered)
    assert len(live.measure()) == gallery_count


def test_a_query_without_faces_is_no_query(store: LossyStore) -> None:
    live = queries_of(store)
    live.offer(SearchQuery(gallery_ids=(GALLERIES[0],), embeddings=np.zeros((0, DIMENSION), dtype=np.float32)))
    assert live.measure() == {}


def test_an_offered_array_may_be_used_again(store: LossyStore) -> None:
    live = queries_of(store)
    embeddings = FACES.embeddings[:1].copy()
    live.offer(SearchQuery(gallery_ids=(GALLERIES[0],), embeddings=embeddings))
    embeddings[:] = np.nan
    assert live.measure() == {GALLERIES[0]: 1.0}


def test_threads_may_offer_while_another_measures(store: LossyStore) -> None:
    live = queries_of(store)

    def offer(number: int) -> None:
        for _ in range(200):
            live.offer(query(number))

    with ThreadPoolExecutor(4) as threads:
        offering = [threads.submit(offer, number) for number in range(3)]
        measured = [live.measure() for _ in range(5)]
        for each in offering:
            each.result()
    assert {recall for recalls in measured for recall in recalls.values()} <= {1.0}
