"""The import contracts hold, and each of them fails on a planted breach."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

PACKAGES = ("webapp", "tasks", "worker")

#: By contract: a line that breaks it, and the file it is planted in.
BREACHES = {
    "dependencies point one way": ("tasks/queues.py", "from webapp.http import problems"),
    "the domain inside webapp imports down only": (
        "webapp/gallery/selectors.py",
        "import webapp.generations.selectors",
    ),
    "nothing but config imports an edge": ("webapp/jobs/services.py", "import webapp.jobs.views"),
    "the web never loads a model, Milvus or an image library": ("webapp/search/services.py", "import onnxruntime"),
    "worker knows neither Celery nor Django": ("worker/prefetch.py", "import django"),
    "pymilvus stays behind the border": ("worker/vector_search/core.py", "import pymilvus"),
}


def checked(folder: Path) -> tuple[int, str]:
    """Run import-linter on the copy; return its exit code and what it printed."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    done = subprocess.run(command, cwd=folder, env={"PYTHONPATH": str(folder)}, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("copy")
    for package in PACKAGES:
        shutil.copytree(settings.BASE_DIR / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(settings.BASE_DIR / ".importlinter", folder)
    return folder


def test_the_contracts_hold_and_each_has_a_breach_below(copy: Path) -> None:
    status, said = checked(copy)
    assert status == 0, said
    assert f"{len(BREACHES)} kept, 0 broken" in said
    assert all(f"{name} KEPT" in said for name in BREACHES)


@pytest.mark.parametrize("name", BREACHES)
def test_a_planted_breach_is_found(copy: Path, name: str) -> None:
    file, line = BREACHES[name]
    path = copy / file
    before = path.read_text()
    path.write_text(f"{before}\n{line}\n")
    try:
        status, said = checked(copy)
    finally:
        path.write_text(before)
    assert status != 0
    assert f"{name} BROKEN" in said
