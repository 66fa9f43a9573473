"""The whole of `manage.py up`, whose processes are killed, ended and frozen at random during an import."""

import os
import random
import re
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.faults.conftest import ENVIRONMENT
from tests.faults.invariants import database, wait_until_whole
from tests.faults.traffic import Traffic, wait_until_searchable
from tests.service import EVERYTHING, RunningService
from tests.waiting import PATIENCE_SECONDS, eventually
from webapp.jobs.services import OPEN_SECONDS
from webapp.operations.supervisor import FIRST_START_SECONDS

pytestmark = [pytest.mark.services, pytest.mark.timeout(3000)]

#: Another seed is another run; CHAOS_SEED repeats one.
SEED = int(os.environ.get("CHAOS_SEED", "") or random.randrange(1_000_000))
PROCESSES = (*EVERYTHING, "flower")


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    photos: int
    seconds: float
    #: Longest pause after a fault, and longest time that a process is frozen.
    pause_seconds: float
    frozen_seconds: float


SHORT = Extent(photos=90, seconds=30, pause_seconds=5, frozen_seconds=4)
FULL = Extent(photos=2000, seconds=300, pause_seconds=8, frozen_seconds=12)


class UpService(RunningService):
    """`manage.py up`: what it runs is known from what it says."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, processes=["up"], environment=ENVIRONMENT)
        self._commands["up"] = "exec python manage.py up"

    def pid(self, name: str) -> int:
        """The process that `name` is now, or was last."""
        return int(re.findall(rf"\b{name} started \(pid=(\d+)\)", self.log("up"))[-1])

    def restarts(self) -> Counter[str]:
        return Counter(re.findall(r"(\S+)\s*\| ended \(rc=-?\d+\), starts again", self.log("up")))


@contextmanager
def up(folder: Path) -> Iterator[UpService]:
    with UpService(folder) as service:
        family = psutil.Process(service.process("up").pid).children
        try:
            service.wait_until(service.answers, "the web process answers")
            service.create_user()
            service.wait_until_healthy()
            time.sleep(FIRST_START_SECONDS)  # whoever ends sooner stops all: it cannot have worked yet
            yield service
        finally:
            started = family(recursive=True)
            service.stop("up")
            left = [each for each in started if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]
            for each in left:
                each.kill()
            assert not left, f"left running: {left}"


def break_something(service: UpService, extent: Extent, chance: random.Random) -> str:
    """Break one process; return what was done."""
    name, fault = chance.choice(PROCESSES), chance.choice(("kill", "end", "freeze"))
    pid = service.pid(name)
    try:
        if fault == "freeze":
            os.killpg(pid, signal.SIGSTOP)
            time.sleep(chance.uniform(1, extent.frozen_seconds))
            os.killpg(pid, signal.SIGCONT)
        else:
            os.kill(pid, signal.SIGKILL if fault == "kill" else signal.SIGTERM)
    except ProcessLookupError:
        return "nothing"  # it has ended already and is not back yet
    return f"{fault} {name}"


def unfinished_jobs(service: RunningService) -> int:
    with database(service) as connection:
        [(count,)] = connection.execute("SELECT COUNT(*) FROM jobs_job WHERE state = 'running'")
    return int(count)


@pytest.mark.parametrize(
    "extent", [pytest.param(SHORT, id="short"), pytest.param(FULL, id="full", marks=pytest.mark.faults)]
)
def test_an_import_survives_the_end_of_every_process_at_any_time(tmp_path: Path, extent: Extent):
    print(f"CHAOS_SEED={SEED}")
    chance = random.Random(SEED)
    done: Counter[str] = Counter()
    with up(tmp_path) as service:
        with Traffic(service, "chaos", photos=extent.photos, web_may_break=True) as traffic:
            traffic.wait_for_the_import()
            over = time.monotonic() + extent.seconds
            while time.monotonic() < over:
                done[break_something(service, extent, chance)] += 1
                time.sleep(chance.uniform(0.5, extent.pause_seconds))
            healed = time.monotonic()
            traffic.wait_for_every_photo()
        wait_until_whole(service)
        recovery_seconds = time.monotonic() - healed
        print(f"faults {dict(done)}; restarts {dict(service.restarts())}")
        traffic.check(f"chaos with seed {SEED}, {extent.photos} photos", recovery_seconds)
        wait_until_searchable(service, traffic.gallery)
        if extent is FULL:  # a web process that was killed during an upload leaves a job open for as long
            eventually(
                lambda: not unfinished_jobs(service),
                "every job is finished",
                progress=service.progress,
                patience_seconds=OPEN_SECONDS + PATIENCE_SECONDS,
            )
