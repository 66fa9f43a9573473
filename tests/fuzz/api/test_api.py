"""Every operation, as everybody: no fault of the service, no answer outside the schema, nothing of other tenants.

`make fuzz-api` sends more requests, other ones each time.
"""

import json
import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import requests
from django.conf import settings
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.fuzz.api.requests_by_schema import cases, load, turn_of
from tests.fuzz.api.world import Asker, World
from tests.service import RunningService

pytestmark = pytest.mark.services

#: Requests per operation, each sent by several askers.
EXAMPLES: Final = int(os.environ.get("FUZZ_API_EXAMPLES", "10"))
PROCESSES: Final = ("redis", "redis-cache", "milvus", "web", "worker-search", "worker-index", "worker-records")
#: No limit that one client alone would meet.
WIDE: Final = {"REQUESTS_PER_SECOND": "1000", "SEARCH_QUEUE_BOUND": "1000", "SEARCH_MAX_WAIT_SECONDS": "1"}
CHECKS: Final = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
DOCUMENT: Final = json.loads((Path(settings.BASE_DIR) / "docs" / "openapi.json").read_text())
OPERATIONS: Final = sorted(
    (f"{method.upper()} {path}" for path, methods in DOCUMENT["paths"].items() for method in methods), key=turn_of
)
#: Whoever has the token of an invitation may see to which gallery it is.
TOLD_BY_TOKEN: Final = frozenset({"POST /api/v1/invitations/show"})
#: What these need is there for a moment only, or never: a running job, a failed photo, a generation that was built.
SELDOM: Final = frozenset(
    {
        "POST /api/v1/jobs/{job_id}/cancel",
        "POST /api/v1/photos/{photo_id}/retry",
        "POST /api/v1/generations/rollback",
        "POST /api/v1/generations/{number}/activate",
    }
)


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with RunningService(tmp_path_factory.mktemp("fuzzed"), processes=PROCESSES, environment=WIDE) as running:
        yield running


@pytest.fixture(scope="module")
def world(fuzzed: RunningService) -> World:
    return World(fuzzed)


@pytest.fixture(scope="module")
def schema(fuzzed: RunningService) -> BaseSchema:
    return load(DOCUMENT, fuzzed.url)


@pytest.fixture(scope="module")
def statuses() -> dict[str, set[int]]:
    """What each operation has answered so far."""
    return defaultdict(set)


def test_a_canary_of_somebody_else_is_noticed(world: World) -> None:
    """The check itself: ada's session sees what is hers, a stranger's key must not. Before requests move things."""
    by_label = {asker.label: asker for asker in world.askers}
    everything: Any = requests.Response()
    everything.status_code, everything._content = 200, " ".join(world.canaries).encode()
    secret = {value for value, gallery in world.canaries.items() if gallery == "secret"}
    assert secret <= world.leaked_to(by_label["stranger with scope read"], everything)
    assert not secret & world.leaked_to(by_label["owner's session"], everything)


@pytest.mark.parametrize("label", OPERATIONS)
def test_the_answers_are_those_of_the_schema_and_tell_nothing_of_others(
    label: str, schema: BaseSchema, world: World, statuses: dict[str, set[int]]
) -> None:
    method, path = label.split()
    operation = schema[path][method]
    scopes = {scope for entry in operation.definition.raw["security"] for scopes in entry.values() for scope in scopes}
    able = [asker for asker in world.askers if asker.scopes & scopes]
    others = [asker for asker in world.askers if not asker.scopes & scopes]

    @hypothesis_settings(
        max_examples=EXAMPLES,
        phases=[Phase.generate],  # what a request has changed stays changed: shrinking would mislead
        derandomize="FUZZ_API_EXAMPLES" not in os.environ,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases(operation, world), unable=st.lists(st.sampled_from(others), max_size=2, unique_by=id))
    def ask(case: Case, unable: list[Asker]) -> None:
        for asker in [*unable, *able]:
            statuses[label].add(check(label, case, asker, world))

    ask()


def check(label: str, case: Case, asker: Asker, world: World) -> int:
    """Send the request as this asker; return the status of the answer."""
    answer = case.call(headers=dict(asker.headers), session=requests.Session())
    shown = f"{case.as_curl_command()}\nas {asker.label}: {answer.status_code} {answer.content[:500]!r}"
    if label not in TOLD_BY_TOKEN:
        sent = f"{case.path_parameters} {case.query} {case.body}"
        told = {canary for canary in world.leaked_to(asker, answer) if canary not in sent}
        assert told == set(), shown
    try:
        case.validate_response(answer, checks=CHECKS)
    except BaseException as failure:
        failure.add_note(f"as {asker.label}")
        raise
    if answer.status_code < 300 and answer.content.startswith(b"{"):
        world.learn(label.split()[1], json.loads(answer.content))
    return int(answer.status_code)


def test_five_in_six_operations_have_succeeded_for_somebody(statuses: dict[str, set[int]]) -> None:
    """Or else the requests were not about things that exist. All of them would be luck."""
    if set(statuses) != set(OPERATIONS):
        pytest.skip("needs the answers of all the tests above")
    never = [label for label, seen in statuses.items() if min(seen) >= 300 and label not in SELDOM]
    assert len(never) <= len(OPERATIONS) / 6, "\n".join(f"{label}: {sorted(statuses[label])}" for label in never)


def test_no_process_has_logged_a_traceback(fuzzed: RunningService) -> None:
    for process in PROCESSES:
        assert "Traceback" not in fuzzed.log(process), process
