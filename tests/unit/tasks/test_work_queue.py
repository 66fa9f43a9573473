"""Which work queue a process has, and what the one in memory offers beyond the contract."""

import threading

import pytest

from tasks import names
from tasks.errors import QueueUnavailable
from tasks.messages import (  # noqa: F401 - so that every kind is known
    consistency,
    detect,
    generations,
    indexing,
    search,
    verify,
)
from tasks.messages.answers import Answer
from tasks.messages.base import Message, Target
from tasks.messages.generations import DropRequest
from tasks.web.memory import MemoryWorkQueue
from tasks.work_queue import CeleryWorkQueue, use_work_queue, work_queue

INDEX = "index.dlib"
REQUEST = DropRequest(target=Target(pack="dlib", collection="faces_dlib"))


def test_a_process_uses_celerys_queue_until_another_is_named() -> None:
    memory = MemoryWorkQueue()
    seen: list[object] = []
    with use_work_queue(memory):
        thread = threading.Thread(target=lambda: seen.append(work_queue()))
        thread.start()
        thread.join()
        with use_work_queue(MemoryWorkQueue()):
            assert work_queue() is not memory
        assert work_queue() is memory
    assert seen == [memory]
    assert isinstance(work_queue(), CeleryWorkQueue)


def test_each_kind_of_message_except_answers_names_a_different_task() -> None:
    assert {kind.task_name for kind in (Answer, *Answer.__subclasses__())} == {""}
    tasks = {kind.__name__: kind.task_name for kind in Message.__subclasses__() if kind is not Answer}
    assert len(set(tasks.values())) == len(tasks)
    assert set(tasks.values()) <= {value for name, value in vars(names).items() if name.isupper()}


def test_with_idle_workers_no_message_waits_but_all_are_remembered() -> None:
    queue = MemoryWorkQueue(are_workers_idle=True)
    queue.send(REQUEST, queue=INDEX)
    [status] = queue.statuses([INDEX])
    assert (status.waiting, queue.take(INDEX)) == (0, None)
    assert queue.messages(DropRequest) == [REQUEST]


def test_a_queue_can_go_down_between_two_messages() -> None:
    queue = MemoryWorkQueue()
    queue.sends_until_down = 1
    queue.send(REQUEST, queue=INDEX)
    [status] = queue.statuses([INDEX])
    assert status.waiting == 1
    for _ in range(2):
        with pytest.raises(QueueUnavailable):
            queue.send(REQUEST, queue=INDEX)
    with pytest.raises(QueueUnavailable):
        queue.statuses([INDEX])
    assert queue.messages(DropRequest) == [REQUEST]


def test_ages_and_expiry_follow_the_queues_clock() -> None:
    now = [100.0]
    queue = MemoryWorkQueue(clock=lambda: now[0])
    queue.send(REQUEST, queue=INDEX, expires_seconds=10)
    now[0] = 109.0
    [status] = queue.statuses([INDEX])
    assert status.oldest_seconds == 9.0
    now[0] = 110.0
    assert queue.take(INDEX) is None
    assert queue.left_before(INDEX, 5) == 105.0


def test_a_message_that_left_a_moment_ago_does_not_count_as_long_gone() -> None:
    now = [100.0]
    queue = MemoryWorkQueue(clock=lambda: now[0])
    for _ in range(2):
        queue.send(REQUEST, queue=INDEX)
        now[0] += 10
    queue.take(INDEX)
    assert queue.left_before(INDEX, 5) == 95.0, "the first message has only just left"
    now[0] += 6
    assert queue.left_before(INDEX, 5) == 105.0, "the second message still waits"
