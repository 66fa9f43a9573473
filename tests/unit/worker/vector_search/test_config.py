"""A wrong setting is refused with a sentence that names the key, the value and what is allowed."""

import dataclasses
from typing import Any

import pytest

from worker.errors import ConfigError
from worker.vector_search.config import CollectionConfig, MilvusConfig, MonitoringConfig, PerformanceConfig
from worker.vector_search.milvus.indexes import INDEXES

MILVUS = {"URI": "http://127.0.0.1:19530"}
TLS = {"URI": "https://127.0.0.1:19530"}
MUTUAL_TLS = ("CA_PEM_PATH", "CLIENT_PEM_PATH", "CLIENT_KEY_PATH")
NAME = {"NAME": "faces"}


def test_the_keys_of_the_settings_become_values_with_their_units() -> None:
    assert MilvusConfig.from_settings({**MILVUS, "TOKEN": "root:Milvus", "TIMEOUT": 3}) == MilvusConfig(
        uri="http://127.0.0.1:19530", token="root:Milvus", timeout_seconds=3
    )
    assert PerformanceConfig.from_settings(
        {
            "CONNECTION_POOL_SIZE": 2,
            "MAX_CONNECTIONS": 4,
            "BATCH_SIZE": 10,
            "SEARCH_TIMEOUT": 1.5,
            "INSERT_TIMEOUT": 2,
            "HEALTH_TIMEOUT": 1,
            "ENABLE_CACHING": False,
            "CACHE_TTL": 60,
            "CACHE_MAX_SIZE": 5,
        }
    ) == PerformanceConfig(
        connection_pool_size=2,
        max_connections=4,
        batch_size=10,
        search_timeout_seconds=1.5,
        insert_timeout_seconds=2,
        health_timeout_seconds=1,
        enable_caching=False,
        cache_ttl_seconds=60,
        cache_max_size=5,
    )
    assert MonitoringConfig.from_settings({"METRICS_INTERVAL": 5, "LOG_LEVEL": "DEBUG"}) == MonitoringConfig(
        metrics_interval_seconds=5, log_level="DEBUG"
    )


def test_an_index_gets_the_settings_it_is_not_given() -> None:
    assert CollectionConfig(name="faces").index_type == "FLAT"
    config = CollectionConfig.from_settings({"NAME": "faces", "INDEX_TYPE": "HNSW", "SEARCH_PARAMS": {"ef": 64}})
    assert config.index_params == {"M": 16, "efConstruction": 200}
    assert config.search_params == {"ef": 64}


def test_a_value_cannot_be_changed_and_never_shows_its_token() -> None:
    with_token = MilvusConfig(uri=MILVUS["URI"], token="secret")
    with_password = MilvusConfig(uri=MILVUS["URI"], user="root", password="secret")

    with pytest.raises(dataclasses.FrozenInstanceError):
        with_token.uri = "http://elsewhere:1"  # type: ignore[misc]
    assert "secret" not in repr(with_token) + repr(with_password)
    assert (with_token.credentials, with_password.credentials) == ("secret", "root:secret")


@pytest.mark.parametrize(
    ("settings", "address"),
    [
        pytest.param({"URI": "http://milvus:1"}, "http://milvus:1", id="URI"),
        pytest.param({"HOST": "milvus"}, "http://milvus:19530", id="HOST alone"),
        pytest.param({"HOST": "milvus", "PORT": 5}, "http://milvus:5", id="HOST and PORT"),
        pytest.param({"HOST": "milvus", "SECURE": True}, "https://milvus:19530", id="TLS"),
        pytest.param({"URI": "http://milvus:5", "HOST": "milvus", "PORT": 5}, "http://milvus:5", id="they agree"),
    ],
)
def test_the_address_comes_from_the_uri_or_from_host_and_port(settings: dict[str, Any], address: str) -> None:
    config = MilvusConfig.from_settings(settings)

    assert config.address == address
    assert config.is_secure is address.startswith("https")


def test_a_search_looks_at_no_fewer_candidates_than_it_returns() -> None:
    config = CollectionConfig(name="faces", index_type="HNSW", search_params={"ef": 64})

    assert config.search_params_for(10) == {"ef": 64}
    assert config.search_params_for(500) == {"ef": 500}
    assert CollectionConfig(name="faces").search_params_for(500) == {}


