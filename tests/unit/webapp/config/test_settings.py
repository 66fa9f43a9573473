"""The environment becomes the dictionaries that the worker checks."""

import json
import os
import ssl
import subprocess
import sys
from typing import Any

import pytest

from tasks import dictionaries
from tests.packs import PACKS_DIR
from webapp.config import redis_urls
from webapp.config.accounts import email_options
from worker.config import FaceConfig
from worker.vector_search.config import CollectionConfig, MilvusConfig, MonitoringConfig, PerformanceConfig

DICTIONARIES = ["FACE_CONFIG", "MILVUS_CONFIG", "COLLECTION_CONFIG", "PERFORMANCE_CONFIG", "MONITORING_CONFIG"]
READ = f"""
import json
from webapp.config import settings
print(json.dumps({{name: getattr(settings, name) for name in {DICTIONARIES!r}}}))
"""


def read(**environment: str) -> "subprocess.CompletedProcess[str]":
    """Read the settings in a process of its own: they are read once per process."""
    return subprocess.run(
        [sys.executable, "-c", READ], env={**os.environ, **environment}, capture_output=True, text=True, timeout=60
    )


def test_without_any_variable_the_dictionaries_are_empty_and_the_workers_defaults_apply(settings: Any) -> None:
    # All but the place of the packs: tests read those of the checkout (tests/environment.py).
    assert [getattr(settings, name) for name in DICTIONARIES] == [{"PACKS_DIR": str(PACKS_DIR)}, {}, {}, {}, {}]
    settings.FACE_CONFIG = {}
    assert dictionaries.collection_config() == CollectionConfig(name=f"faces_{dictionaries.pack_name()}")
    assert dictionaries.milvus_config() == MilvusConfig(uri=settings.LOCAL_MILVUS_URI)
    assert dictionaries.performance_config() == PerformanceConfig()
    assert dictionaries.monitoring_config() == MonitoringConfig()
    assert dictionaries.face_config() == FaceConfig(
        packs_dir=settings.DATA_DIR / "packs", engine_cache_dir=settings.DATA_DIR / "engines"
    )


def test_what_an_operator_sets_arrives_with_its_type() -> None:
    done = read(
        MILVUS_HOST="milvus",
        MILVUS_PORT="19531",
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
        FACE_PACKS_DIR="/packs",
        FACE_PROVIDERS="CUDAExecutionProvider, CPUExecutionProvider",
        FACE_ARENA="False",
        FACE_MIN_SCORE="0.7",
        FACE_SMALLEST_PIXELS="20",
        FACE_LONGEST_SIDE_PIXELS="1920",
    )

    found: dict[str, dict[str, Any]] = json.loads(done.stdout)
    milvus = MilvusConfig.from_settings(found["MILVUS_CONFIG"])
    collection = CollectionConfig.from_settings({"NAME": "faces", **found["COLLECTION_CONFIG"]})
    performance = PerformanceConfig.from_settings(found["PERFORMANCE_CONFIG"])
    assert milvus.address == "http://milvus:19531"
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
    assert (face.smallest_face_pixels, face.longest_side_pixels) == (20, 1920)


