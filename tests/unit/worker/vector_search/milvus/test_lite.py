"""The turns that the guarded server lets its calls take, without a server."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import BinaryIO

import numpy as np
import pytest
from milvus_lite.adapter.grpc.servicer import MilvusServicer
from milvus_lite.index.brute_force import BruteForceIndex
from milvus_lite.index.factory import build_index_from_spec
from milvus_lite.index.spec import IndexSpec

from worker.vector_search.milvus.indexes import INDEXES_OF_MILVUS_LITE
from worker.vector_search.milvus.lite import FREE, INDEX_CLASSES, READS, Guard, Turns, save_whole

PATIENCE_SECONDS = 5.0


def test_readers_run_together() -> None:
    turns = Turns()
    together = threading.Barrier(3)

    def read() -> None:
        with turns.reading():
            together.wait(timeout=PATIENCE_SECONDS)

    with ThreadPoolExecutor(3) as threads:
        for each in [threads.submit(read) for _ in range(3)]:
            each.result()


def test_a_writer_runs_alone() -> None:
    turns = Turns()
    inside: list[str] = []
    overlaps: list[list[str]] = []

    def take(kind: str) -> None:
        with turns.writing() if kind == "write" else turns.reading():
            inside.append(kind)
            if "write" in inside and len(inside) > 1:
                overlaps.append(list(inside))
            inside.remove(kind)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(take, ["write", "read", "read"] * 500))

    assert overlaps == []


def test_a_waiting_writer_gets_its_turn_before_later_readers() -> None:
    turns = Turns()
    order: list[str] = []
    first_reads, first_may_end = threading.Event(), threading.Event()

    def first_reader() -> None:
        with turns.reading():
            first_reads.set()
            assert first_may_end.wait(PATIENCE_SECONDS)

    def writer() -> None:
        with turns.writing():
            order.append("write")

    def later_reader() -> None:
        with turns.reading():
            order.append("read")

    with ThreadPoolExecutor(3) as threads:
        reading = threads.submit(first_reader)
        assert first_reads.wait(PATIENCE_SECONDS)
        writing = threads.submit(writer)
        while not turns._gate.locked():  # until the writer stands at the gate
            pass
        later = threads.submit(later_reader)
        first_may_end.set()
        for each in (reading, writing, later):
            each.result(timeout=PATIENCE_SECONDS)

    assert order == ["write", "read"]


def test_a_failing_write_gives_its_turn_back() -> None:
    turns = Turns()
    with pytest.raises(ZeroDivisionError), turns.writing():
        raise ZeroDivisionError
    with pytest.raises(ZeroDivisionError), turns.reading():
        raise ZeroDivisionError

    with turns.writing():
        pass


def test_a_call_that_nobody_waits_for_is_not_made() -> None:
    class Gone(Exception):
        pass

    class Context:
        def is_active(self) -> bool:
            return False

        def abort(self, code: object, details: str) -> None:
            raise Gone

    made: list[object] = []
    handler = SimpleNamespace(
        unary_unary=lambda *_: made.append(1), request_deserializer=None, response_serializer=None
    )
    guarded = Guard().intercept_service(
        lambda _details: handler, SimpleNamespace(method="/milvus.proto.milvus.MilvusService/Upsert")
    )

    with pytest.raises(Gone):
        guarded.unary_unary(None, Context())
    assert made == []


def test_every_call_that_is_let_in_beside_others_is_one_that_the_engine_has() -> None:
    assert set(dir(MilvusServicer)) >= READS | FREE
    assert not {name for name in READS if name.startswith(("Create", "Drop", "Alter", "Insert", "Upsert", "Delete"))}


def test_an_index_file_is_whole_or_as_it_was_wherever_its_writer_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "segment.embedding.flat.idx"
    save = save_whole(BruteForceIndex.save)

    def half(file: BinaryIO, vectors: np.ndarray, **_: object) -> None:
        file.write(vectors.tobytes()[:10])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(np, "save", half)
        with pytest.raises(KeyboardInterrupt):
            save(BruteForceIndex(np.ones((3, 4), np.float32), "COSINE"), str(path))
        assert not path.exists()

    save(BruteForceIndex(np.ones((3, 4), np.float32), "COSINE"), str(path))
    assert BruteForceIndex.load(str(path), "COSINE", 4).num_vectors == 3
    with monkeypatch.context() as patch:
        patch.setattr(np, "save", half)
        with pytest.raises(KeyboardInterrupt):
            save(BruteForceIndex(np.zeros((9, 4), np.float32), "COSINE"), str(path))

    assert BruteForceIndex.load(str(path), "COSINE", 4).num_vectors == 3


@pytest.mark.parametrize("index_type", sorted(INDEXES_OF_MILVUS_LITE))
def test_every_index_that_may_be_set_is_written_whole(index_type: str) -> None:
    spec = IndexSpec("embedding", index_type, "COSINE", {"nlist": 1, "M": 8, "efConstruction": 16}, {})

    index = build_index_from_spec(spec, np.eye(16, dtype=np.float32))

    assert isinstance(index, INDEX_CLASSES)
