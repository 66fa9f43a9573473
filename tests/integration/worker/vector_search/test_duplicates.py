"""A face with several rows, which only a writer past the contract makes, is told of and mended."""

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from pymilvus import MilvusClient

from tests.servers import embedded_milvus, milvus_server, require_milvus
from worker.vector_search.config import CollectionConfig, MilvusConfig, PerformanceConfig
from worker.vector_search.consistency import compare_faces, write_once
from worker.vector_search.copying import copy_faces
from worker.vector_search.core import VectorSearchService
from worker.vector_search.interfaces import FaceRecord

pytestmark = pytest.mark.services

GALLERY = str(uuid.uuid4())
PHOTO = str(uuid.uuid4())
DIMENSION = 8


def store_at(uri: str, *, name: str = "faces") -> VectorSearchService:
    store = VectorSearchService(
        milvus=MilvusConfig(uri=uri),
        collection=CollectionConfig(name=name),
        performance=PerformanceConfig(),
        dimension=DIMENSION,
        fingerprint="f" * 64,
    )
    store.open()
    return store


def faces(count: int) -> list[FaceRecord]:
    embedding = np.eye(1, DIMENSION, dtype=np.float32)[0]
    return [
        FaceRecord(face_id=str(uuid.uuid4()), photo_id=PHOTO, gallery_id=GALLERY, embedding=embedding)
        for _ in range(count)
    ]


def insert_past_the_contract(uri: str, records: list[FaceRecord]) -> None:
    rows = [{name: getattr(record, name) for name in record.__slots__} for record in records]
    with closing(MilvusClient(uri)) as client:
        client.insert("faces", rows)


def test_a_milvus_server_tells_which_faces_have_several_rows_and_keeps_one_of_them(tmp_path: Path) -> None:
    require_milvus()
    with milvus_server(tmp_path) as (uri, _process), closing(store_at(uri)) as store:
        records = faces(700)  # more than one filter names
        twice, often = records[3], records[600]
        store.upsert(records)
        insert_past_the_contract(uri, [twice, often])
        insert_past_the_contract(uri, [often])
        known = [record.face_id for record in records]
        span = {"gallery_id": GALLERY, "first": PHOTO, "last": PHOTO}

        found = compare_faces(store, **span, known=known)

        assert {each.face_id: each.copies for each in found.duplicated} == {twice.face_id: 2, often.face_id: 3}
        assert (found.missing, found.orphaned) == ((), ())
        with closing(store_at(uri, name="copy")) as copy:
            assert copy_faces(store, copy, **span) == 700
            assert copy.count() == 700

        write_once(store, gallery_id=GALLERY, faces=found.duplicated)

        assert compare_faces(store, **span, known=known).duplicated == ()
        assert store.count() == 700


def test_milvus_lite_gives_a_face_once_however_often_it_was_inserted(tmp_path: Path) -> None:
    with embedded_milvus(tmp_path) as (uri, _process), closing(store_at(uri)) as store:
        records = faces(20)
        store.upsert(records)
        insert_past_the_contract(uri, records[:5])
        with closing(MilvusClient(uri)) as client:
            client.flush("faces")

        found = compare_faces(
            store, gallery_id=GALLERY, first=PHOTO, last=PHOTO, known=[record.face_id for record in records]
        )

        assert (store.count(), found.duplicated) == (20, ())


def test_a_chunk_that_two_workers_copy_at_the_same_time_ends_with_one_row_per_face(tmp_path: Path) -> None:
    require_milvus()
    with (
        milvus_server(tmp_path) as (uri, _process),
        closing(store_at(uri)) as source,
        closing(store_at(uri, name="copy")) as copy,
    ):
        source.upsert(faces(300))
        together = threading.Barrier(2)

        def copy_one(_number: int) -> int:
            together.wait()
            return copy_faces(source, copy, gallery_id=GALLERY, first=PHOTO, last=PHOTO)

        with ThreadPoolExecutor(2) as threads:
            assert list(threads.map(copy_one, range(2))) == [300, 300]

        assert copy.count() == 300
        assert {row.face_id for row in copy.iterate()} == {row.face_id for row in source.iterate()}
