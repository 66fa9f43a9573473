"""A photo that kills each worker that opens it is given up after three of them, and takes no other photo with it."""

import random
import time
from pathlib import Path

import pytest
from django.conf import settings

from tests.faults.conftest import ENVIRONMENT, Supervisor, supervised
from tests.faults.invariants import photo_states, wait_until_whole
from tests.faults.poison.sitecustomize import poison
from tests.faults.traffic import portraits
from tests.service import RunningService
from tests.waiting import eventually
from tests.web_client import WebClient

pytestmark = pytest.mark.services

MAX_ATTEMPTS = 3
MOST_NEIGHBOURS = 15
#: The worker is at one stage or another with its other photos when it dies.
LONGEST_DELAY_MS = 400


@pytest.mark.parametrize(
    "seeds",
    [
        pytest.param(range(1), id="short", marks=pytest.mark.timeout(600)),
        pytest.param(range(30), id="long", marks=[pytest.mark.faults, pytest.mark.timeout(7200)]),
    ],
)
def test_no_neighbour_is_lost(tmp_path: Path, seeds: range):
    environment = {
        "PYTHONPATH": f"{Path(__file__).parent / 'poison'}:{settings.BASE_DIR}",
        "INDEX_MAX_ATTEMPTS": str(MAX_ATTEMPTS),
    }
    with supervised(tmp_path, environment=environment) as (service, supervisor):
        alice = WebClient(service.url)
        for seed in seeds:
            one_poison_photo(service, supervisor, alice, seed)

        # Its messages were never acknowledged, so Redis delivers them again: they must not kill again.
        wait_until_whole(service)
        deaths = supervisor.restarts.count("worker-index")
        time.sleep(float(ENVIRONMENT["VISIBILITY_TIMEOUT_SECONDS"]) + 5)
        assert supervisor.restarts.count("worker-index") == deaths
        alice.close()


def one_poison_photo(service: RunningService, supervisor: Supervisor, alice: WebClient, seed: int) -> None:
    """Upload a poison photo somewhere among others; only it may fail."""
    chance = random.Random(seed)
    before = supervisor.restarts.count("worker-index")
    gallery = alice.create_gallery(f"poison {seed}")
    files = list(portraits(chance.randint(1, MOST_NEIGHBOURS), of=f"neighbour-{seed}").items())
    place, delay_ms = chance.randint(0, len(files)), chance.randint(0, LONGEST_DELAY_MS)
    files.insert(place, ("poison.jpg", files[0][1] + poison(delay_ms=delay_ms)))
    alice.upload(gallery, dict(files))
    seconds = eventually(
        lambda: "pending" not in photo_states(service).values(),
        "all are final",
        progress=lambda: (service.progress(), len(supervisor.restarts)),
    )
    photos = alice.photos(gallery)
    found = photos.pop("poison.jpg")
    deaths = supervisor.restarts.count("worker-index") - before
    print(
        f"seed {seed}: place {place} of {len(files)}, after {delay_ms} ms: {deaths} workers died in {seconds:.0f} s; "
        f"neighbours: {sorted({photo['state'] for photo in photos.values()})}"
    )
    assert {photo["state"] for photo in photos.values()} == {"indexed"}, photos
    assert (found["state"], found["code"]) == ("failed", "kills_workers")
    assert deaths <= MAX_ATTEMPTS
