"""The table of roles, and what must agree with it: the Procfile, Compose and the queues."""

import re
import shlex

import pytest
from django.conf import settings
from honcho.environ import parse_procfile

from tasks import queues
from tasks.roles import PACK_ROLES, ROLES, Role, role_of

PROCFILE: dict[str, str] = parse_procfile((settings.BASE_DIR / "Procfile").read_text()).processes
COMPOSE = (settings.BASE_DIR / "docker-compose.yml").read_text()


def options(command: str) -> dict[str, str]:
    """Return the options of a worker's command line by their names; switches are empty."""
    words = shlex.split(command)
    pairs = zip(words, [*words[1:], "--"], strict=True)
    return {name: "" if value.startswith("--") else value for name, value in pairs if name.startswith("--")}


def compose_command(service: str) -> str:
    found = re.search(rf"\n  {service}:\n(?:    [^\n]*\n)*?    command: >-\n((?:      [^\n]*\n)+)", COMPOSE)
    assert found, f"Compose has no service {service}"
    return " ".join(found[1].split())


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_the_procfile_starts_each_role_as_the_table_says(role: Role) -> None:
    given = options(PROCFILE[role.process])
    assert given["--pool"] == role.pool
    assert given["--concurrency"] == f"${role.concurrency_variable}"
    assert given["--queues"] == role.queue("$PACK_NAME")
    assert given["--hostname"].startswith(f"{role.name}-")


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_compose_starts_each_role_as_the_table_says(role: Role) -> None:
    given = options(compose_command(role.process))
    assert given["--pool"] == role.pool
    assert given["--concurrency"] == str(role.concurrency)
    assert re.fullmatch(re.escape(role.queue("X")).replace("X", r"\$\{FACE_PACK:-\w+\}"), given["--queues"])
    assert given["--hostname"] == f"{role.name}@%h"


def test_no_worker_is_started_that_the_table_does_not_know() -> None:
    known = {role.process for role in ROLES}
    assert {name for name in PROCFILE if name.startswith("worker-")} == known
    assert set(re.findall(r"\n  (worker-\w+):\n", COMPOSE)) == known


def test_a_queue_leads_back_to_its_role() -> None:
    for role in ROLES:
        assert role_of(role.queue("dlib")) is role
    assert role_of("celery") is None


def test_the_service_can_do_without_reindex_workers_only() -> None:
    assert queues.required_queues("dlib") == ("search.dlib", "index.dlib", "records")
    assert queues.gpu_queues("dlib") == tuple(role.queue("dlib") for role in PACK_ROLES)
