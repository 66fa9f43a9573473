"""`manage.py up` remembers its port and data directory, so that commands in another terminal find them.

A note in the checkout says which `up` runs here. It counts as long as that process lives, and unless the environment
says otherwise: a variable with another value means another service. Only manage.py reads the note, before it reads the
settings; the processes of a service get their environment from whatever starts them.
"""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import psutil

CHECKOUT: Final = Path(__file__).resolve().parent.parent.parent
#: A process's time of start is derived from the wall clock, which may be set meanwhile.
CLOCK_SHIFT_SECONDS: Final = 1.0
#: Names another file for the note. The test suite sets it, to keep out of the way of a service in the same checkout.
NOTE_VARIABLE: Final = "FACEQUEUE_RUNNING_FILE"


def remembered_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return PORT and FACEQUEUE_DATA_DIR of the `up` that runs from this checkout.

    Empty when none runs, or when `environment` points to another service.
    """
    note = _living_note(_note_path(environment))
    if note is None:
        return {}
    port, data_dir = note["port"], Path(note["data_dir"])
    # A variable that is empty is not set.
    if (environment.get("PORT") or port) != port:
        return {}
    if Path(environment.get("FACEQUEUE_DATA_DIR") or data_dir).resolve() != data_dir:
        return {}
    return {"PORT": port, "FACEQUEUE_DATA_DIR": str(data_dir)}


@contextmanager
def remember(*, port: int, data_dir: Path) -> Iterator[bool]:
    """Remember this process as the running `up` until the block ends.

    Yields False, and remembers nothing, when another `up` runs from this checkout.
    """
    path = _note_path(os.environ)
    if _living_note(path) is not None:
        yield False
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    this = psutil.Process()
    note = {"pid": this.pid, "started": this.create_time(), "port": str(port), "data_dir": str(data_dir)}
    draft.write_text(json.dumps(note))
    draft.replace(path)
    try:
        yield True
    finally:
        path.unlink(missing_ok=True)


def _note_path(environment: Mapping[str, str]) -> Path:
    return Path(environment.get(NOTE_VARIABLE) or CHECKOUT / "var" / "running.json")


def _living_note(path: Path) -> dict[str, Any] | None:
    """Return the note unless its process has ended. A process id is used again, so its time of start counts too."""
    try:
        note: dict[str, Any] = json.loads(path.read_text())
        started = psutil.Process(note["pid"]).create_time()
    except (OSError, ValueError, psutil.Error):
        return None
    return note if abs(started - note["started"]) <= CLOCK_SHIFT_SECONDS else None
