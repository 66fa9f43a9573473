"""A thousand users search at once while an import runs: what answers they get, and what it does to everyone else.

`python -m benchmarks.load [--users N] [--seconds S] [--photos N] [--beside CHECKOUT] [--json]`, `make load`. Starts the
whole service on free ports in a temporary folder and stops it. Everything runs on the loopback; it ends after the given
time, once the import has finished. Each user has an account of their own. They run in locust at a lower priority than
the service, as if on machines of their own. Visitors, who open pages that need no search, are measured from a third
process. `--beside` runs the same load on the service of another checkout first and shows both in one table. Exits with
1 if a rule in load_report.py is broken.
"""

import argparse
import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx

from benchmarks.environment import use_folder
from benchmarks.load_people import make_people
from benchmarks.load_processor import OtherPrograms
from benchmarks.load_report import Import, Phase, Run, as_json, broken_rules, figures, kind_of_answer, table
from benchmarks.load_work import ImportInBackground, Removals

IDLE_SECONDS = 10.0
#: The other phases are this part of the load's duration, but long enough for a stable rate.
SHORT_PHASE_SHARE, SHORT_PHASE_SECONDS = 1 / 6, 10.0
#: What two heavy users get at first is not counted: the first to come takes half of the room, until it has answers.
WARM_UP_SECONDS = 5.0
#: Users that arrive per second.
SPAWN_RATE = 100
#: Searches at a time that two heavy users keep going together, and one who floods.
HEAVY_SEARCHES, FLOOD_SEARCHES = 120, 60
#: More than two cores can index besides the searches, so that the import outlasts them.
PHOTOS_PER_SECOND = 16
#: Photos to delete: more than the load has time for.
DELETED = 30
#: Niceness of the load generator.
NICE = "5"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=1000, help="users who search (default 1000)")
    parser.add_argument("--seconds", type=float, default=120.0, help="duration of the load (default 120)")
    parser.add_argument("--photos", type=int, help=f"photos to import (default {PHOTOS_PER_SECOND} per second)")
    parser.add_argument("--beside", type=Path, help="another checkout whose service gets the same load first")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the service is stopped too
    short = max(SHORT_PHASE_SECONDS, options.seconds * SHORT_PHASE_SHARE)
    photos = options.photos or int((options.seconds + short) * PHOTOS_PER_SECOND)
    columns = {}
    if options.beside:
        columns["before"] = _of_checkout(options.beside.absolute(), options.users, options.seconds, photos)
    with tempfile.TemporaryDirectory(prefix="facequeue-load-") as folder:
        run = _measure(Path(folder), options.users, options.seconds, short, photos)
    broken = broken_rules(run)
    columns["now"] = figures(run)
    print(as_json(run, broken) if options.json else "\n".join([table(columns), "", *broken]))
    sys.exit(1 if broken else 0)


def _of_checkout(checkout: Path, users: int, seconds: float, photos: int) -> dict[str, str]:
    """Run this benchmark on the service of another checkout, in a process of its own; return the figures."""
    with tempfile.TemporaryDirectory(prefix="facequeue-beside-") as folder:
        # This benchmark, and everything else from there.
        (Path(folder) / "benchmarks").symlink_to(Path(__file__).resolve().parent)
        command = [sys.executable, "-m", "benchmarks.load", "--json"]
        command += ["--users", str(users), "--seconds", str(seconds), "--photos", str(photos)]
        done = subprocess.run(
            command,
            cwd=checkout,
            # Otherwise Python would look for modules in the checkout first.
            env=os.environ | {"PYTHONPATH": f"{folder}{os.pathsep}{checkout}", "PYTHONSAFEPATH": "1"},
            stdout=subprocess.PIPE,
            text=True,
            check=False,  # it breaks rules that are newer than it
        )
    if not done.stdout:
        raise RuntimeError(f"The load on {checkout} failed.")
    found: dict[str, str] = json.loads(done.stdout)["figures"]
    return found


def _measure(folder: Path, users: int, seconds: float, short: float, photos: int) -> Run:
    use_folder(folder)
    logging.getLogger("httpx").setLevel(logging.WARNING)

    from django.conf import settings

    from tests.service import EVERYTHING, RunningService
    from tests.web_client import WebClient

    # Searches have the deadline of a real service, not that of a test.
    environment = {"SEARCH_TIMEOUT_SECONDS": "30", "SEARCH_MAX_WAIT_SECONDS": "30"}
    with RunningService(folder, processes=EVERYTHING, ports=settings.PORTS, environment=environment) as service:
        service.create_user()
        service.wait_until_healthy()
        alice = WebClient(service.url)
        try:
            plan, deleted = _prepare(folder, service, alice, users)
            slots = int(service.environment["SEARCH_CONCURRENCY"])
            idle = _idle(plan)
            importing = ImportInBackground(folder, service, photos)
            others = OtherPrograms(service, EVERYTHING)
            capacity = _phase(plan, "slots", users=slots, seconds=short)
            beside_capacity, others = others.share(), OtherPrograms(service, EVERYTHING)
            with Removals(service, alice, deleted) as removals:
                load = _phase(plan, "crowd", users=users, seconds=seconds)
            beside_load = others.share()
            outlasted = importing.left > 0
            heavy = _phase(plan, "heavy", users=HEAVY_SEARCHES, seconds=short, warm_up_seconds=WARM_UP_SECONDS)
            flood = _phase(plan, "flood", users=FLOOD_SEARCHES + 1, seconds=short)
            problems = importing.wait()
        finally:
            alice.close()
        states = importing.states()
    imported = Import(
        photos=photos,
        final=Counter(states),
        seconds=importing.seconds,
        outlasted_the_load=outlasted,
        problems=problems,
    )
    return Run(
        idle=idle,
        capacity=capacity,
        load=load,
        heavy=heavy,
        flood=flood,
        imported=imported,
        removal_seconds=removals.seconds,
        other_programs=(beside_capacity, beside_load),
    )


