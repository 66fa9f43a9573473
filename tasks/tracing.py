"""Traces across web, queue and worker (ENABLE_TRACING): one per request, with its tasks and their calls in it.

The trace travels with a message in the W3C Trace Context headers, `traceparent` and `tracestate`. OpenTelemetry is in
the extra `tracing`; its SDK decides where spans go. Switched off, everything here does nothing.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, Final, Literal

from celery.signals import before_task_publish, task_postrun, task_prerun

from tasks.dictionaries import monitoring_config
from worker.errors import ConfigError, FaceQueueError

HEADERS: Final = ("traceparent", "tracestate")


def is_enabled() -> bool:
    """Return whether spans are made. Raises ConfigError when ENABLE_TRACING is on without OpenTelemetry."""
    if not monitoring_config().enable_tracing:
        return False
    try:
        import opentelemetry.trace  # noqa: F401  only in the extra `tracing`
    except ImportError as error:
        raise ConfigError(
            "ENABLE_TRACING is True; it must be False unless the extra `tracing` is installed: "
            "pip install 'facequeue[tracing]'."
        ) from error
    return True


@contextmanager
def span(
    name: str, kind: Literal["SERVER", "CONSUMER"], carrier: Mapping[str, str], **attributes: str
) -> Iterator[Any]:
    """Wrap a request or task in a span of the trace named in its headers (`carrier`); yields None if switched off."""
    if not is_enabled():
        yield None
        return
    from opentelemetry import propagate, trace

    # An error's text is for the log: it may quote its input.
    with trace.get_tracer("facequeue").start_as_current_span(
        name,
        context=propagate.extract(carrier),
        kind=trace.SpanKind[kind],
        attributes=attributes,
        record_exception=False,
        set_status_on_exception=False,
    ) as began:
        yield began


@before_task_publish.connect
def add_trace(headers: dict[str, Any], **_: Any) -> None:
    if is_enabled():
        from opentelemetry import propagate

        propagate.inject(headers)


#: By the id of a running task: its span.
_running: dict[str, tuple[ExitStack, Any]] = {}


@task_prerun.connect
def begin_span(task_id: str, task: Any, **_: Any) -> None:
    if not is_enabled():
        return
    carrier = {name: value for name in HEADERS if isinstance(value := getattr(task.request, name, None), str)}
    stack = ExitStack()
    began = stack.enter_context(span(task.name, "CONSUMER", carrier, **{"messaging.message.id": task_id}))
    _running[task_id] = stack, began


@task_postrun.connect
def end_span(task_id: str, retval: Any, state: str | None = None, **_: Any) -> None:
    running = _running.pop(task_id, None)
    if running is None:
        return
    stack, began = running
    with stack:
        if state == "FAILURE":
            from opentelemetry.trace import StatusCode

            began.set_status(StatusCode.ERROR)
            began.set_attribute("facequeue.error", retval.code if isinstance(retval, FaceQueueError) else "internal")