@pytest.mark.parametrize("index_type", INDEXES)
def test_the_default_parameters_of_each_index_are_allowed_when_they_are_said(index_type: str) -> None:
    config = CollectionConfig(name="faces", index_type=index_type)

    assert dataclasses.replace(config) == config


def test_the_pack_decides_the_dimension_and_another_expectation_is_worth_a_warning() -> None:
    for dimension in (None, 512):
        assert CollectionConfig(name="faces", dimension=dimension).dimension_warning(512) == ""
    warning = CollectionConfig(name="faces", dimension=512).dimension_warning(128)
    assert "DIMENSION is 512" in warning
    assert "128 values: the pack decides" in warning


#: As the service that facequeue replaces was specified (docs/migration.md).
SEED: list[tuple[Any, dict[str, Any]]] = [
    (
        MilvusConfig,
        {
            "HOST": "localhost",
            "PORT": 19530,
            "USER": None,
            "PASSWORD": None,
            "DATABASE": "default",
            "CONNECTION_ALIAS": "default",
            "TIMEOUT": 30.0,
            "MAX_RETRIES": 3,
            "RETRY_DELAY": 1.0,
        },
    ),
    (
        CollectionConfig,
        {
            "NAME": "face_embeddings",
            "DIMENSION": 512,
            "METRIC_TYPE": "COSINE",
            "INDEX_TYPE": "IVF_FLAT",
            "INDEX_PARAMS": {"nlist": 1024},
            "SEARCH_PARAMS": {"nprobe": 10},
            "AUTO_CREATE": True,
            "AUTO_LOAD": True,
            "MAX_CAPACITY": 1000000,
        },
    ),
    (
        PerformanceConfig,
        {
            "CONNECTION_POOL_SIZE": 10,
            "MAX_CONNECTIONS": 100,
            "BATCH_SIZE": 1000,
            "SEARCH_TIMEOUT": 30.0,
            "INSERT_TIMEOUT": 60.0,
            "ENABLE_CACHING": True,
            "CACHE_TTL": 3600,
            "CACHE_MAX_SIZE": 10000,
        },
    ),
    (
        MonitoringConfig,
        {
            "ENABLE_METRICS": True,
            "ENABLE_TRACING": False,
            "LOG_LEVEL": "INFO",
            "LOG_REQUESTS": True,
            "LOG_RESPONSES": False,
            "METRICS_INTERVAL": 60,
            "HEALTH_CHECK_INTERVAL": 300,
        },
    ),
]


@pytest.mark.parametrize(("config", "settings"), SEED)
def test_the_dictionaries_of_the_original_service_work_as_they_stand(config: Any, settings: dict[str, Any]) -> None:
    read = config.from_settings(settings)

    for key, value in settings.items():
        name = key.lower() if hasattr(read, key.lower()) else f"{key.lower()}_seconds"
        assert getattr(read, name) == ("" if value is None else value)


@pytest.mark.parametrize("config", [MilvusConfig, CollectionConfig, PerformanceConfig, MonitoringConfig])
def test_the_sentence_names_the_dictionary(config: Any) -> None:
    dictionary = config.dictionary
    with pytest.raises(ConfigError, match=rf"^{dictionary} has no key TYPO; its keys are [A-Z]"):
        config.from_settings({"TYPO": 1})


def test_none_means_that_a_key_is_not_set() -> None:
    assert PerformanceConfig.from_settings({"ENABLE_CACHING": None}) == PerformanceConfig()
    with pytest.raises(ConfigError, match=r"^COLLECTION_CONFIG NAME is not given; it must be 1 to 255 letters"):
        CollectionConfig.from_settings({"NAME": None})


def test_an_unknown_key_is_named_without_its_value_which_may_be_a_password() -> None:
    with pytest.raises(ConfigError) as refused:
        MilvusConfig.from_settings({**MILVUS, "PASWORD": "geheim"})

    assert "MILVUS_CONFIG has no key PASWORD" in str(refused.value)
    assert "geheim" not in str(refused.value)


