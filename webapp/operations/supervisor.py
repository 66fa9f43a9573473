"""honcho's Manager, but a process that ends is started again, as systemd or Compose would do.

A process that ends soon after its very first start stops all others, as with honcho: something is wrong with the
installation, and its last lines say what.
"""

import multiprocessing
import os
import signal
import threading
import time
from contextlib import suppress
from functools import partial
from multiprocessing.synchronize import Event
from subprocess import Popen
from typing import Any, Final

from django.conf import settings
from honcho import manager, process

from webapp.operations import local

#: A worker gets this long to finish its task before it is killed, in seconds. honcho's own 5 are too short.
SHUTDOWN_SECONDS: Final = 25
#: Whoever ends within this time after its very first start has never worked.
FIRST_START_SECONDS: Final = 15.0
#: The pause before a process is started again; it doubles while the process keeps ending, up to the longest.
FIRST_PAUSE_SECONDS: Final = 1.0
LONGEST_PAUSE_SECONDS: Final = 30.0
#: Whoever has run for so long is taken to be well, and its next pause is the first one again.
SETTLED_SECONDS: Final = 30.0


class Supervisor(manager.Manager):  # type: ignore[misc]
    """Runs processes until a signal comes. Use as honcho's Manager."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        manager.KILL_WAIT = SHUTDOWN_SECONDS
        self._stopping = multiprocessing.Event()
        self._is_stopping = False
        self._process_ctor = partial(RestartedProcess, stopping=self._stopping)

    def terminate(self) -> None:
        """Stop every process, and start none again. May be called from a signal handler, repeatedly."""
        if not self._is_stopping:
            self._is_stopping = True
            self._stopping.set()
        super().terminate()


class RestartedProcess(process.Process):  # type: ignore[misc]
    """A process that is started again until `stopping` is set. The manager hears of its last end only."""

    def __init__(self, *args: Any, stopping: Event, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._stopping = stopping

    def run(self, events: Any = None, ignore_signals: bool = False) -> None:
        # Caught and not ignored, as honcho does: what is ignored is inherited by the child.
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, lambda *_: None)
        self._events = events
        pause_seconds = FIRST_PAUSE_SECONDS
        is_first = True
        while True:
            started = time.monotonic()
            status = self._run_once()
            ran_seconds = time.monotonic() - started
            if self._stopping.is_set() or (is_first and ran_seconds < FIRST_START_SECONDS):
                break
            is_first = False
            if ran_seconds > SETTLED_SECONDS:
                pause_seconds = FIRST_PAUSE_SECONDS
            self._send_message(f"ended (rc={status}), starts again in {pause_seconds:g} s\n")
            if self._stopping.wait(pause_seconds):
                break
            pause_seconds = min(2 * pause_seconds, LONGEST_PAUSE_SECONDS)
        self._send_message({"returncode": status}, type="stop")

    def _run_once(self) -> int:
        child = self._child_ctor(self.cmd, env=self.env, cwd=self.cwd)
        self._send_message({"pid": child.pid}, type="start")
        if self._stopping.is_set():  # too late for the manager to have known of this child
            _signal_group(child.pid, signal.SIGTERM)
        waiter = threading.Thread(target=_wait_and_clear, args=[child])
        waiter.start()
        for line in iter(child.stdout.readline, b""):
            self._send_message(line)
        child.stdout.close()
        waiter.join()
        status: int = child.returncode
        return status


def _wait_and_clear(child: "Popen[bytes]") -> None:
    """Wait for the child; kill what it leaves behind, which would hold its port and the other end of its output."""
    child.wait()
    _signal_group(child.pid, signal.SIGKILL)


def _signal_group(pid: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def run_processes(processes: list[local.LocalProcess], environment: dict[str, str]) -> int:
    """Run the processes until a signal comes, or one of them cannot even start; return the exit status."""
    supervisor = Supervisor()
    for each in processes:
        supervisor.add_process(each.name, each.command, env=environment, cwd=str(settings.BASE_DIR))
    supervisor.loop()
    return int(supervisor.returncode or 0)
