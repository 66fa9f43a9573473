"""The whole service for tests: the Procfile's own command lines, each process started and stopped by itself."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any, Self

import httpx
import redis
from django.conf import settings
from pymilvus import MilvusClient

from tasks.health.reports import KEY_PREFIX, WorkerReport
from tests.ports import free_port_block
from tests.waiting import eventually
from tests.web_client import PASSWORD, USERNAME
from webapp.operations import local
from webapp.operations.ports import LocalPorts
from worker.canary import CANARY_GALLERY_ID

STOP_SECONDS = 30.0

SERVERS = ("redis", "redis-cache", "milvus")
WORKERS = ("worker-search", "worker-index", "worker-reindex", "worker-records")
EVERYTHING = (*SERVERS, "web", *WORKERS, "beat")
#: Faults must heal within a test's patience, not within an operator's.
IMPATIENT = {"INDEX_LEASE_SECONDS": "8", "VISIBILITY_TIMEOUT_SECONDS": "60"}
#: A search on a busy machine is answered late, which is not what these tests are about.
PATIENT = {"SEARCH_TIMEOUT_SECONDS": "120", "SEARCH_MAX_WAIT_SECONDS": "120"}
#: Rows whose numbers show that the service gets on.
PROGRESS = (
    "SELECT state, COUNT(*) FROM gallery_photo GROUP BY state",
    "SELECT state, COUNT(*) FROM generations_entry GROUP BY state",
    "SELECT state, COUNT(*) FROM generations_generation GROUP BY state",
    "SELECT state, COUNT(*) FROM jobs_job GROUP BY state",
    "SELECT COUNT(*) FROM gallery_face_generations",
)


def room_to_hold(searches: int) -> dict[str, str]:
    """Let one user have so many searches in flight that no worker answers: half of the room, which otherwise shrinks.

    The room follows the deadline, and falls while nobody answers: the longest deadline gives the test some seconds.
    """
    return {"SEARCH_QUEUE_BOUND": str(2 * searches), "SEARCH_TIMEOUT_SECONDS": str(24 * 3600)}


class RunningService:
    """Processes of the Procfile on free ports with their state in `folder`. Use as a context manager."""

    def __init__(
        self,
        folder: Path,
        *,
        processes: Iterable[str],
        environment: dict[str, str] | None = None,
        ports: LocalPorts | None = None,
    ) -> None:
        self.folder = folder
        self.ports = ports or LocalPorts(web=free_port_block())
        self.environment = local.process_environment(self.ports, folder) | IMPATIENT | PATIENT | (environment or {})
        self._commands = {process.name: process.command for process in local.local_processes(self.ports)}
        self._names = list(processes)
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports.web}"

    @property
    def redis_url(self) -> str:
        return f"redis://127.0.0.1:{self.ports.redis}/0"

    @property
    def redis_cache_url(self) -> str:
        return f"redis://127.0.0.1:{self.ports.redis_cache}/0"

    @property
    def milvus_uri(self) -> str:
        return f"http://127.0.0.1:{self.ports.milvus}"

    def __enter__(self) -> Self:
        try:
            self.manage("migrate", "--verbosity", "0")
            for name in self._names:
                self.start(name)
            if "web" in self._names:
                self.wait_until(self.answers, "the web process answers")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        # Workers first: a worker that loses Redis waits for it instead of stopping.
        order = sorted(self._running, key=lambda name: name in ("redis", "redis-cache", "milvus"))
        for name in order:
            self._running[name].send_signal(signal.SIGCONT)
            self.stop(name)

    def start(
        self, name: str, *, label: str = "", environment: dict[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a process of the Procfile; under another `label`, and in a changed environment, beside its like."""
        label = label or name
        with (self.folder / f"{label}.log").open("ab") as log:
            process = subprocess.Popen(
                ["/bin/sh", "-c", self._commands[name]],
                env=self.environment | (environment or {}),
                cwd=settings.BASE_DIR,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                umask=0o022,  # a shell's
            )
        self._running[label] = process
        return process

    def process(self, name: str) -> subprocess.Popen[bytes]:
        return self._running[name]

    def kill(self, name: str) -> None:
        """SIGKILL the process and its children, as a crash or the kernel would."""
        process = self._running.pop(name)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def stop(self, name: str) -> int:
        """SIGTERM the process and wait for it; return its exit status."""
        process = self._running.pop(name)
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        return process.returncode

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def manage(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a management command against this service."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            env=self.environment,
            cwd=settings.BASE_DIR,
            capture_output=True,
            text=True,
            check=False,
        )
        assert not check or done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        return done

    def create_user(self) -> None:
        """Make the user that `WebClient` logs in as."""
        self.environment["DJANGO_SUPERUSER_PASSWORD"] = PASSWORD
        self.manage("createsuperuser", "--noinput", "--username", USERNAME, "--email", "alice@example.org")

    def wait_until_healthy(self) -> None:
        complaints: list[str] = []

        def doctor_is_content() -> bool:
            done = self.manage("doctor", check=False)
            complaints[:] = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("WRONG")]
            return done.returncode == 0

        self.wait_until(doctor_is_content, "doctor is content", progress=lambda: tuple(complaints))

    def all_face_ids(self) -> list[str]:
        """Ask Milvus itself, past our own code, for the id of every face but the canary's."""
        client = MilvusClient(self.milvus_uri)
        try:
            collection = f"faces_{self.environment['PACK_NAME']}"
            client.load_collection(collection)
            of_users = f'gallery_id != "{CANARY_GALLERY_ID}"'
            rows = client.query(collection, filter=of_users, output_fields=["face_id"], limit=16384)
            return [row["face_id"] for row in rows]
        finally:
            client.close()

    def answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/health/live", timeout=2).status_code == 200
        except httpx.TransportError:
            return False

    def progress(self) -> tuple[Any, ...]:
        """Return what the database counts of photos, generations and jobs: it changes while the service gets on."""
        try:
            with closing(sqlite3.connect(self.folder / "db.sqlite3", timeout=20)) as connection:
                return tuple(tuple(connection.execute(query).fetchall()) for query in PROGRESS)
        except sqlite3.OperationalError:  # no tables yet
            return ()

    def is_working(self) -> bool:
        """Tell whether a worker runs a task that takes long: on a busy machine, a chunk of photos takes minutes."""
        try:
            with redis.Redis.from_url(self.redis_cache_url, socket_timeout=2) as cache:
                values = cache.mget(list(cache.scan_iter(match=KEY_PREFIX + "*")) or ["none"])
        except redis.RedisError:
            return False
        reports = [WorkerReport.model_validate_json(value) for value in values if value]
        return any(report.is_healthy and report.active_tasks and "index" in report.role for report in reports)

    def wait_until(
        self, condition: Callable[[], object], what: str, *, progress: Callable[[], object] | None = None
    ) -> None:
        """Wait for `condition` as long as there is `progress`, by default of photos, generations and jobs.

        Fails at once when a process ends.
        """

        def holds() -> bool:
            if condition():
                return True
            ended = [name for name, process in self._running.items() if process.poll() is not None]
            assert not ended, f"{ended[0]} ended while waiting until {what}: {self.log(ended[0])[-2000:]}"
            return False

        eventually(
            holds, what, progress=progress or self.progress, is_working=self.is_working, details=self._last_lines
        )

    def _last_lines(self) -> str:
        return "\n".join(f"--- {name}\n{self.log(name)[-1500:]}" for name in self._running)
