"""What measures a store's recall is told of a match as a cosine: a store knows nothing of a pack's similarities."""

from types import SimpleNamespace
from typing import Any

import pytest

from tasks.messages.base import Target
from tasks.messages.generations import Measured, MeasureRequest
from tasks.web.memory import MemoryWorkQueue
from tasks.work_queue import use_work_queue
from tasks.worker import generations
from tasks.worker.open_indexes import OpenIndexes
from worker.metrics import NO_STAGES
from worker.recognition.alignment import ARCFACE
from worker.recognition.interfaces import Pack
from worker.recognition.similarity import SimilarityScale
from worker.vector_search.config import MonitoringConfig
from worker.vector_search.memory import InMemoryVectorStore
from worker.vector_search.monitoring import MetricsCollector

PACK = Pack(
    name="p",
    fingerprint="f",
    detector_fingerprint="d",
    licence="",
    detector=None,  # type: ignore[arg-type]
    recognizer=None,  # type: ignore[arg-type]
    alignment=ARCFACE,
    face_score=0.5,
    enough_pixels=640,
    similarity=SimilarityScale(0.35),
    match_similarity=0.8,
    providers=(),
)


def test_live_recall_counts_matches_by_their_cosine() -> None:
    store = InMemoryVectorStore(name="c", dimension=5, fingerprint="f")
    indexes = OpenIndexes(MetricsCollector(MonitoringConfig()), stages=NO_STAGES)
    indexes._engine = SimpleNamespace(pack=PACK, config=indexes._config)  # type: ignore[assignment]
    opened: Any = SimpleNamespace(store=store, service=store, query_faces=None)

    tuned = indexes._tune(opened, {})

    assert tuned.live._min_similarity == pytest.approx(0.93)


def test_a_gates_recall_counts_matches_by_their_cosine(monkeypatch: pytest.MonkeyPatch) -> None:
    store = InMemoryVectorStore(name="c", dimension=5, fingerprint="f")
    store.open()
    indexes = SimpleNamespace(pack=PACK, index=lambda target: None, bare_store=lambda target: store)
    monkeypatch.setattr(generations, "state", SimpleNamespace(indexes=indexes))
    asked: list[float] = []
    monkeypatch.setattr(
        "worker.vector_search.recall.measured.gate_match_recall",
        lambda store, *, min_similarity, ignored: asked.append(min_similarity),
    )

    queue = MemoryWorkQueue()
    with use_work_queue(queue):
        request = MeasureRequest(target=Target(pack="p", collection="c"), run_id="t")
        generations.measure_collection(request.to_json())

    assert asked == [pytest.approx(0.93)]
    assert len(queue.messages(Measured)) == 1
