"""What travels with a message, and what a worker's log lines say of it."""

import io
import json
import logging
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from celery.signals import task_postrun, task_prerun
from structlog.contextvars import bound_contextvars, get_contextvars

from tasks import clock
from tasks.context import add_headers, request_id
from tasks.logs import formatter


@pytest.fixture
def written() -> Iterator[tuple[logging.Logger, io.StringIO]]:
    """A logger whose lines are JSON."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter("json"))
    logger = logging.getLogger("test.context")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield logger, stream
    logger.removeHandler(handler)


@pytest.mark.parametrize("given", ["a3f9-client_1.2", "01234567"])
def test_a_sane_request_id_is_kept(given: str) -> None:
    assert request_id(given) == given


@pytest.mark.parametrize(
    "given", [None, "", "short", "x" * 65, 'quote"12345', "line\nfeed-12", "später-12345", "a b c d e f"]
)
def test_any_other_is_replaced(given: str | None) -> None:
    made = request_id(given)
    assert made != given
    assert request_id(made) == made


def test_a_message_carries_the_request_it_came_from_and_when_it_was_sent() -> None:
    headers: dict[str, Any] = {}
    with bound_contextvars(request_id="of-this-request"):
        add_headers(headers=headers)
    assert headers["request_id"] == "of-this-request"
    assert abs(clock.now() - headers["sent_at"]) < 60


def test_a_message_that_is_sent_again_keeps_its_request_and_gets_a_new_time() -> None:
    headers: dict[str, Any] = {"request_id": "of-the-first", "sent_at": 1.0}
    add_headers(headers=headers)
    assert headers["request_id"] == "of-the-first"
    assert headers["sent_at"] > 1.0


def test_messages_of_beat_get_ids_of_their_own() -> None:
    one: dict[str, Any] = {}
    other: dict[str, Any] = {}
    add_headers(headers=one)
    add_headers(headers=other)
    assert one["request_id"] != other["request_id"]


def test_ids_are_bound_while_the_task_runs_and_not_after(written: tuple[logging.Logger, io.StringIO]) -> None:
    logger, stream = written
    task = SimpleNamespace(name="search_faces", request=SimpleNamespace(request_id="request-1", eta=None))

    task_prerun.send(sender=task.name, task_id="task-1", task=task)
    logger.info("Inside.")
    task_postrun.send(sender=task.name, task_id="task-1", task=task, retval=None, state="SUCCESS")
    logger.info("Outside.")

    inside, outside = map(json.loads, stream.getvalue().splitlines())
    assert (inside["request_id"], inside["task_id"], inside["task"]) == ("request-1", "task-1", "search_faces")
    assert "request_id" not in outside
    assert get_contextvars() == {}


def test_a_json_line_has_what_a_reader_filters_by(written: tuple[logging.Logger, io.StringIO]) -> None:
    logger, stream = written
    try:
        raise ValueError("broken")
    except ValueError:
        logger.exception("It %s.", "failed")

    [text] = stream.getvalue().splitlines()
    line = json.loads(text)
    assert (line["message"], line["level"], line["logger"]) == ("It failed.", "error", "test.context")
    assert "ValueError: broken" in line["exception"]
    assert {"timestamp", "pid"} <= set(line)


def test_a_readable_line_shows_the_ids_behind_the_message() -> None:
    record = logging.LogRecord("a.b", logging.INFO, "", 0, "Done.", (), None)
    with bound_contextvars(request_id="request-1"):
        assert formatter("line").format(record).endswith("INFO a.b: Done. [request_id=request-1]")
    assert formatter("line").format(record).endswith("INFO a.b: Done.")