def _prepare(folder: Path, service: Any, alice: Any, users: int) -> tuple[Path, list[str]]:
    """Index the samples and write what users and visitors need to a file; return it, and photos to delete."""
    from tests import pictures
    from tests.faults.traffic import portraits

    gallery = alice.create_gallery("people")
    alice.upload(gallery, pictures.sample_files())
    to_delete = portraits(DELETED, of="deleted")
    alice.upload(gallery, to_delete)
    service.wait_until(lambda: alice.progress(gallery)["pending"] == 0, "the samples are indexed")
    queries = {"astronaut.png": pictures.edited_portrait(), "Tom_Hanks_54745.png": pictures.sample_bytes("tom_hanks")}
    for name, picture in queries.items():
        (folder / f"query-{name}").write_bytes(picture)
    people = make_people(users, photos_of=gallery, filenames=list(queries), milvus_uri=service.milvus_uri)
    plan = folder / "plan.json"
    plan.write_text(
        json.dumps(
            {
                "url": service.url,
                "queries": {name: str(folder / f"query-{name}") for name in queries},
                "people": people,
                "cookie": "; ".join(f"{name}={value}" for name, value in alice.http.cookies.items()),
                "pages": ["/", f"/galleries/{gallery}/", "/health/live"],
            }
        )
    )
    return plan, [photo["id"] for name, photo in alice.photos(gallery).items() if name in to_delete]


def _idle(plan: Path) -> Phase:
    """Search sequentially while visitors open pages."""
    content = json.loads(plan.read_text())
    queries = [(name, Path(file).read_bytes()) for name, file in content["queries"].items()]
    person = content["people"][0]
    headers = {"Cookie": person["cookie"], "X-CSRFToken": person["csrf_token"]}
    visitors = _visitors(plan, IDLE_SECONDS)
    answers: list[dict[str, Any]] = []
    end = time.monotonic() + IDLE_SECONDS
    with httpx.Client(base_url=content["url"], headers=headers, timeout=150) as client:
        while time.monotonic() < end:
            name, picture = queries[len(answers) % len(queries)]
            files = {"image": ("query.jpg", picture + str(time.time()).encode())}
            begun = time.perf_counter()
            answer = client.post(f"/api/v1/galleries/{person['gallery']}/searches?wait=30", files=files)
            seconds = time.perf_counter() - begun
            kind = kind_of_answer(answer.status_code, answer.headers, answer.json(), expected=name)
            answers.append({"who": "", "kind": kind, "seconds": seconds})
    return Phase.of(answers, _pages(visitors), seconds=IDLE_SECONDS)


def _phase(plan: Path, kind: str, *, users: int, seconds: float, warm_up_seconds: float = 0.0) -> Phase:
    """Let the users search at once while visitors open pages; load_users.py says what `kind` they are.

    Searches that are sent while the users warm up are not counted.
    """
    answers_file = plan.with_name("answers.jsonl")
    command = [sys.executable, "-m", "locust", "--headless", "--only-summary", "--loglevel", "WARNING"]
    command += ["--locustfile", str(Path(__file__).with_name("load_users.py")), "--exit-code-on-error", "0"]
    command += [
        "--users",
        str(users),
        "--spawn-rate",
        str(SPAWN_RATE),
        "--run-time",
        f"{warm_up_seconds + seconds:.0f}s",
    ]
    command += ["--host", json.loads(plan.read_text())["url"]]
    visitors, begun = _visitors(plan, warm_up_seconds + seconds), time.time()
    with plan.with_name("locust.log").open("ab") as log:
        subprocess.run(
            ["nice", "-n", NICE, *command],
            check=True,
            cwd=Path(__file__).parent.parent,  # where locust looks for modules first
            env=os.environ | {"LOAD_PLAN": str(plan), "LOAD_FILE": str(answers_file), "LOAD_KIND": kind},
            stdout=log,
            stderr=log,
            timeout=warm_up_seconds + seconds + 120,
        )
    noted = [json.loads(line) for line in answers_file.read_text().splitlines()]
    answers = [each for each in noted if each["at"] >= begun + warm_up_seconds]
    return Phase.of(answers, _pages(visitors), seconds=seconds)


def _visitors(plan: Path, seconds: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "benchmarks.load_pages", str(plan), str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def _pages(visitors: subprocess.Popen[str]) -> list[dict[str, Any]]:
    output, _ = visitors.communicate()
    if visitors.returncode:
        raise RuntimeError("The visitors exited early.")
    return [json.loads(line) for line in output.splitlines()]


if __name__ == "__main__":
    main()
