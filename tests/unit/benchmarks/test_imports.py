"""Every benchmark can be imported: the type checker and the other tests look at few of them."""

import subprocess
import sys
from pathlib import Path

import benchmarks

#: Read their environment at once: another benchmark runs them.
WITHIN_OTHERS = {"bare_celery", "load_users"}


def test_every_benchmark_can_be_imported() -> None:
    [folder] = map(Path, benchmarks.__path__)
    files = {file.relative_to(folder.parent).with_suffix("") for file in folder.rglob("*.py")}
    modules = sorted(".".join(file.parts) for file in files if file.name not in WITHIN_OTHERS)
    assert "benchmarks.engine" in modules

    # In a process of their own, which their libraries may change as they like.
    done = subprocess.run(
        [sys.executable, "-c", f"import importlib\nfor name in {modules}: importlib.import_module(name)"],
        cwd=folder.parent,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
