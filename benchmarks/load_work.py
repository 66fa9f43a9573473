"""What else happens while the users of the load benchmark search: an import, and photos that are deleted."""

import math
import threading
import time
from pathlib import Path
from typing import Any

from benchmarks.load_report import REMOVAL_BOUND_SECONDS

#: For the photos that are left when the load ends.
PATIENCE_SECONDS = 900.0
#: Between two deletions, and for the last one to be done.
REMOVAL_PAUSE_SECONDS = 5.0
REMOVAL_PATIENCE_SECONDS = 6 * REMOVAL_BOUND_SECONDS


class ImportInBackground:
    """`manage.py import_photos` of generated portraits, by the gallery owner of the visitors."""

    def __init__(self, folder: Path, service: Any, photos: int) -> None:
        from tests.faults.traffic import portraits
        from tests.web_client import USERNAME

        self._service, self.photos = service, photos
        pictures = folder / "import"
        pictures.mkdir()
        for name, content in portraits(photos, of="import").items():
            (pictures / name).write_bytes(content)
        command = ["import_photos", str(pictures), "--gallery", "import", "--create", "--owner", USERNAME]
        self._before = set(self._all())
        self._thread = threading.Thread(target=service.manage, args=command)
        self._started = time.monotonic()
        self._thread.start()
        self.seconds = 0.0

    def states(self) -> list[str]:
        """Return the state of each photo that was added."""
        return [state for photo, state in self._all().items() if photo not in self._before]

    @property
    def left(self) -> int:
        from tests.faults.invariants import FINAL

        return self.photos - sum(state in FINAL for state in self.states())

    def wait(self) -> list[str]:
        """Wait for the rest; return the problems that remain once everything has settled."""
        from tests.faults.invariants import unsettled

        self._thread.join()
        deadline = time.monotonic() + PATIENCE_SECONDS
        if not self.states():
            raise RuntimeError("The import added no photos.")
        while self.left and time.monotonic() < deadline:
            time.sleep(0.5)
        self.seconds = time.monotonic() - self._started
        while (problems := unsettled(self._service)) and time.monotonic() < deadline:
            time.sleep(0.5)
        return problems

    def _all(self) -> dict[str, str]:
        from tests.faults.invariants import photo_states

        return photo_states(self._service)


class Removals:
    """Deletes one photo after another, and notes how long each takes to be gone. Use as a context manager."""

    def __init__(self, service: Any, client: Any, photo_ids: list[str]) -> None:
        self._service, self._client, self._left = service, client, photo_ids
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.seconds: list[float] = []

    def __enter__(self) -> "Removals":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while self._left and not self._stopping.wait(REMOVAL_PAUSE_SECONDS):
            self.seconds.append(self._remove(self._left.pop()))

    def _remove(self, photo_id: str) -> float:
        """Return after how many seconds the photo was gone, counted from the request's start."""
        from tests.faults.invariants import photo_states

        began = time.monotonic()
        self._client.delete_photo(photo_id)
        while photo_id.replace("-", "") in photo_states(self._service):
            if time.monotonic() - began > REMOVAL_PATIENCE_SECONDS:
                return math.inf
            time.sleep(0.1)
        return time.monotonic() - began