@pytest.mark.parametrize(
    ("config", "settings", "sentence"),
    [
        pytest.param(MilvusConfig, {**MILVUS, "POOL": 1}, "has no key POOL; .* TIMEOUT, TOKEN, URI", id="unknown"),
        pytest.param(CollectionConfig, {}, "NAME is not given", id="missing key"),
        pytest.param(MilvusConfig, {}, "URI is ''; .* unless HOST gives it", id="no address"),
        pytest.param(
            MilvusConfig, {**MILVUS, "HOST": "x"}, r"HOST is 'x'; .* same as URI .* 127.0.0.1", id="two hosts"
        ),
        pytest.param(MilvusConfig, {**MILVUS, "PORT": 5}, r"PORT is 5; .* same as in URI: 19530", id="two ports"),
        pytest.param(MilvusConfig, {"HOST": "http://x"}, "HOST is 'http://x'; .* without scheme", id="URI as HOST"),
        pytest.param(MilvusConfig, {"HOST": "x", "PORT": 70000}, "PORT is 70000; .* 1 to 65535", id="port"),
        pytest.param(MilvusConfig, {"URI": "http://x:99999"}, "URI is 'http://x:99999'", id="port in URI"),
        pytest.param(MilvusConfig, {"URI": "http://[::1]:5"}, "URI is", id="IPv6, which pymilvus garbles"),
        pytest.param(MilvusConfig, {"URI": "http://a:geheim@x"}, r"URI is '\(hidden\)'; .*TOKEN", id="login in URI"),
        pytest.param(
            MilvusConfig, {"URI": "tcp://a:geheim@x"}, r"URI is '\(hidden\)'; .*TOKEN", id="login in URI, other scheme"
        ),
        pytest.param(
            MilvusConfig, {"URI": "http://a:ge/heim@x"}, r"URI is '\(hidden\)'; .*TOKEN", id="login in URI, no port"
        ),
        pytest.param(MilvusConfig, {"HOST": "a:geheim@x"}, r"HOST is '\(hidden\)'; .*TOKEN", id="login in HOST"),
        pytest.param(MilvusConfig, {"URI": "http://x:1/db"}, "without a path: DATABASE", id="database in URI"),
        pytest.param(MilvusConfig, {**MILVUS, "USER": "root"}, "PASSWORD is ''; .* USER is", id="user alone"),
        pytest.param(MilvusConfig, {**MILVUS, "PASSWORD": "x"}, "USER is ''; .* PASSWORD is", id="password alone"),
        pytest.param(
            MilvusConfig, {**MILVUS, "USER": "a", "PASSWORD": "b", "TOKEN": "c"}, "TOKEN is '.hidden.'", id="two logins"
        ),
        pytest.param(MilvusConfig, {**MILVUS, "USER": "a:b", "PASSWORD": "c"}, "USER is 'a:b'; .* colon", id="colon"),
        pytest.param(MilvusConfig, {**MILVUS, "PASSWORD": 5}, r"PASSWORD is '\(hidden\)'", id="password"),
        pytest.param(MilvusConfig, {**MILVUS, "DATABASE": "a-b"}, "DATABASE is 'a-b'; .* letters", id="database"),
        pytest.param(MilvusConfig, {**MILVUS, "SECURE": True}, "SECURE is True; .* URI is 'http:", id="TLS over http"),
        pytest.param(MilvusConfig, {"HOST": "x", "SECURE": "yes"}, "SECURE is 'yes'; .* True or False", id="SECURE"),
        pytest.param(
            MilvusConfig, {**MILVUS, "SERVER_NAME": "x"}, "SERVER_NAME is 'x'; .* without TLS", id="TLS name, no TLS"
        ),
        pytest.param(
            MilvusConfig, {**TLS, "SERVER_PEM_PATH": "/none.pem"}, "SERVER_PEM_PATH .* file that exists", id="no file"
        ),
        pytest.param(
            MilvusConfig, {**TLS, "CA_PEM_PATH": __file__}, "CLIENT_PEM_PATH is ''; .* SERVER_PEM_PATH", id="half TLS"
        ),
        pytest.param(
            MilvusConfig,
            {**TLS, **dict.fromkeys((*MUTUAL_TLS, "SERVER_PEM_PATH"), __file__)},
            "SERVER_PEM_PATH .* mutual TLS",
            id="two kinds of TLS",
        ),
        pytest.param(MilvusConfig, {**MILVUS, "CONNECTION_ALIAS": ""}, "CONNECTION_ALIAS is ''", id="alias"),
        pytest.param(MilvusConfig, {**MILVUS, "RETRY_DELAY": 0}, "RETRY_DELAY is 0; .* at most 60", id="delay"),
        pytest.param(MilvusConfig, {**MILVUS, "MAX_RETRIES": 11}, "MAX_RETRIES is 11; .* 0 to 10", id="retries"),
        pytest.param(CollectionConfig, {**NAME, "DIMENSION": 0}, "DIMENSION is 0", id="dimension"),
        pytest.param(
            CollectionConfig, {**NAME, "METRIC_TYPE": "JACCARD"}, "METRIC_TYPE is .* COSINE, IP, L2", id="metric"
        ),
        pytest.param(CollectionConfig, {**NAME, "AUTO_CREATE": "no"}, "AUTO_CREATE is 'no'; .* True", id="create"),
        pytest.param(CollectionConfig, {**NAME, "AUTO_LOAD": 1}, "AUTO_LOAD is 1; .* True or False", id="load"),
        pytest.param(CollectionConfig, {**NAME, "MAX_CAPACITY": 0}, "MAX_CAPACITY is 0", id="capacity"),
        pytest.param(
            CollectionConfig,
            {**NAME, "INDEX_TYPE": "IVF_SQ8", "INDEX_PARAMS": {"nlist": 128}},
            r"SEARCH_PARAMS\['nprobe'\] is 512; .* at most nlist, which is 128",
            id="more probes than lists",
        ),
        pytest.param(
            CollectionConfig,
            {**NAME, "INDEX_TYPE": "HNSW", "INDEX_PARAMS": {"M": 64, "efConstruction": 32}},
            r"INDEX_PARAMS\['M'\] is 64; .* at most efConstruction",
            id="more links than candidates",
        ),
        pytest.param(
            CollectionConfig,
            {**NAME, "INDEX_TYPE": "GPU_CAGRA", "INDEX_PARAMS": {"graph_degree": 256}},
            r"INDEX_PARAMS\['graph_degree'\] is 256; .* at most intermediate_graph_degree",
            id="graph degrees",
        ),
        pytest.param(
            PerformanceConfig,
            {"CONNECTION_POOL_SIZE": 9, "MAX_CONNECTIONS": 4},
            "CONNECTION_POOL_SIZE is 9; .* 1 to 4",
            id="connections that no call would use",
        ),
        pytest.param(PerformanceConfig, {"MAX_CONNECTIONS": 0}, "MAX_CONNECTIONS is 0", id="no calls"),
        pytest.param(PerformanceConfig, {"ENABLE_CACHING": "no"}, "ENABLE_CACHING is 'no'", id="caching"),
        pytest.param(PerformanceConfig, {"CACHE_TTL": float("inf")}, "CACHE_TTL is inf", id="infinity"),
        pytest.param(PerformanceConfig, {"CACHE_TTL": -1}, "CACHE_TTL is -1", id="cache time"),
        pytest.param(PerformanceConfig, {"CACHE_MAX_SIZE": 0}, "CACHE_MAX_SIZE is 0", id="cache size"),
        pytest.param(PerformanceConfig, {"MAX_RETRIES": 1}, "has no key MAX_RETRIES", id="moved to MILVUS_CONFIG"),
        pytest.param(MonitoringConfig, {"ENABLE_METRICS": 1}, "ENABLE_METRICS is 1; .* True or False", id="metrics"),
        pytest.param(MonitoringConfig, {"ENABLE_TRACING": 1}, "ENABLE_TRACING is 1", id="tracing"),
        pytest.param(MonitoringConfig, {"LOG_REQUESTS": 1}, "LOG_REQUESTS is 1", id="requests"),
        pytest.param(MonitoringConfig, {"LOG_RESPONSES": 1}, "LOG_RESPONSES is 1", id="responses"),
        pytest.param(MonitoringConfig, {"LOG_LEVEL": "LOUD"}, "LOG_LEVEL is 'LOUD'; .* DEBUG, INFO", id="level"),
        pytest.param(MonitoringConfig, {"METRICS_INTERVAL": 0}, "METRICS_INTERVAL is 0", id="metrics interval"),
        pytest.param(
            MonitoringConfig, {"HEALTH_CHECK_INTERVAL": 0}, "HEALTH_CHECK_INTERVAL is 0", id="health interval"
        ),
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
    ],
)
def test_a_wrong_setting_is_refused_with_a_sentence(config: Any, settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        config.from_settings(settings)
