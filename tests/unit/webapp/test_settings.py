"""The environment becomes the dictionaries that the worker checks."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest
from django.conf import settings

from worker.config import FaceConfig
from worker.vector_search.config import CollectionConfig, MilvusConfig, MonitoringConfig, PerformanceConfig

CONFIGS = {
    "FACE_CONFIG": FaceConfig,
    "MILVUS_CONFIG": MilvusConfig,
    "COLLECTION_CONFIG": CollectionConfig,
    "PERFORMANCE_CONFIG": PerformanceConfig,
    "MONITORING_CONFIG": MonitoringConfig,
}
READ = f"""
import json
from webapp.config import settings
print(json.dumps({{name: getattr(settings, name) for name in {list(CONFIGS)!r}}}))
"""


def read(**environment: str) -> "subprocess.CompletedProcess[str]":
    """Read the settings in a process of its own: they are read once per process."""
    return subprocess.run(
        [sys.executable, "-c", READ], env={**os.environ, **environment}, capture_output=True, text=True, timeout=60
    )


def test_without_any_variable_the_settings_are_the_workers_own_defaults() -> None:
    for name, config in CONFIGS.items():
        assert config.from_settings(getattr(settings, name))  # type: ignore[attr-defined]
    assert CollectionConfig.from_settings(settings.COLLECTION_CONFIG) == CollectionConfig(
        name=settings.COLLECTION_CONFIG["NAME"]
    )
    assert MilvusConfig.from_settings(settings.MILVUS_CONFIG) == MilvusConfig(uri=settings.MILVUS_URI)
    assert PerformanceConfig.from_settings(settings.PERFORMANCE_CONFIG) == PerformanceConfig()
    assert MonitoringConfig.from_settings(settings.MONITORING_CONFIG) == MonitoringConfig()
    face = FaceConfig.from_settings(settings.FACE_CONFIG)
    assert face == FaceConfig(packs_dir=face.packs_dir, engine_cache_dir=face.engine_cache_dir)


def test_what_an_operator_sets_arrives_with_its_type() -> None:
    done = read(
        MILVUS_URI="http://milvus:19530",
        MILVUS_USER="root",
        MILVUS_PASSWORD="geheim",
        MILVUS_DATABASE="faces",
        MILVUS_CONNECTION_ALIAS="north",
        MILVUS_MAX_RETRIES="4",
        MILVUS_RETRY_DELAY="0.5",
        MILVUS_INDEX_TYPE="IVF_FLAT",
        MILVUS_METRIC_TYPE="IP",
        MILVUS_INDEX_PARAMS='{"nlist": 512}',
        MILVUS_SEARCH_PARAMS='{"nprobe": 128}',
        MILVUS_AUTO_CREATE="false",
        MILVUS_AUTO_LOAD="false",
        MILVUS_MAX_CAPACITY="1000000",
        MILVUS_MAX_CONNECTIONS="16",
        MILVUS_CONNECTION_POOL_SIZE="4",
        MILVUS_DIMENSION="512",
        FACE_PROVIDERS="CUDAExecutionProvider, CPUExecutionProvider",
        FACE_ARENA="False",
        FACE_MIN_SCORE="0.7",
    )

    found: dict[str, dict[str, Any]] = json.loads(done.stdout)
    milvus = MilvusConfig.from_settings(found["MILVUS_CONFIG"])
    collection = CollectionConfig.from_settings(found["COLLECTION_CONFIG"])
    performance = PerformanceConfig.from_settings(found["PERFORMANCE_CONFIG"])
    assert (milvus.credentials, milvus.database, milvus.connection_alias) == ("root:geheim", "faces", "north")
    assert (milvus.max_retries, milvus.retry_delay_seconds) == (4, 0.5)
    assert (collection.index_type, collection.metric_type) == ("IVF_FLAT", "IP")
    assert (collection.index_params, collection.search_params) == ({"nlist": 512}, {"nprobe": 128})
    assert (collection.auto_create, collection.auto_load, collection.max_capacity) == (False, False, 1_000_000)
    assert (performance.max_connections, performance.connection_pool_size) == (16, 4)
    face = FaceConfig.from_settings(found["FACE_CONFIG"])
    assert collection.dimension == 512
    assert face.providers == ("CUDAExecutionProvider", "CPUExecutionProvider")
    assert (face.arena, face.min_face_score) == (False, 0.7)


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        pytest.param("MILVUS_INDEX_PARAMS", "nlist=5", "MILVUS_INDEX_PARAMS must be a JSON object", id="no JSON"),
        pytest.param("MILVUS_SEARCH_PARAMS", "[1]", "MILVUS_SEARCH_PARAMS must be a JSON object", id="a list"),
        pytest.param("MILVUS_AUTO_LOAD", "maybe", "MILVUS_AUTO_LOAD must be true or false", id="no truth"),
        pytest.param("FACE_ARENA", "1", "FACE_ARENA must be true or false", id="a number for a flag"),
        pytest.param("CANARY_INTERVAL", "inf", "CANARY_INTERVAL must be a number", id="infinity"),
        pytest.param("FACE_MIN_SCORE", "2", "MIN_FACE_SCORE is 2.0; it must be a number from 0 to 1", id="too much"),
        pytest.param("MILVUS_MAX_CAPACITY", "many", "MILVUS_MAX_CAPACITY must be a whole number", id="no number"),
    ],
)
def test_what_cannot_be_read_stops_the_start_with_a_sentence(variable: str, value: str, sentence: str) -> None:
    done = read(**{variable: value})

    assert done.returncode != 0
    assert sentence in done.stderr