def test_an_empty_variable_is_not_set() -> None:
    names = (
        "FACE_ARENA",
        "FACE_PACKS_DIR",
        "MILVUS_MAX_RETRIES",
        "MILVUS_INDEX_PARAMS",
        "DEBUG",
        "PORT",
        "DATABASE_URL",
    )
    done = read(**dict.fromkeys(names, ""))

    assert json.loads(done.stdout) == {key: {} for key in DICTIONARIES}


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        pytest.param("MILVUS_INDEX_PARAMS", "nlist=5", "MILVUS_INDEX_PARAMS must be a JSON object", id="no JSON"),
        pytest.param("MILVUS_SEARCH_PARAMS", "[1]", "MILVUS_SEARCH_PARAMS must be a JSON object", id="a list"),
        pytest.param("MILVUS_AUTO_LOAD", "maybe", "MILVUS_AUTO_LOAD must be true or false, not 'maybe'", id="no truth"),
        pytest.param("FACE_ARENA", "1", "FACE_ARENA must be true or false", id="a number for a flag"),
        pytest.param("DEBUG", "yes", "DEBUG must be true or false, not 'yes'", id="a word for a flag of Django's"),
        pytest.param("CANARY_INTERVAL", "inf", "CANARY_INTERVAL must be a number", id="infinity"),
        pytest.param("CACHE_TTL", "nan", "CACHE_TTL must be a number, not 'nan'", id="no number for a key"),
        pytest.param("MILVUS_MAX_CAPACITY", "many", "MILVUS_MAX_CAPACITY must be a whole number", id="no number"),
        pytest.param("MILVUS_PORT", "1.5", "MILVUS_PORT must be a whole number, not '1.5'", id="no whole number"),
        pytest.param("PORT", "70000", "PORT must be a whole number from 1 to 65531, not '70000'", id="out of bounds"),
        pytest.param("INDEX_CHUNK_SIZE", "0", "INDEX_CHUNK_SIZE must be a whole number from 1", id="no photos"),
        pytest.param("INDEX_MAX_ATTEMPTS", "0", "INDEX_MAX_ATTEMPTS must be a whole number from 1", id="no attempt"),
        pytest.param("INDEX_LEASE_SECONDS", "0", "INDEX_LEASE_SECONDS must be a number from 1", id="no lease"),
        pytest.param("SEARCH_TIMEOUT_SECONDS", "0", "SEARCH_TIMEOUT_SECONDS must be a number from 1", id="no time"),
        pytest.param(
            "VISIBILITY_TIMEOUT_SECONDS", "0", "VISIBILITY_TIMEOUT_SECONDS must be a whole number from 1", id="at once"
        ),
        pytest.param("LOG_FORMAT", "xml", "LOG_FORMAT must be one of json, line, not 'xml'", id="no such choice"),
        pytest.param(
            "SIGN_UP", "sure", "SIGN_UP must be one of closed, invited, open, not 'sure'", id="no such sign-up"
        ),
        pytest.param("TOTP", "on", "TOTP must be true or false", id="a word for the second factor"),
        pytest.param("OIDC_ISSUER", "login.example.org", "OIDC_ISSUER must be a URL", id="a provider without a scheme"),
        pytest.param("OIDC_ISSUER", "http://[", "OIDC_ISSUER must be a URL", id="a provider without a host"),
        pytest.param("OIDC_ISSUER", "https://a.org", "needs OIDC_CLIENT_ID and OIDC_CLIENT_SECRET", id="no client"),
        pytest.param("EMAIL_URL", "smtp://mail.example.org", "EMAIL_URL needs PUBLIC_URL", id="links to nowhere"),
        pytest.param("LOG_LEVEL", "loud", "LOG_LEVEL must be one of DEBUG, INFO", id="no such level"),
    ],
)
def test_what_cannot_be_read_stops_the_start_with_a_sentence(variable: str, value: str, sentence: str) -> None:
    done = read(**{variable: value})

    assert done.returncode != 0
    assert sentence in done.stderr


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        pytest.param("DATABASE_URL", "postgres://user:geheim/2@host/name", id="slash in the database's password"),
        pytest.param("REDIS_URL", "redis://:geheim/2@host:6379/0", id="slash in Redis' password"),
        pytest.param("REDIS_CACHE_URL", "user:geheim@host:6379", id="no scheme"),
        pytest.param("EMAIL_URL", "user:geheim@host:25", id="no scheme of a mail server"),
        pytest.param("EMAIL_URL", "smtp://user:geheim/2@host:25", id="slash in the mail server's password"),
    ],
)
def test_a_url_that_cannot_be_read_is_refused_without_its_password(variable: str, value: str) -> None:
    done = read(**{variable: value})

    assert done.returncode != 0
    assert f"ConfigError: {variable} must be a URL, such as" in done.stderr
    assert "geheim" not in done.stderr


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        pytest.param("redis://h/0?ssl_cert_reqs=none", "must begin with rediss://", id="no TLS"),
        pytest.param("rediss://h/0?ssl_cert_reqs=maybe", "one of required, optional, none", id="no such demand"),
        pytest.param("rediss://h/0?ssl_ca_certs=/no/ca.pem", "ssl_ca_certs must be the path of a file", id="no file"),
        pytest.param(f"rediss://h/0?ssl_keyfile={__file__}", "must be given together", id="a key alone"),
        pytest.param("rediss://h/0?ssl_check_hostname=1", "must be true or false", id="a number for a flag"),
        pytest.param("rediss://:geheim@h/0?ssl_ca_cert=x", "a parameter 'ssl_ca_cert'", id="a misspelt parameter"),
        pytest.param("rediss://:geheim@h/0?ssl_ca_certs", "must be a URL, such as", id="no parameters"),
    ],
)
def test_parameters_of_tls_are_checked_when_the_service_starts(value: str, sentence: str) -> None:
    done = read(REDIS_URL=value)

    assert done.returncode != 0
    assert sentence in done.stderr
    assert "geheim" not in done.stderr


def test_certificates_are_checked_unless_an_address_says_otherwise() -> None:
    plain, tls = redis_urls.redis_url("NOT_SET", "redis://h/0"), redis_urls.redis_url("NOT_SET", "rediss://:x@h:1/2")
    assert (plain, redis_urls.tls_options(plain)) == ("redis://h/0", None)
    assert redis_urls.without_parameters(tls) == "rediss://:x@h:1/2"
    assert redis_urls.tls_options(tls) == {"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_check_hostname": True}


def test_what_follows_from_a_dictionary_follows_a_sites_own(settings: Any) -> None:
    settings.FACE_CONFIG = {"PACK": "/packs/my-pack", "MAX_IMAGE_BYTES": 1000}
    settings.MILVUS_CONFIG = {"HOST": "milvus", "PORT": 19531, "USER": None}

    assert dictionaries.pack_name() == "my-pack"
    assert dictionaries.collection_config().name == "faces_my_pack"
    assert dictionaries.max_request_bytes() == 1000 + dictionaries.FORM_BYTES
    assert dictionaries.milvus_config().address == "http://milvus:19531"
    assert not dictionaries.milvus_is_local()


def test_a_mail_servers_url_becomes_djangos_settings() -> None:
    assert email_options("") == {}
    found = email_options("smtp+tls://faces:geheim@mail.example.org:587")
    assert (found["EMAIL_HOST"], found["EMAIL_PORT"], found["EMAIL_USE_TLS"]) == ("mail.example.org", 587, True)
    assert (found["EMAIL_HOST_USER"], found["EMAIL_HOST_PASSWORD"]) == ("faces", "geheim")
    assert email_options("smtp://mail.example.org")["EMAIL_PORT"] == 25
