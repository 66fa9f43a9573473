"""What live searches lose is sampled in the worker, and shown by gallery."""

import uuid
from typing import Any

import numpy as np
import pytest

from tasks import names
from tasks.beat.schedule import beat_schedule
from tasks.health import exposition, live_recall
from tasks.health.live_recall import GalleryRecall
from tasks.messages.base import Target
from tests import pictures
from tests.packs import dlib_config
from worker.face_index import FaceIndex
from worker.recognition.engine import FaceEngine
from worker.vector_search.interfaces import SearchQuery
from worker.vector_search.memory import InMemoryVectorStore
from worker.vector_search.recall.live import LiveQueries

GALLERY, OTHER = str(uuid.UUID(int=1)), str(uuid.UUID(int=2))
TARGET = Target(pack="dlib", collection="faces")


@pytest.mark.parametrize(
    ("recalls", "said"),
    [
        ([], ""),
        ([0.99, 1.0], ""),
        ([0.9, 1.0], "Searches in one gallery find less than 99.00% of the matches"),
        ([0.9, 0.98], "Searches in 2 galleries find less than 99.00% of the matches"),
    ],
)
def test_a_gallery_that_is_below_the_least_is_worth_a_sentence(recalls: list[float], said: str) -> None:
    found = [GalleryRecall(gallery_id=str(uuid.UUID(int=n)), recall=each, at=0) for n, each in enumerate(recalls)]
    problem = live_recall.recall_problem(found, least=0.99)
    assert problem.startswith(said)
    assert bool(problem) == bool(said)
    assert not said or f"in {uuid.UUID(int=0)} it was 90.00%" in problem


def test_the_metric_carries_the_gallery() -> None:
    recalls = (GalleryRecall(gallery_id=GALLERY, recall=0.75, at=0),)
    text = exposition.observed(queues=[], canaries=(), workers=(), recalls=recalls, now=0).decode()
    assert f'facequeue_match_recall{{gallery="{GALLERY}"}} 0.75' in text.splitlines()


def test_beat_asks_as_often_as_the_settings_say_and_no_sample_outlives_the_next(settings: Any) -> None:
    settings.RECALL_INTERVAL_SECONDS = 7.0
    entry = beat_schedule()["ask-for-recall"]
    assert (entry["task"], entry["schedule"]) == (names.ASK_FOR_RECALL, 7.0)
    assert entry["options"] == {"queue": "records", "expires": 7.0, "priority": 6}
    settings.RECALL_INTERVAL_SECONDS = 0.0
    assert "ask-for-recall" not in beat_schedule()


# -- in the worker -------------------------------------------------------------------------------------------------


class Offered(LiveQueries):
    """Remembers what it was offered."""

    def __init__(self, store: InMemoryVectorStore) -> None:
        super().__init__(store, min_similarity=0.3, sampled_share=1.0)
        self.queries: list[SearchQuery] = []

    def offer(self, query: SearchQuery) -> None:
        self.queries.append(query)
        super().offer(query)


def test_a_search_is_offered_once_it_was_answered_and_one_without_faces_is_not() -> None:
    engine = FaceEngine(dlib_config())
    engine.open()
    store = InMemoryVectorStore(name="x", dimension=engine.pack.dimension, fingerprint="f" * 64)
    live = Offered(store)
    index = FaceIndex(engine, store, live=live)
    index.open()
    try:
        found = index.search(pictures.sample_bytes("tom_hanks"), gallery_ids=(GALLERY,), limit=3, min_similarity=None)
        nobody = pictures.saved(pictures.gradient_picture(), "PNG")
        index.search(nobody, gallery_ids=(GALLERY,), limit=3, min_similarity=None)
    finally:
        index.close()
    [query] = live.queries
    assert query.gallery_ids == (GALLERY,)
    np.testing.assert_array_equal(query.embeddings, np.stack([each.face.embedding for each in found.faces]))
