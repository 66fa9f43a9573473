"""Each kind of process is killed, frozen and stopped in the middle of an import and of searches."""

import os
import signal
import time

import pytest

from tests.faults.invariants import wait_until_whole
from tests.faults.traffic import Traffic, wait_until_searchable
from tests.service import EVERYTHING, RunningService
from tests.waiting import HANG_SECONDS

pytestmark = [pytest.mark.services, pytest.mark.timeout(HANG_SECONDS)]

FROZEN_SECONDS = 8.0
#: What `make test` runs; `make faults` runs all.
SHORT = {("worker-index", "kill"), ("redis", "kill")}


def kill(pid: int) -> None:
    os.killpg(pid, signal.SIGKILL)


def freeze(pid: int) -> None:
    os.killpg(pid, signal.SIGSTOP)
    time.sleep(FROZEN_SECONDS)
    os.killpg(pid, signal.SIGCONT)


def end(pid: int) -> None:
    os.kill(pid, signal.SIGTERM)


FAULTS = {"kill": kill, "freeze": freeze, "end": end}
CASES = [
    pytest.param(name, fault, marks=[] if (name, fault) in SHORT else pytest.mark.faults, id=f"{fault} {name}")
    for fault in FAULTS
    for name in EVERYTHING
]


@pytest.mark.parametrize(("name", "fault"), CASES)
def test_nothing_is_lost_and_everything_goes_on_alone(service: RunningService, name: str, fault: str):
    with Traffic(service, f"{fault} {name}", web_may_break=name == "web") as traffic:
        traffic.wait_for_the_import()
        FAULTS[fault](service.process(name).pid)
        healed = time.monotonic()
        traffic.wait_for_every_photo()
    wait_until_whole(service)
    traffic.check(f"{fault} {name}", time.monotonic() - healed)
    wait_until_searchable(service, traffic.gallery)
