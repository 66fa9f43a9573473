"""onnxruntime sessions on exactly the execution providers that were asked for, and how they use the processor."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnxruntime

from worker.errors import ConfigError, PackDamaged

#: Of onnxruntime's log levels (0 verbose .. 4 fatal): errors. They also arrive as exceptions.
_LOG_ERRORS = 3


def checked_providers(requested: Sequence[str]) -> list[str]:
    """Return the requested providers; raises ConfigError, naming those that are there, when one is not."""
    available = onnxruntime.get_available_providers()
    for name in requested:
        if name not in available:
            raise ConfigError(
                f"FACE_CONFIG PROVIDERS asks for {name!r}, which this onnxruntime does not have; "
                f"it has {', '.join(available)}."
            )
    return list(requested)


def session_options() -> Any:
    """Return options for a session that shares its processor with other sessions and threads."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _LOG_ERRORS
    # Idle threads of a session spin by default, and take the cores that the next session wants.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return options


def open_session(model: Path | bytes, requested: Sequence[str]) -> Any:
    """Return an `InferenceSession` of the ONNX file or bytes that runs on all requested providers.

    Raises ConfigError for a provider that is not there, PackDamaged when the model cannot be loaded.
    """
    providers = checked_providers(requested)
    name = model.name if isinstance(model, Path) else "the built-in model"
    source = str(model) if isinstance(model, Path) else model
    try:
        session = onnxruntime.InferenceSession(source, session_options(), providers=providers)
    except Exception as error:  # onnxruntime's exceptions have no public root
        raise PackDamaged(f"{name} cannot be loaded: it is not an ONNX model that onnxruntime runs.") from error
    return on_requested_providers(session, requested)


def on_requested_providers(session: Any, requested: Sequence[str]) -> Any:
    """Return the session when every requested provider is active in it, else raise ConfigError.

    onnxruntime only logs when a provider cannot start (a missing CUDA library) and goes on with the CPU.
    """
    active = session.get_providers()
    idle = [name for name in requested if name not in active]
    if idle:
        raise ConfigError(
            f"FACE_CONFIG PROVIDERS asks for {', '.join(map(repr, idle))}, which could not be started; "
            f"active are {', '.join(active)}. See the worker's log for onnxruntime's reason."
        )
    return session
