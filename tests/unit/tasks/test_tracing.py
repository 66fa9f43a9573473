"""One trace from the request through the queue to the worker."""

import sys
import uuid
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from celery.signals import before_task_publish, task_postrun, task_prerun

from tasks import tracing
from tasks.errors import QueryImageGone
from webapp.http.request_ids import RequestIds
from worker.errors import ConfigError

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch, settings: Any) -> Iterator[Any]:
    """Finished spans of a tracer that belongs to this test alone."""
    trace = pytest.importorskip("opentelemetry.trace")
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    settings.MONITORING_CONFIG = settings.MONITORING_CONFIG | {"ENABLE_TRACING": True}
    provider, exporter = TracerProvider(), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    yield exporter
    provider.shutdown()


def published() -> dict[str, Any]:
    """The headers of a message that is sent now."""
    headers: dict[str, Any] = {}
    before_task_publish.send(sender="a", headers=headers, body=None)
    return headers


def run(headers: dict[str, Any], *, state: str = "SUCCESS", retval: Any = None) -> dict[str, Any]:
    """Run a task that came with these headers; return those of a message that it sends."""
    task = SimpleNamespace(name="search_faces", request=SimpleNamespace(**{"eta": None, **headers}))
    task_id = str(uuid.uuid4())
    task_prerun.send(sender=task.name, task_id=task_id, task=task)
    sent = published()
    task_postrun.send(sender=task.name, task_id=task_id, task=task, retval=retval, state=state)
    return sent


async def ask(application: Any, headers: list[tuple[bytes, bytes]]) -> None:
    async def send(_: Any) -> None:
        pass

    scope = {"type": "http", "method": "POST", "path": "/search", "headers": headers}
    await RequestIds(application)(scope, None, send)


async def test_request_message_and_task_are_one_trace(spans: Any) -> None:
    sent: list[dict[str, Any]] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        sent.append(published())

    await ask(application, [(b"traceparent", f"00-{TRACE_ID}-b7ad6b7169203331-01".encode())])
    sent.append(run(sent[0]))
    run(sent[1])

    request, task, second = spans.get_finished_spans()
    assert {f"{each.context.trace_id:032x}" for each in (request, task, second)} == {TRACE_ID}
    assert task.parent.span_id == request.context.span_id
    assert second.parent.span_id == task.context.span_id
    assert (request.name, task.name) == ("POST", "search_faces")


def test_a_failed_task_gives_its_code_and_not_its_text(spans: Any) -> None:
    run({}, state="FAILURE", retval=QueryImageGone("a secret"))
    [task] = spans.get_finished_spans()
    assert not task.status.is_ok
    assert task.attributes["facequeue.error"] == "query_image_gone"
    assert task.events == ()
    assert "secret" not in task.to_json()


def test_nothing_of_a_task_is_left_for_the_next(spans: Any) -> None:
    run({})
    run({})
    one, other = spans.get_finished_spans()
    assert one.context.trace_id != other.context.trace_id
    assert other.parent is None


def test_switched_off_a_message_carries_no_trace(spans: Any, settings: Any) -> None:
    settings.MONITORING_CONFIG = settings.MONITORING_CONFIG | {"ENABLE_TRACING": False}
    assert "traceparent" not in run({"traceparent": f"00-{TRACE_ID}-b7ad6b7169203331-01"})
    assert spans.get_finished_spans() == ()


def test_without_the_package_the_web_does_not_start(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.MONITORING_CONFIG = settings.MONITORING_CONFIG | {"ENABLE_TRACING": True}
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(ConfigError, match=r"facequeue\[tracing\]"):
        RequestIds(tracing.is_enabled)  # type: ignore[arg-type]
