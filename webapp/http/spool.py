"""Photos on their way in: a body is written to a file without a name, which ends with the request or the process.

The files are in a folder of their own in the data directory, on the disk of the photos: the photos that Django parses
out of a body become named files there, which the storage takes by renaming them.
"""

import asyncio
import fcntl
import logging
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from pathlib import Path
from typing import IO, Final, TypeVar

from webapp.http.problems import Problem, is_full_disk, storage_full
from webapp.http.shares import Budget

logger = logging.getLogger(__name__)

#: What one upload gathers in memory before it is written, and twice that while the write is under way.
WRITE_BYTES: Final = 256 * 1024
#: Threads that write: a disk that does not keep up delays uploads only.
WRITERS: Final = 4

T = TypeVar("T")


class Spool:
    """Writes the bodies of uploads to files in `folder`. `open` it before use."""

    def __init__(self, folder: Path, *, memory: Budget, disk: Budget, uploads_per_client: int) -> None:
        self._folder = folder
        self._memory = memory
        self._disk = disk
        self._uploads_per_client = uploads_per_client
        self._uploads: Counter[str] = Counter()
        self._lock: int | None = None

    def open(self) -> None:
        """Make the folder, and remove the files of a process that was killed. Raises OSError."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._writers = ThreadPoolExecutor(WRITERS, thread_name_prefix="spool")
        self._lock = os.open(self._folder, os.O_RDONLY)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pass  # another web process uses the folder: its files are not ours to remove
        else:
            for left in self._folder.iterdir():
                left.unlink()
        fcntl.flock(self._lock, fcntl.LOCK_SH)

    def close(self) -> None:
        """Safe to call twice."""
        if self._lock is not None:
            os.close(self._lock)
            self._writers.shutdown(wait=False)
        self._lock = None

    async def take(
        self, parts: AsyncIterator[bytes], client: str, declared: int | None, held: AsyncExitStack
    ) -> tuple[IO[bytes], int]:
        """Return a file with the parts, at its beginning, and its length; `held` closes it.

        Raises Problem when the client sends enough already or there is no room, and what `parts` raises.
        """
        self._count(client, held)
        held.callback(self._memory.hold(client, 2 * WRITE_BYTES).release)
        disk = self._disk.hold(client, declared or 0)
        held.callback(disk.release)
        try:
            file: IO[bytes] = await self._in_thread(lambda: self._file(declared or 0))
            held.callback(file.close)
            gathered, byte_count = bytearray(), 0
            async for part in parts:
                if declared is None:
                    disk.grow(len(part))
                byte_count += len(part)
                gathered += part
                if len(gathered) >= WRITE_BYTES:
                    written, gathered = gathered, bytearray()
                    await self._in_thread(lambda data=written: _write(file, data))  # type: ignore[misc]
            await self._in_thread(lambda: _write(file, gathered))
            file.seek(0)
        except OSError as error:
            if not is_full_disk(error):
                raise
            logger.error("The disk is full: an upload to %s was refused.", self._folder.name)
            raise storage_full() from None
        return file, byte_count

    def _count(self, client: str, held: AsyncExitStack) -> None:
        if self._uploads[client] >= self._uploads_per_client:
            raise Problem(
                "too_many_uploads",
                f"You are sending {self._uploads_per_client} uploads already; please wait until one is done.",
                status=429,
                retry_after_seconds=Problem.some_seconds(),
            )
        self._uploads[client] += 1
        held.callback(self._forget, client)

    def _forget(self, client: str) -> None:
        self._uploads[client] -= 1
        if not self._uploads[client]:
            del self._uploads[client]

    def _file(self, byte_count: int) -> IO[bytes]:
        """Return a new file that is removed when it is closed. Raises Problem when the disk has no room for it."""
        if shutil.disk_usage(self._folder).free < byte_count:
            raise storage_full()
        return tempfile.TemporaryFile(dir=self._folder, buffering=0)

    async def _in_thread(self, call: Callable[[], T]) -> T:
        """Run the call in a thread, to its end even when this task is cancelled: it uses a file that is then closed."""
        running = asyncio.get_running_loop().run_in_executor(self._writers, call)
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            await asyncio.wait([running])
            raise


def _write(file: IO[bytes], data: bytearray) -> None:
    """Write all of it: an unbuffered file may take less than it is given."""
    with memoryview(data) as left:
        start = 0
        while start < len(left):
            start += file.write(left[start:])
