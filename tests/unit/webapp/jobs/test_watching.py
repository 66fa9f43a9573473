"""Waiting for jobs: many who wait cost one look, and only news is passed on."""

import asyncio
from collections.abc import Collection, Mapping
from uuid import UUID, uuid4

import pytest
from django.db import OperationalError
from django.utils import timezone

from webapp.jobs.schemas import CountsOut, JobOut
from webapp.jobs.watching import JobWatch


def job(job_id: UUID | None = None, *, pending: int = 2, state: str = "running", rate: float | None = None) -> JobOut:
    counts = CountsOut(pending=pending, indexed=2 - pending, no_faces=0, failed=0, cancelled=0, rendered=0, gone=0)
    return JobOut(
        id=job_id or uuid4(),
        kind="import",
        state=state,
        requested_by=None,
        gallery_id=None,
        gallery_name="Friends",
        total=2,
        counts=counts,
        rate=rate,
        seconds_left=None,
        created=timezone.now(),
        finished_at=None,
    )


class Jobs:
    """What the database has, and how often it was asked for which jobs."""

    def __init__(self, *jobs: JobOut) -> None:
        self.found = {each.id: each for each in jobs}
        self.asked: list[set[UUID]] = []
        self.error: Exception | None = None

    def __call__(self, job_ids: Collection[UUID]) -> Mapping[UUID, JobOut]:
        self.asked.append(set(job_ids))
        if self.error is not None:
            raise self.error
        return self.found

    def watch(self) -> JobWatch:
        return JobWatch(read=self, look_seconds=0.001)

    async def looks(self, count: int) -> None:
        """Return after so many more looks."""
        until = len(self.asked) + count
        while len(self.asked) < until:
            await asyncio.sleep(0.001)


async def test_a_change_is_passed_on() -> None:
    seen = job()
    jobs = Jobs(seen)
    waiting = asyncio.create_task(jobs.watch().change(seen, timeout_seconds=60))
    await jobs.looks(2)
    assert not waiting.done()
    jobs.found[seen.id] = news = job(seen.id, pending=1)
    assert await waiting == news


async def test_another_rate_is_no_change() -> None:
    seen = job()
    jobs = Jobs(job(seen.id, rate=3.0))
    waiting = asyncio.create_task(jobs.watch().change(seen, timeout_seconds=60))
    await jobs.looks(2)
    assert not waiting.done()
    waiting.cancel()


async def test_a_job_that_is_gone_is_none() -> None:
    assert await Jobs().watch().change(job(), timeout_seconds=60) is None


async def test_the_time_is_bounded() -> None:
    seen = job()
    watch = Jobs(seen).watch()
    with pytest.raises(TimeoutError):
        await watch.change(seen, timeout_seconds=0.01)


async def test_all_who_wait_share_one_look_and_nobody_is_looked_for_in_vain() -> None:
    one, other = job(), job()
    jobs = Jobs(one, other)
    watch = jobs.watch()
    waiting = [asyncio.create_task(watch.change(each, timeout_seconds=60)) for each in (one, one, other) * 50]
    await jobs.looks(1)
    assert jobs.asked[-1] == {one.id, other.id}
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert watch._looking is not None
    await watch._looking
    before = len(jobs.asked)
    await asyncio.sleep(0.02)
    assert len(jobs.asked) == before


async def test_an_error_reaches_those_who_wait_and_the_next_are_served() -> None:
    seen = job()
    jobs = Jobs(job(seen.id, pending=0))
    jobs.error = OperationalError("the database is away")
    watch = jobs.watch()
    with pytest.raises(OperationalError):
        await watch.change(seen, timeout_seconds=60)
    jobs.error = None
    assert await watch.change(seen, timeout_seconds=60) == jobs.found[seen.id]


async def test_waiting_goes_on_until_the_job_is_over() -> None:
    seen = job()
    jobs = Jobs(job(seen.id, pending=1))
    waiting = asyncio.create_task(jobs.watch().wait(seen, timeout_seconds=60))
    await jobs.looks(3)
    assert not waiting.done()
    jobs.found[seen.id] = job(seen.id, pending=0, state="finished")
    await waiting


async def test_waiting_for_a_change_ends_with_the_first() -> None:
    seen = job()
    await Jobs(job(seen.id, pending=1)).watch().wait(seen, timeout_seconds=60, until_change=True)


async def test_waiting_ends_when_the_time_is_up() -> None:
    seen = job()
    await Jobs(seen).watch().wait(seen, timeout_seconds=0.01)
