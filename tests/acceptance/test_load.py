"""A short run of `make load`: it starts, ends by itself, and keeps its rules where the clock decides nothing."""

import json
import subprocess
import sys

import pytest

from tests.waiting import HANG_SECONDS

#: Rules about how quick or how equal something is: they belong to the machine, which may be busy here.
TIMED = ("The p99 of pages", "All users together", "One heavy user", "A removal took")


@pytest.mark.long
@pytest.mark.acceptance
@pytest.mark.timeout(HANG_SECONDS)
def test_many_users_are_answered_or_told_when_to_come_again_while_an_import_runs() -> None:
    finished = subprocess.run(
        [sys.executable, "-m", "benchmarks.load", "--users", "150", "--seconds", "20", "--photos", "500", "--json"],
        check=False,
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
    )
    assert finished.stdout, finished.stderr[-3000:]
    found = json.loads(finished.stdout)

    assert [sentence for sentence in found["broken"] if not sentence.startswith(TIMED)] == []
    load = found["phases"]["load"]
    assert set(load["answers"]) <= {"answered", "refused", "pending"}
    assert min(load["answers"]["answered"], load["answers"]["refused"], load["pages"]) > 10
    assert found["phases"]["flood"]["by_user"]["once a second"]["answered"] > 5
    assert found["import"]["final"] == {"indexed": 500}
