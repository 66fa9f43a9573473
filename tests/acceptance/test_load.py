"""A short run of `make load`: it starts, ends by itself, and keeps its rules where the clock decides nothing."""

import json
import subprocess
import sys

import pytest

from tests.waiting import HANG_SECONDS


@pytest.mark.long
@pytest.mark.acceptance
@pytest.mark.timeout(HANG_SECONDS)
def test_many_users_are_answered_or_told_when_to_come_again_while_an_import_runs() -> None:
    finished = subprocess.run(
        [sys.executable, "-m", "benchmarks.load", "--users", "150", "--seconds", "20", "--photos", "400", "--json"],
        check=False,
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
    )
    assert finished.stdout, finished.stderr[-3000:]
    found = json.loads(finished.stdout)

    # How quick a page is belongs to the machine, which may be busy here.
    assert [sentence for sentence in found["broken"] if "p99" not in sentence] == []
    _, load = found["phases"]
    assert set(load["answers"]) <= {"answered", "refused", "goes on"}
    assert min(load["answers"]["answered"], load["answers"]["refused"], load["pages"]) > 10
    assert found["import"]["final"] == {"indexed": 400}
