"""What the settings of the collection and the connection do on a real server: the guarded Milvus Lite."""

import subprocess
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from milvus_lite.adapter.grpc.servicer import MilvusServicer
from pymilvus import MilvusClient
from pymilvus.grpc_gen import milvus_pb2_grpc

from tests.servers import embedded_milvus, milvus_server
from worker.errors import ConfigError
from worker.vector_search.config import CollectionConfig, MilvusConfig, PerformanceConfig
from worker.vector_search.core import VectorSearchService
from worker.vector_search.exceptions import CollectionMissing, CollectionNotLoaded, StoreRejected, VectorSearchError
from worker.vector_search.interfaces import FaceRecord, SearchQuery
from worker.vector_search.milvus.indexes import INDEXES, INDEXES_OF_MILVUS_LITE, METRICS
from worker.vector_search.milvus.lite import Database

pytestmark = pytest.mark.services

DIMENSION = 8
GALLERY = str(uuid.uuid4())

MakeStore = Callable[..., VectorSearchService]


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with embedded_milvus(tmp_path_factory.mktemp("milvus")) as (uri, _process):
        yield uri


@pytest.fixture
def client(uri: str) -> Iterator[MilvusClient]:
    client = MilvusClient(uri, timeout=10, dedicated=True)
    yield client
    client.close()


@pytest.fixture
def make_store(uri: str) -> Iterator[MakeStore]:
    name = f"faces_{uuid.uuid4().hex}"
    made: list[VectorSearchService] = []

    def make(milvus: dict[str, Any] | None = None, batch_size: int = 100, **collection: Any) -> VectorSearchService:
        store = VectorSearchService(
            milvus=MilvusConfig(**{"uri": uri, **(milvus or {})}),
            collection=CollectionConfig(**{"name": name, **collection}),
            performance=PerformanceConfig(batch_size=batch_size),
            dimension=DIMENSION,
            fingerprint="f" * 64,
        )
        made.append(store)
        return store

    yield make
    for store in made:
        store.close()


def faces(count: int) -> list[FaceRecord]:
    vectors = np.random.default_rng(count).normal(size=(count, DIMENSION)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return [
        FaceRecord(face_id=str(uuid.uuid4()), photo_id=str(uuid.uuid4()), gallery_id=GALLERY, embedding=vector)
        for vector in vectors
    ]


def query(*records: FaceRecord, limit: int = 10) -> SearchQuery:
    return SearchQuery(gallery_ids=(GALLERY,), embeddings=np.stack([each.embedding for each in records]), limit=limit)


@pytest.mark.parametrize("metric_type", METRICS)
def test_similarity_is_the_cosine_whatever_the_metric(
    make_store: MakeStore, client: MilvusClient, metric_type: str
) -> None:
    store = make_store(metric_type=metric_type)
    store.open()
    records = faces(40)
    off_by_a_rounding = [
        FaceRecord(
            face_id=each.face_id,
            photo_id=each.photo_id,
            gallery_id=each.gallery_id,
            embedding=each.embedding * np.float32(1.0005),
        )
        for each in records
    ]
    store.upsert(off_by_a_rounding)

    (hits,) = store.search(query(off_by_a_rounding[0], limit=40))

    name = store.info().name
    assert client.describe_index(name, "embedding", timeout=5)["metric_type"] == metric_type
    cosines = {each.face_id: float(each.embedding @ records[0].embedding) for each in records}
    assert [hit.face_id for hit in hits] == sorted(cosines, key=lambda face_id: -cosines[face_id])
    assert [hit.similarity for hit in hits] == pytest.approx([cosines[hit.face_id] for hit in hits], abs=2e-6)


@pytest.mark.parametrize("index_type", sorted(INDEXES_OF_MILVUS_LITE))
def test_each_index_that_milvus_lite_offers_finds_every_face_again(make_store: MakeStore, index_type: str) -> None:
    store = make_store(index_type=index_type)
    store.open()
    records = faces(30)
    store.upsert(records)

    assert store.info().index_type == index_type
    found = store.search(query(*records, limit=1))
    assert [hits[0].face_id for hits in found] == [each.face_id for each in records]


@pytest.mark.parametrize("index_type", sorted(set(INDEXES) - INDEXES_OF_MILVUS_LITE))
def test_an_index_that_the_server_would_only_pretend_to_build_is_refused(
    make_store: MakeStore, client: MilvusClient, index_type: str
) -> None:
    store = make_store(index_type=index_type)

    with pytest.raises(ConfigError, match=f"INDEX_TYPE is '{index_type}'.* Milvus Lite offers AUTOINDEX, FLAT"):
        store.open()

    assert not client.has_collection(store._config.name, timeout=5)


def test_an_index_or_build_that_a_whole_milvus_refuses_is_named(make_store: MakeStore, tmp_path: Path) -> None:
    with milvus_server(tmp_path) as (uri, _process):
        no_gpu = make_store(milvus={"uri": uri}, index_type="GPU_CAGRA")
        with pytest.raises(ConfigError, match=r"INDEX_TYPE is 'GPU_CAGRA', .*'graph_degree': 64.* invalid index type"):
            no_gpu.open()

        make_store(milvus={"uri": uri}, index_type="HNSW").open()
        with pytest.raises(ConfigError, match=r"INDEX_PARAMS\['M'\] is 32, but .* indexed with '16'"):
            make_store(milvus={"uri": uri}, index_type="HNSW", index_params={"M": 32}).open()


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        pytest.param({"index_type": "HNSW"}, "INDEX_TYPE is 'HNSW', but .* indexed with 'FLAT'", id="index"),
        pytest.param({"metric_type": "L2"}, "METRIC_TYPE is 'L2', but .* indexed with 'COSINE'", id="metric"),
    ],
)
def test_an_index_other_than_the_one_that_stands_is_refused_instead_of_ignored(
    make_store: MakeStore, setting: dict[str, str], sentence: str
) -> None:
    make_store().open()

    with pytest.raises(ConfigError, match=sentence):
        make_store(**setting).open()


