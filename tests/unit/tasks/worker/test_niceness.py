"""Which processes let others go first; each in a process of its own, for nobody can take niceness back."""

import subprocess
import sys
from pathlib import Path

import pytest

from tasks import roles
from tasks.worker import niceness

SCRIPT = "import sys; from tasks.worker.niceness import lower_priority; print(lower_priority(sys.argv[2:])); {then}"


def run(*queues: str, then: str = "", nice: int = 0) -> list[str]:
    command = ["nice", "-n", str(nice), sys.executable, "-c", SCRIPT.format(then=then), "--", *queues]
    done = subprocess.run(command, capture_output=True, text=True, check=True, start_new_session=True)
    return done.stdout.splitlines()


def test_bulk_work_gives_way_to_searches_and_everybody_to_the_web() -> None:
    for role in roles.ROLES:
        assert run(role.queue("dlib")) == [str(role.niceness)]
    assert roles.INDEX.niceness > roles.SEARCH.niceness > 0


def test_a_worker_of_several_queues_is_as_urgent_as_the_most_urgent() -> None:
    assert run("index.dlib", "search.dlib") == [str(roles.SEARCH.niceness)]
    assert run() == ["0"]


def test_an_operator_who_asked_for_more_keeps_it() -> None:
    assert run("search.dlib", nice=19) == ["19"]


def test_threads_that_start_afterwards_give_way_too() -> None:
    then = "import os, threading; t = threading.Thread(target=lambda: print(os.nice(0))); t.start(); t.join()"
    assert run("index.dlib", then=then) == 2 * [str(roles.INDEX.niceness)]


@pytest.mark.skipif(not niceness.AUTOGROUP.exists(), reason="this kernel shares no time among sessions")
def test_a_process_alone_in_its_session_gives_way_as_a_session() -> None:
    then = f"print(open({str(niceness.AUTOGROUP)!r}).read())"
    assert run("index.dlib", then=then)[1].endswith(f" nice {roles.INDEX.niceness}")


def test_a_kernel_that_refuses_is_no_reason_to_stop(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(niceness, "AUTOGROUP", tmp_path)  # a folder cannot be written
    monkeypatch.setattr("os.getsid", lambda _: niceness.os.getpid())
    assert niceness.lower_priority([]) == niceness.os.nice(0)
