"""A wrong setting is refused with a sentence that names the key, the value and what is allowed."""

import dataclasses
from typing import Any

import pytest

from worker.errors import ConfigError
from worker.vector_search.config import CollectionConfig, MilvusConfig, PerformanceConfig

MILVUS = {"URI": "http://127.0.0.1:19530"}


def test_the_keys_of_the_settings_become_values_with_their_units() -> None:
    assert MilvusConfig.from_settings({**MILVUS, "TOKEN": "root:Milvus", "TIMEOUT": 3}) == MilvusConfig(
        uri="http://127.0.0.1:19530", token="root:Milvus", timeout_seconds=3
    )
    assert PerformanceConfig.from_settings(
        {"BATCH_SIZE": 10, "SEARCH_TIMEOUT": 1.5, "INSERT_TIMEOUT": 2, "HEALTH_TIMEOUT": 1, "MAX_RETRIES": 0}
    ) == PerformanceConfig(
        batch_size=10,
        search_timeout_seconds=1.5,
        insert_timeout_seconds=2,
        health_timeout_seconds=1,
        max_retries=0,
    )


def test_an_index_gets_the_settings_it_is_not_given() -> None:
    assert CollectionConfig(name="faces").index_type == "FLAT"
    config = CollectionConfig.from_settings({"NAME": "faces", "INDEX_TYPE": "HNSW", "SEARCH_PARAMS": {"ef": 64}})
    assert config.index_params == {"M": 16, "efConstruction": 200}
    assert config.search_params == {"ef": 64}


def test_a_value_cannot_be_changed_and_never_shows_its_token() -> None:
    config = MilvusConfig(uri=MILVUS["URI"], token="secret")

    with pytest.raises(dataclasses.FrozenInstanceError):
        config.uri = "http://elsewhere:1"  # type: ignore[misc]
    assert "secret" not in repr(config)


@pytest.mark.parametrize(
    ("config", "settings", "sentence"),
    [
        pytest.param(
            MilvusConfig, {**MILVUS, "HOST": "x"}, r"HOST is 'x'; .* known keys TIMEOUT, TOKEN, URI", id="unknown key"
        ),
        pytest.param(MilvusConfig, {}, "URI is None; it must be a value", id="missing key"),
        pytest.param(MilvusConfig, {"URI": "faces.db"}, "URI is 'faces.db'; .* address of a server", id="a file"),
        pytest.param(MilvusConfig, {**MILVUS, "TOKEN": 5}, r"TOKEN is '\(hidden\)'", id="token"),
        pytest.param(MilvusConfig, {**MILVUS, "TIMEOUT": 0}, "TIMEOUT is 0; .* seconds, more than 0", id="no time"),
        pytest.param(MilvusConfig, {**MILVUS, "TIMEOUT": "5"}, "TIMEOUT is '5'", id="text for a number"),
        pytest.param(MilvusConfig, {**MILVUS, "TIMEOUT": float("nan")}, "TIMEOUT is nan", id="not a number"),
        pytest.param(CollectionConfig, {"NAME": "faces-1"}, "NAME is 'faces-1'; .* letters, digits", id="name"),
        pytest.param(
            CollectionConfig, {"NAME": "faces", "INDEX_TYPE": "FAST"}, "INDEX_TYPE is 'FAST'; .* FLAT, IVF", id="index"
        ),
        pytest.param(
            CollectionConfig,
            {"NAME": "faces", "INDEX_PARAMS": {"nlist": 4}},
            r"INDEX_PARAMS is \{'nlist': 4\}; it must be empty",
            id="settings of another index",
        ),
        pytest.param(
            CollectionConfig,
            {"NAME": "faces", "INDEX_TYPE": "IVF_FLAT", "SEARCH_PARAMS": {"nprobe": 0}},
            r"SEARCH_PARAMS\['nprobe'\] is 0; .* 1 to 65536",
            id="bad setting of an index",
        ),
        pytest.param(PerformanceConfig, {"BATCH_SIZE": 0}, "BATCH_SIZE is 0; .* 1 to 10000", id="batch"),
        pytest.param(PerformanceConfig, {"BATCH_SIZE": True}, "BATCH_SIZE is True", id="a truth for a number"),
        pytest.param(PerformanceConfig, {"MAX_RETRIES": 11}, "MAX_RETRIES is 11; .* 0 to 10", id="retries"),
    ],
)
def test_a_wrong_setting_is_refused_with_a_sentence(config: Any, settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        config.from_settings(settings)
