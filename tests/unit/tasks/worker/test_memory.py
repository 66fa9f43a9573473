"""How much memory a worker may take, and that what starts workers allows as much."""

import re
from pathlib import Path

import pytest
from django.conf import settings

from tasks.roles import INDEX, PACK_ROLES, SEARCH
from tasks.worker.memory import growth_mb
from worker.config import FaceConfig

COMPOSE = (settings.BASE_DIR / "docker-compose.yml").read_text()
#: A worker of the largest pack in the catalogue, when it is ready (docs/performance.md, "peak MB" of "large").
LARGEST_START_MB = 1200
#: Decode threads of a machine with eight cores.
DECODE_THREADS = 9


def config(**keys: object) -> FaceConfig:
    return FaceConfig.from_settings({"PACKS_DIR": Path("packs"), **keys})


def test_memory_follows_from_the_settings() -> None:
    assert growth_mb(config(), threads=8) == pytest.approx(1621 + 480 + 512, abs=1)
    assert growth_mb(config(MAX_DECODED_BYTES=850_000_000), threads=8) == pytest.approx(811 + 480 + 512, abs=1)
    assert growth_mb(config(MAX_IMAGE_BYTES=1024 * 1024), threads=8) == pytest.approx(1621 + 24 + 512, abs=1)


def test_a_container_may_take_more_than_the_worker_in_it() -> None:
    found = re.search(r"x-gpu-worker: .*?\n  mem_limit: (\d+)g", COMPOSE, re.DOTALL)
    assert found
    assert int(found[1]) * 1024 > LARGEST_START_MB + growth_mb(config(), threads=SEARCH.concurrency)


@pytest.mark.parametrize("service", ["web", "worker-records", "beat", "flower"])
def test_every_other_process_of_ours_has_a_limit(service: str) -> None:
    assert re.search(rf"\n  {service}:\n(?:    [^\n]*\n)*?    mem_limit: ", COMPOSE)


def test_the_roles_with_a_model_are_those_with_that_limit() -> None:
    services = re.findall(r"\n  (worker-\w+):\n    <<: \*gpu-worker\n", COMPOSE)
    assert services == [role.process for role in PACK_ROLES]
    assert INDEX.concurrency * DECODE_THREADS > SEARCH.concurrency
