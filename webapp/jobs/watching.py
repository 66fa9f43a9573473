"""Waiting for jobs on the event loop: no thread and no connection for each request that does.

However many wait, and for however many jobs, the process asks the database once a second for all of them together.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from asgiref.sync import sync_to_async
from django.db import close_old_connections

from webapp.jobs.models import Job
from webapp.jobs.schemas import JobOut, job_out
from webapp.jobs.selectors import progress_of_each

#: How often a process looks at the jobs that somebody waits for.
LOOK_SECONDS: Final = 1.0


def jobs_read(job_ids: Collection[UUID]) -> dict[UUID, JobOut]:
    """Return those of the jobs that exist, in two queries."""
    close_old_connections()  # Django does so around its requests only
    jobs = list(Job.objects.filter(id__in=list(job_ids)).select_related("requested_by"))
    progress = progress_of_each(jobs)
    return {job.id: job_out(job, progress[job.id]) for job in jobs}


def is_over(job: JobOut) -> bool:
    return job.state != Job.State.RUNNING


@dataclass(eq=False, slots=True)
class _Waiter:
    seen: JobOut
    answer: "asyncio.Future[JobOut | None]"

    def show(self, job: JobOut | None) -> None:
        """Answer if that is news. The rate and the time left are none: they change by themselves."""
        before = self.seen
        is_same = job is not None and (job.state, job.total, job.counts) == (before.state, before.total, before.counts)
        if not is_same and not self.answer.done():
            self.answer.set_result(job)

    def fail(self, error: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


class JobWatch:
    """Those who wait for jobs in this process. Belongs to one event loop at a time."""

    def __init__(
        self,
        *,
        read: Callable[[Collection[UUID]], Mapping[UUID, JobOut]] = jobs_read,
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        """`read` is called in a thread."""
        self._read = read
        self._look_seconds = look_seconds
        self._waiters: defaultdict[UUID, set[_Waiter]] = defaultdict(set)
        self._looking: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """How many wait now."""
        return sum(len(of_job) for of_job in self._waiters.values())

    async def change(self, seen: JobOut, *, timeout_seconds: float) -> JobOut | None:
        """Wait until the job is no longer as `seen`; return it, or None when it is gone.

        Access is not checked: ask again whether the caller may see it. Raises TimeoutError, and what reading raises.
        """
        waiter = _Waiter(seen, asyncio.get_running_loop().create_future())
        self._waiters[seen.id].add(waiter)
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        try:
            async with asyncio.timeout(timeout_seconds):
                return await waiter.answer
        finally:
            self._waiters[seen.id].discard(waiter)
            if not self._waiters[seen.id]:
                del self._waiters[seen.id]

    async def wait(self, seen: JobOut, *, timeout_seconds: float, until_change: bool = False) -> None:
        """Wait until the job is over or gone, with `until_change` until anything changes, or until the time is up."""
        job: JobOut | None = seen
        try:
            async with asyncio.timeout(timeout_seconds):
                while job is not None and not is_over(job):
                    job = await self.change(job, timeout_seconds=timeout_seconds)
                    if until_change:
                        return
        except TimeoutError:
            return

    async def _look(self) -> None:
        """Look at the jobs until nobody waits. An error is raised where somebody waits."""
        while True:
            await asyncio.sleep(self._look_seconds)
            if not self._waiters:
                return
            # Whoever comes while the jobs are read may have seen them later than they are read.
            waiters = [waiter for of_job in self._waiters.values() for waiter in of_job]
            try:
                found = await sync_to_async(self._read)({waiter.seen.id for waiter in waiters})
            except Exception as error:  # noqa: BLE001 - whoever waits handles it
                for waiter in waiters:
                    waiter.fail(error)
            else:
                for waiter in waiters:
                    waiter.show(found.get(waiter.seen.id))


_watch = JobWatch()


def job_watch() -> JobWatch:
    """Return this process' watch."""
    return _watch