def test_an_index_is_not_made_either_when_nothing_may_be_created(make_store: MakeStore, client: MilvusClient) -> None:
    store = make_store(auto_create=False)
    make_store().open()
    client.release_collection(store._config.name, timeout=5)
    client.drop_index(store._config.name, "embedding", timeout=5)

    with pytest.raises(CollectionMissing, match="has no index and AUTO_CREATE is off"):
        store.open()


def test_a_released_collection_is_loaded_by_the_next_call_unless_auto_load_is_off(
    make_store: MakeStore, client: MilvusClient
) -> None:
    loading, waiting = make_store(), make_store(auto_load=False)
    loading.open()
    record = faces(1)[0]
    loading.upsert([record])
    client.release_collection(loading.info().name, timeout=5)

    waiting.open()
    assert waiting.health().collection_status == "released"
    for read in (lambda: waiting.search(query(record)), lambda: waiting.fetch([record.face_id])):
        with pytest.raises(CollectionNotLoaded):
            read()

    assert loading.search(query(record))[0][0].face_id == record.face_id
    assert waiting.search(query(record))[0][0].face_id == record.face_id
    assert waiting.health().is_healthy


def test_a_name_and_a_database_are_where_the_rows_are(make_store: MakeStore, client: MilvusClient) -> None:
    client.create_database("other_faces", timeout=5)
    here, there = make_store(), make_store(milvus={"database": "other_faces"})
    here.open()
    there.open()

    there.upsert(faces(3))

    assert (here.count(), there.count()) == (0, 3)
    with pytest.raises(StoreRejected, match="database"):
        make_store(milvus={"database": "none_such"}).open()


def test_host_and_port_lead_to_the_server_as_the_uri_does(make_store: MakeStore, uri: str) -> None:
    host, port = uri.removeprefix("http://").split(":")

    store = make_store(milvus={"uri": "", "host": host, "port": int(port)})
    store.open()

    assert store.health().is_healthy


@pytest.mark.parametrize("batch_size", [7, 100])
def test_rows_are_written_in_batches_of_the_size_that_is_set(
    make_store: MakeStore, monkeypatch: pytest.MonkeyPatch, batch_size: int
) -> None:
    sent: list[int] = []
    upsert = MilvusClient.upsert

    def counted(client: MilvusClient, name: str, data: list[Any], **options: Any) -> Any:
        sent.append(len(data))
        return upsert(client, name, data, **options)

    monkeypatch.setattr(MilvusClient, "upsert", counted)
    store = make_store(batch_size=batch_size)
    store.open()
    store.upsert(faces(20))

    assert sent == ([7, 7, 6] if batch_size == 7 else [20])
    assert len(list(store.iterate())) == 20


# -- TLS -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a certificate for the name `faces.test` that vouches for itself, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    pem, key = folder / "server.pem", folder / "server.key"
    subject = ["-subj", "/CN=faces.test", "-addext", "subjectAltName=DNS:faces.test"]
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *subject, "-out", str(pem), "-keyout", str(key)],
        check=True,
        capture_output=True,
    )
    return pem, key


@pytest.fixture(params=[False, True], ids=["server shows a certificate", "both show one"])
def tls_server(
    request: pytest.FixtureRequest, certificate: tuple[Path, Path], tmp_path: Path
) -> Iterator[tuple[bool, int]]:
    """Serve the engine under TLS; yield whether clients must show a certificate, too, and the port."""
    pem, key = (path.read_bytes() for path in certificate)
    database = Database(str(tmp_path))
    server = grpc.server(ThreadPoolExecutor(4))
    milvus_pb2_grpc.add_MilvusServiceServicer_to_server(MilvusServicer(database), server)
    credentials = grpc.ssl_server_credentials(
        [(key, pem)], root_certificates=pem if request.param else None, require_client_auth=request.param
    )
    port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    yield request.param, port
    server.stop(grace=0).wait()
    database.close()


def test_tls_is_spoken_with_the_certificates_that_are_set(
    make_store: MakeStore, tls_server: tuple[bool, int], certificate: tuple[Path, Path]
) -> None:
    (is_mutual, port), (pem, key) = tls_server, map(str, certificate)
    trusted = {"server_pem_path": pem}
    mutual = {"ca_pem_path": pem, "client_pem_path": pem, "client_key_path": key}
    server = {"uri": f"https://127.0.0.1:{port}", "server_name": "faces.test", "timeout_seconds": 2.0}

    store = make_store(milvus={**server, **(mutual if is_mutual else trusted)})
    store.open()
    assert store.count() == 0

    strangers = [
        {**server, "uri": f"http://127.0.0.1:{port}", "server_name": ""},
        server,
        {**server, **trusted, "server_name": "other.test"},
        *([{**server, **trusted}] if is_mutual else []),
    ]
    for stranger in strangers:
        with pytest.raises(VectorSearchError):
            make_store(milvus=stranger).open()
