"""A process starts with the dictionaries that a site writes, and ends with one sentence when one is wrong."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

#: As the service that this one replaces was specified.
SPECIFIED = """
from webapp.config.settings import *

MILVUS_CONFIG = {
    'HOST': 'localhost',
    'PORT': 19530,
    'USER': None,
    'PASSWORD': None,
    'DATABASE': 'default',
    'CONNECTION_ALIAS': 'default',
    'TIMEOUT': 30.0,
    'MAX_RETRIES': 3,
    'RETRY_DELAY': 1.0
}
COLLECTION_CONFIG = {
    'NAME': 'face_embeddings',
    'DIMENSION': 512,
    'METRIC_TYPE': 'COSINE',
    'INDEX_TYPE': 'IVF_FLAT',
    'INDEX_PARAMS': {'nlist': 1024},
    'SEARCH_PARAMS': {'nprobe': 10},
    'AUTO_CREATE': True,
    'AUTO_LOAD': True,
    'MAX_CAPACITY': 1000000
}
PERFORMANCE_CONFIG = {
    'CONNECTION_POOL_SIZE': 10,
    'MAX_CONNECTIONS': 100,
    'BATCH_SIZE': 1000,
    'SEARCH_TIMEOUT': 30.0,
    'INSERT_TIMEOUT': 60.0,
    'ENABLE_CACHING': True,
    'CACHE_TTL': 3600,
    'CACHE_MAX_SIZE': 10000
}
MONITORING_CONFIG = {
    'ENABLE_METRICS': True,
    'ENABLE_TRACING': False,
    'LOG_LEVEL': 'INFO',
    'LOG_REQUESTS': True,
    'LOG_RESPONSES': False,
    'METRICS_INTERVAL': 60,
    'HEALTH_CHECK_INTERVAL': 300
}
"""

MANAGE = ("manage.py", "check")
WEB = ("-c", "import webapp.config.asgi")
#: Workers, beat and Flower are all started this way.
CELERY = ("-m", "celery", "-A", "tasks.app", "report")
PROCESSES = [pytest.param(MANAGE, id="manage.py"), pytest.param(WEB, id="web"), pytest.param(CELERY, id="celery")]


def start(folder: Path, arguments: tuple[str, ...], site: str) -> "subprocess.CompletedProcess[str]":
    """Start a process with a site's own settings module."""
    (folder / "site_settings.py").write_text(site)
    environment = {"DJANGO_SETTINGS_MODULE": "site_settings", "PYTHONPATH": f"{folder}{os.pathsep}."}
    return subprocess.run(
        [sys.executable, *arguments], env={**os.environ, **environment}, capture_output=True, text=True, timeout=120
    )


@pytest.mark.parametrize("arguments", PROCESSES)
def test_the_specified_dictionaries_start_unchanged(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = start(tmp_path, arguments, SPECIFIED)

    assert done.returncode == 0, done.stderr


def test_the_specified_dictionaries_take_effect(tmp_path: Path) -> None:
    printed = start(
        tmp_path,
        (
            "-c",
            "import django; django.setup()\n"
            "from tasks import dictionaries as d\n"
            "from tasks.targets import default_target\n"
            "print(d.milvus_config().address, d.collection_config().name, d.collection_config().dimension,\n"
            "      d.performance_config().max_connections, d.monitoring_config().health_check_interval_seconds)\n"
            "print(default_target().collection, default_target().index)",
        ),
        SPECIFIED,
    ).stdout
    assert "http://localhost:19530 face_embeddings 512 100 300" in printed
    assert "face_embeddings metric_type='COSINE' index_type='IVF_FLAT'" in printed
    assert "index_params={'nlist': 1024} search_params={'nprobe': 10}" in printed


@pytest.mark.parametrize("arguments", PROCESSES)
@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        pytest.param("COLLECTION_CONFIG['TYPO'] = 1", "COLLECTION_CONFIG has no key TYPO; its keys are ", id="a typo"),
        pytest.param(
            "PERFORMANCE_CONFIG['BATCH_SIZE'] = 'many'",
            "PERFORMANCE_CONFIG BATCH_SIZE is 'many'; it must be a whole number",
            id="a bad value",
        ),
    ],
)
def test_a_wrong_dictionary_stops_the_start_with_one_sentence(
    tmp_path: Path, arguments: tuple[str, ...], change: str, sentence: str
) -> None:
    done = start(tmp_path, arguments, f"{SPECIFIED}\n{change}\n")

    assert done.returncode != 0
    assert f"facequeue cannot start: {sentence}" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", PROCESSES)
def test_a_wrong_variable_stops_the_start_with_one_sentence(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = start(tmp_path, arguments, "import os\nos.environ['FACE_FP16'] = 'on'\nfrom webapp.config.settings import *")

    assert done.returncode != 0
    assert "facequeue cannot start: FACE_FP16 must be true or false, not 'on'." in done.stderr
    assert "Traceback" not in done.stderr
