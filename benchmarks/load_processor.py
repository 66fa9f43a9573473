"""How much of the processor other programs used while the load ran: figures of a busy machine mean little."""

import os
import resource
import time
from collections.abc import Iterable
from typing import Any

import psutil


class OtherPrograms:
    """Measures, from its making on, the share of all cores that processes outside the benchmark use."""

    def __init__(self, service: Any, names: Iterable[str]) -> None:
        """`names` are those of the service's processes."""
        self._service, self._names = service, list(names)
        self._began = time.monotonic()
        self._busy_seconds, self._own_seconds = _busy_seconds(), self._own()

    def share(self) -> float:
        """Return the share (0..1) since the start."""
        seconds = (time.monotonic() - self._began) * (os.cpu_count() or 1)
        others = (_busy_seconds() - self._busy_seconds) - (self._own() - self._own_seconds)
        return max(0.0, others / seconds)

    def _own(self) -> float:
        """Return the processor seconds of this process, of its children that have ended, and of the service."""
        own = sum(resource.getrusage(who).ru_utime + resource.getrusage(who).ru_stime for who in _OURS)
        return own + sum(_seconds(process) for process in self._processes())

    def _processes(self) -> list[psutil.Process]:
        roots = [psutil.Process(self._service.process(name).pid) for name in self._names]
        return [*roots, *(child for root in roots for child in root.children(recursive=True))]


_OURS = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)


def _busy_seconds() -> float:
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system)


def _seconds(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)
