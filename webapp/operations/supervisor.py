"""honcho's Manager, except that a process that ends is started again, as systemd or Compose would.

A process that ends soon after its very first start stops all others, as with honcho: something is wrong with the
installation, and the last lines of its output say what.
"""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from multiprocessing.synchronize import Event
from subprocess import Popen
from typing import Any, Final

from django.conf import settings
from honcho import manager, process

from webapp.operations import local

#: How long a worker may take to finish its task before it is killed, in seconds. honcho's own 5 are too short.
SHUTDOWN_SECONDS: Final = 25
#: A process that ends within this time after its very first start has never worked, in seconds.
FIRST_START_SECONDS: Final = 15.0
#: The pause before a process is started again, in seconds; it doubles each time, up to the longest.
FIRST_PAUSE_SECONDS: Final = 1.0
LONGEST_PAUSE_SECONDS: Final = 30.0
#: A process that has run for this long works, so its next pause is the first one again, in seconds.
SETTLED_SECONDS: Final = 30.0


class Supervisor(manager.Manager):  # type: ignore[misc]
    """Runs processes until a signal arrives. Use it like honcho's Manager; `on_start` is called once they run."""

    def __init__(self, *args: Any, on_start: Callable[[], None] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._on_start = on_start
        manager.KILL_WAIT = SHUTDOWN_SECONDS
        self._stopping = multiprocessing.Event()
        self._is_stopping = False
        self._process_ctor = partial(RestartedProcess, stopping=self._stopping)

    def terminate(self) -> None:
        """Stop every process and restart none. A signal handler may call this, more than once."""
        if not self._is_stopping:
            self._is_stopping = True
            self._stopping.set()
        super().terminate()

    def _start(self) -> None:
        super()._start()
        # Only now: `on_start` may start a thread, and a fork copies the locks that a thread holds.
        if self._on_start is not None:
            self._on_start()


class RestartedProcess(process.Process):  # type: ignore[misc]
    """A process that is started again until `stopping` is set. The manager only learns that it ended for good."""

    def __init__(self, *args: Any, stopping: Event, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._stopping = stopping

    def run(self, events: Any = None, ignore_signals: bool = False) -> None:
        # Caught where honcho ignores them: a child would inherit ignored signals.
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
        if self._stopping.is_set():  # the manager stopped the others before it knew of this child
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
    """Wait for the child, then kill what it left behind: that would keep its port and its output open."""
    child.wait()
    _signal_group(child.pid, signal.SIGKILL)


def _signal_group(pid: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def run_processes(
    processes: list[local.LocalProcess], environment: dict[str, str], *, on_start: Callable[[], None] | None = None
) -> int:
    """Run the processes until a signal arrives or one of them cannot start; return the exit status.

    `on_start` is called once they have been started.
    """
    supervisor = Supervisor(on_start=on_start)
    for each in processes:
        supervisor.add_process(each.name, each.command, env=environment, cwd=str(settings.BASE_DIR))
    supervisor.loop()
    return int(supervisor.returncode or 0)
