"""Three minutes of `tests.soak`; half an hour is a matter of `python -m tests.soak`."""

import json
import os
import subprocess
import sys

import pytest

from tests.waiting import HANG_SECONDS

MOST_GROWTH = 0.05


@pytest.mark.long
@pytest.mark.timeout(HANG_SECONDS)
def test_memory_does_not_grow_under_full_load_of_good_and_bad_pictures() -> None:
    finished = subprocess.run(
        [sys.executable, "-m", "tests.soak", "--minutes", "3"],
        check=True,
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
        env=os.environ | {"MALLOC_ARENA_MAX": "2"},  # as `manage.py up` and the image start every process
    )
    figures = json.loads(finished.stdout.splitlines()[-1])

    print(figures)
    assert figures["growth"] < MOST_GROWTH, figures
    assert min(figures["indexed"], figures["searched"], figures["refused"]) > 50
