"""A photo that kills its worker every time is given up in the end, alone, and kills nobody afterwards."""

import time
from pathlib import Path

import pytest
from django.conf import settings

from tests.faults.conftest import ENVIRONMENT, supervised
from tests.faults.invariants import photo_states, wait_until_whole
from tests.faults.poison.sitecustomize import POISON
from tests.faults.traffic import portraits
from tests.waiting import HANG_SECONDS, eventually
from tests.web_client import WebClient

pytestmark = [pytest.mark.services, pytest.mark.faults, pytest.mark.timeout(HANG_SECONDS)]

NEIGHBOURS = 15
MAX_ATTEMPTS = 7


def test_it_fails_alone(tmp_path: Path):
    environment = {
        "PYTHONPATH": f"{Path(__file__).parent / 'poison'}:{settings.BASE_DIR}",
        "INDEX_MAX_ATTEMPTS": str(MAX_ATTEMPTS),
    }
    with supervised(tmp_path, environment=environment) as (service, supervisor):
        alice = WebClient(service.url)
        gallery = alice.create_gallery("poison")
        files = portraits(NEIGHBOURS, of="neighbour")
        alice.upload(gallery, {"poison.jpg": files["neighbour-000.jpg"] + POISON} | files)
        seconds = eventually(
            lambda: "pending" not in photo_states(service).values(), "all are final", progress=service.progress
        )
        photos = alice.photos(gallery)
        poison = photos.pop("poison.jpg")
        assert (poison["state"], poison["code"]) == ("failed", "gave_up")
        assert {photo["state"] for photo in photos.values()} == {"indexed"}, photos

        # Its messages were never acknowledged, so Redis delivers them again: they must not kill again.
        wait_until_whole(service)
        deaths = supervisor.restarts.count("worker-index")
        print(f"poison: given up after {seconds:.0f} s; it killed {deaths} workers in {MAX_ATTEMPTS} attempts")
        assert deaths <= MAX_ATTEMPTS
        time.sleep(float(ENVIRONMENT["VISIBILITY_TIMEOUT_SECONDS"]) + 5)
        assert supervisor.restarts.count("worker-index") == deaths
        alice.close()
