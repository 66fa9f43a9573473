"""docs/api.md: each example does what the page says, against the real service."""

import os
import shutil
import sys
from pathlib import Path

import pytest
from django.conf import settings

from tests import pictures
from tests.documented import differences, run, steps_of
from tests.service import RunningService
from tests.web_client import USERNAME

pytestmark = pytest.mark.acceptance

PAGE = Path(settings.BASE_DIR) / "docs" / "api.md"


def examples_folder(folder: Path) -> Path:
    """Put the files there that the page speaks of, and the checkout's own program."""
    jpeg = pictures.pillow_bytes
    (folder / "ada.jpg").write_bytes(jpeg(pictures.Pillow.open(pictures.sample_file("astronaut")), "JPEG"))
    (folder / "ada-again.jpg").write_bytes(pictures.edited_portrait())
    (folder / "group.jpg").write_bytes(pictures.sample_bytes("six_people"))
    (folder / "rocket.jpg").write_bytes(pictures.sample_bytes("rocket"))
    (folder / ".curlrc").write_text("silent\nshow-error\nmax-time = 150\n")
    (folder / "manage.py").symlink_to(settings.BASE_DIR / "manage.py")
    (folder / ".venv").symlink_to(sys.prefix)
    return folder


def require_programs() -> None:
    """Skip the test where the page's programs are missing; in CI, fail it."""
    missing = [program for program in ("curl", "jq") if shutil.which(program) is None]
    assert not (missing and os.environ.get("CI")), f"CI must have {missing}"
    if missing:
        pytest.skip(f"needs {missing}")


def test_every_example_does_what_the_page_says(service: RunningService, tmp_path: Path) -> None:
    require_programs()
    page = PAGE.read_text().replace("http://127.0.0.1:8000", service.url).replace("alice", USERNAME)
    steps = steps_of(page)
    folder = examples_folder(tmp_path)
    environment = os.environ | service.environment | {"CURL_HOME": str(folder)}
    printed, failure = run(steps, folder=folder, environment=environment)
    compared = [(step.line, differences(step, output)) for step, output in zip(steps, printed, strict=False)]
    wrong = {line: found for line, found in compared if found}
    assert (wrong, failure) == ({}, ""), "by line of docs/api.md"
