"""A thousand users search at once while an import runs: what answers they get, and what it does to everyone else.

`python -m benchmarks.load [--users N] [--seconds S] [--photos N] [--json]`, `make load`. Starts the whole service on
free ports in a temporary folder and stops it. Everything runs on the loopback; it ends after the given time, once the
import has finished. The users run in locust at a lower priority than the service, as if on machines of their own.
Visitors, who open pages that need no search, are measured from a third process. Exits with 1 if a rule in
load_report.py is broken.
"""

import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.environment import use_folder
from benchmarks.load_report import ANSWERED, Import, Phase, as_json, broken_rules, kind_of_answer, table

IDLE_SECONDS = 10.0
#: Users that arrive per second.
SPAWN_RATE = 100
#: More than two cores can index besides the searches, so that the import outlasts them.
PHOTOS_PER_SECOND = 16
#: Niceness of the load generator.
NICE = "5"
#: For the photos that are left when the load ends.
PATIENCE_SECONDS = 900.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=1000, help="users who search (default 1000)")
    parser.add_argument("--seconds", type=float, default=120.0, help="duration of the load (default 120)")
    parser.add_argument("--photos", type=int, help=f"photos to import (default {PHOTOS_PER_SECOND} per second)")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    photos = options.photos or int(options.seconds * PHOTOS_PER_SECOND)
    with tempfile.TemporaryDirectory(prefix="facequeue-load-") as folder:
        phases, imported = _measure(Path(folder), options.users, options.seconds, photos)
    broken = broken_rules(phases[-1], imported)
    print(as_json(phases, imported, broken) if options.json else "\n".join([table(phases, imported), *broken]))
    sys.exit(1 if broken else 0)


def _measure(folder: Path, users: int, seconds: float, photos: int) -> tuple[list[Phase], Import]:
    use_folder(folder)
    logging.getLogger("httpx").setLevel(logging.WARNING)

    from django.conf import settings

    from tests.service import EVERYTHING, RunningService
    from tests.web_client import WebClient

    with RunningService(folder, processes=EVERYTHING, ports=settings.PORTS) as service:
        service.create_user()
        service.wait_until_healthy()
        alice = WebClient(service.url)
        try:
            plan = _prepare(folder, service, alice)
            idle = _idle(plan, alice)
            importing = _Import(folder, service, photos)
            load = _load(folder, plan, users, seconds)
            outlasted = importing.left > 0
            problems = importing.wait()
        finally:
            alice.close()
        final = Counter(importing.states())
    imported = Import(
        photos=photos, final=final, seconds=importing.seconds, outlasted_the_load=outlasted, problems=problems
    )
    return [idle, load], imported


def _prepare(folder: Path, service: Any, alice: Any) -> Path:
    """Index the samples and write what users and visitors need to a file; return it."""
    from tests import pictures

    gallery = alice.create_gallery("people")
    alice.upload(gallery, pictures.sample_files())
    service.wait_until(lambda: alice.progress(gallery)["pending"] == 0, "the samples are indexed")
    queries = {"astronaut.png": pictures.edited_portrait(), "Tom_Hanks_54745.png": pictures.sample_bytes("tom_hanks")}
    for name, picture in queries.items():
        (folder / f"query-{name}").write_bytes(picture)
    plan = folder / "plan.json"
    plan.write_text(
        json.dumps(
            {
                "url": service.url,
                "gallery": gallery,
                "queries": {name: str(folder / f"query-{name}") for name in queries},
                "cookie": "; ".join(f"{name}={value}" for name, value in alice.http.cookies.items()),
                "csrf_token": alice.headers["X-CSRFToken"],
                "pages": ["/", f"/galleries/{gallery}/", "/health/live"],
            }
        )
    )
    return plan


def _idle(plan: Path, alice: Any) -> Phase:
    """Search sequentially while visitors open pages."""
    content = json.loads(plan.read_text())
    queries = [(name, Path(file).read_bytes()) for name, file in content["queries"].items()]
    visitors = _visitors(plan, IDLE_SECONDS)
    answers, search_ms, end = Counter[str](), list[float](), time.monotonic() + IDLE_SECONDS
    while time.monotonic() < end:
        name, picture = queries[answers.total() % len(queries)]
        begun = time.perf_counter()
        answer = alice.search(content["gallery"], picture + str(time.time()).encode())
        search_ms.append((time.perf_counter() - begun) * 1000)
        answers[kind_of_answer(answer.status_code, answer.headers, answer.json(), expected=name)] += 1
    pages = _pages(visitors)
    return Phase(
        name="one user, no import",
        seconds=IDLE_SECONDS,
        answers=answers,
        search_ms=search_ms,
        page_ms=[page["ms"] for page in pages],
        page_errors=[page["error"] for page in pages if page["error"]],
    )


def _load(folder: Path, plan: Path, users: int, seconds: float) -> Phase:
    """Let all users search at once while visitors open pages."""
    answers_file = folder / "answers.jsonl"
    command = [sys.executable, "-m", "locust", "--headless", "--only-summary", "--loglevel", "WARNING"]
    command += ["--locustfile", str(Path(__file__).with_name("load_users.py")), "--exit-code-on-error", "0"]
    command += ["--users", str(users), "--spawn-rate", str(SPAWN_RATE), "--run-time", f"{seconds:.0f}s"]
    command += ["--host", json.loads(plan.read_text())["url"]]
    visitors = _visitors(plan, seconds)
    with (folder / "locust.log").open("wb") as log:
        subprocess.run(
            ["nice", "-n", NICE, *command],
            check=True,
            env=os.environ | {"LOAD_PLAN": str(plan), "LOAD_FILE": str(answers_file)},
            stdout=log,
            stderr=log,
            timeout=seconds + 120,
        )
    answers = [json.loads(line) for line in answers_file.read_text().splitlines()]
    pages = _pages(visitors)
    return Phase(
        name=f"{users} users, import",
        seconds=seconds,
        answers=Counter(each["kind"] for each in answers),
        search_ms=[each["seconds"] * 1000 for each in answers if each["kind"] == ANSWERED],
        page_ms=[page["ms"] for page in pages],
        page_errors=[page["error"] for page in pages if page["error"]],
    )


def _visitors(plan: Path, seconds: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "benchmarks.load_pages", str(plan), str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def _pages(visitors: subprocess.Popen[str]) -> list[dict[str, Any]]:
    output, _ = visitors.communicate()
    if visitors.returncode:
        raise RuntimeError("The visitors exited early.")
    return [json.loads(line) for line in output.splitlines()]


class _Import:
    """`manage.py import_photos` of generated portraits, in the background."""

    def __init__(self, folder: Path, service: Any, photos: int) -> None:
        from tests.faults.traffic import portraits

        self._service, self._photos = service, photos
        pictures = folder / "import"
        pictures.mkdir()
        for name, content in portraits(photos, of="import").items():
            (pictures / name).write_bytes(content)
        command = ["import_photos", str(pictures), "--gallery", "import", "--create"]
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

        return self._photos - sum(state in FINAL for state in self.states())

    def wait(self) -> list[str]:
        """Wait for the rest; return the problems that remain once everything has settled."""
        from tests.faults.invariants import unsettled

        self._thread.join()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.left and time.monotonic() < deadline:
            time.sleep(0.5)
        self.seconds = time.monotonic() - self._started
        while (problems := unsettled(self._service)) and time.monotonic() < deadline:
            time.sleep(0.5)
        return problems

    def _all(self) -> dict[str, str]:
        from tests.faults.invariants import photo_states

        return photo_states(self._service)


if __name__ == "__main__":
    main()
