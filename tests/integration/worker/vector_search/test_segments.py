"""Rows in several segments of a server are read whole."""

import uuid
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from pymilvus import MilvusClient

from tests.servers import milvus_server, require_milvus
from worker.vector_search.config import CollectionConfig, MilvusConfig, PerformanceConfig
from worker.vector_search.core import VectorSearchService
from worker.vector_search.interfaces import FaceRecord

pytestmark = pytest.mark.services

GALLERY = str(uuid.uuid4())
FIRST, LAST = str(uuid.UUID(int=0)), str(uuid.UUID(int=2**128 - 1))


def test_no_row_is_left_out_when_one_segment_ends_before_another(tmp_path: Path) -> None:
    """A page ends where the first of the segments does: its last ids are far below those of the other."""
    require_milvus()
    with milvus_server(tmp_path) as (uri, _process):
        store = VectorSearchService(
            milvus=MilvusConfig(uri=uri),
            collection=CollectionConfig(name="faces"),
            performance=PerformanceConfig(),
            dimension=8,
            fingerprint="f" * 64,
        )
        store.open()
        with closing(store), closing(MilvusClient(uri)) as client:
            for segment in range(2):
                store.upsert([face(number) for number in range(50 * segment, 50 * segment + 50)])
                client.flush("faces")
            client.release_collection("faces")
            client.load_collection("faces")

            assert len(list(store.iterate())) == 100
            assert len(store.list_faces(gallery_id=GALLERY, photo_ids=(FIRST, LAST))) == 100


def face(number: int) -> FaceRecord:
    face_id = str(uuid.UUID(int=number))
    return FaceRecord(face_id=face_id, photo_id=face_id, gallery_id=GALLERY, embedding=np.eye(8, dtype=np.float32)[0])
