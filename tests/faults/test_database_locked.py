"""Somebody locks the database while outcomes arrive: they wait, and are written once."""

import time

import pytest

from tests.faults.invariants import database, wait_until_whole
from tests.faults.traffic import portraits
from tests.service import RunningService
from tests.waiting import HANG_SECONDS
from tests.web_client import WebClient

pytestmark = [pytest.mark.services, pytest.mark.faults, pytest.mark.timeout(HANG_SECONDS)]

PHOTOS = 40


@pytest.mark.parametrize(
    "locked_seconds", [pytest.param(10.0, id="shorter than a writer waits"), pytest.param(25.0, id="longer")]
)
def test_every_outcome_is_written_once_the_lock_is_gone(service: RunningService, locked_seconds: float):
    alice = WebClient(service.url)
    gallery = alice.create_gallery(f"locked {locked_seconds:g}")
    alice.upload(gallery, portraits(PHOTOS, of=f"locked {locked_seconds:g}"))
    with database(service) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        assert alice.progress(gallery)["pending"] > 0, "the import was over before the lock"
        assert alice.http.get("/").status_code == 200, "who only reads is not kept waiting"
        time.sleep(locked_seconds)
        connection.rollback()
    healed = time.monotonic()
    wait_until_whole(service)
    print(f"database locked for {locked_seconds:g} s: whole again after {time.monotonic() - healed:.1f} s")
    assert alice.progress(gallery)["indexed"] == PHOTOS
    alice.close()
