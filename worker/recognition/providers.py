"""onnxruntime sessions on exactly the requested execution providers, and how they use the processor.

The options are those of onnxruntime's pages on execution providers (onnxruntime.ai/docs/execution-providers).
"""

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnxruntime.transformers.float16 import convert_float_to_float16

from worker.config import FaceConfig, usable_cores
from worker.errors import ConfigError, PackDamaged

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
TENSORRT = "TensorrtExecutionProvider"
OPENVINO = "OpenVINOExecutionProvider"
COREML = "CoreMLExecutionProvider"

#: Providers that compute in float16 natively. The CPU would convert each value back and forth, and be slower.
FP16_PROVIDERS = (CUDA, TENSORRT, OPENVINO, COREML)
#: How far a model's outputs in float16 may be from those in float32: by this share of their length, which leaves a
#: cosine of 0.9998, or by this much in each value, which does not matter for a score of almost 0. Rounding to 11 bits
#: causes a tenth of it; a weight beyond float16's largest value, 65504, far more.
_LARGEST_FP16_ERROR, _LARGEST_FP16_DIFFERENCE = 0.02, 0.001
#: The side of the trial picture for a model that accepts any size: that of the detectors.
_TRIAL_SIDE_PIXELS = 640

#: More simultaneous runs gain nothing, because they share the memory bandwidth. Further cores go into wider runs.
_MOST_RUNS_AT_ONCE = 16

#: Of onnxruntime's log levels (0 verbose .. 4 fatal): errors. They also arrive as exceptions.
_LOG_ERRORS = 3

logger = logging.getLogger(__name__)


def checked_providers(config: FaceConfig) -> list[str]:
    """Return the providers to use, best first.

    Raises ConfigError, which names the available ones, when one is missing; with `allow_provider_fallback` missing ones
    are left out, and the CPU comes last.
    """
    available = onnxruntime.get_available_providers()
    missing = [name for name in config.providers if name not in available]
    if not missing:
        return list(config.providers)
    if config.allow_provider_fallback:
        return [name for name in config.providers if name in available and name != CPU] + [CPU]
    raise ConfigError(
        f"FACE_CONFIG PROVIDERS asks for {', '.join(map(repr, missing))}, which this onnxruntime does not have; "
        f"it has {', '.join(available)}."
    )


def runs_at_once(config: FaceConfig) -> int:
    """How many runs of one model go on at a time: one on a GPU, on the CPU as many as the cores allow."""
    if config.runs_at_once is not None:
        return config.runs_at_once
    if checked_providers(config)[0] != CPU:
        return 1  # a session has one stream, in which runs would wait for each other
    return max(1, min(_MOST_RUNS_AT_ONCE, usable_cores() // (config.threads_per_run or 1)))


def threads_per_run(config: FaceConfig) -> int:
    """How many threads one run has, so that all runs together have about as many as there are cores.

    On the CPU many runs of one thread have a higher total throughput than few runs of many threads.
    """
    return config.threads_per_run or max(1, usable_cores() // runs_at_once(config))


def threads_of_a_lone_run(config: FaceConfig) -> int:
    """How many threads a run has when it is the only one: all cores, unless the settings give numbers."""
    if config.runs_at_once is not None or config.threads_per_run is not None:
        return threads_per_run(config)
    return usable_cores()


def open_session(
    model: Path | bytes, config: FaceConfig, *, name: str, threads: int, batch_sizes: Sequence[int] = (1,)
) -> Any:
    """Return an `InferenceSession` of the ONNX file or bytes that runs on all requested providers.

    `name` is the model's name in errors; `batch_sizes` are those that it will be run with.
    Raises PackDamaged when the model cannot be loaded; ConfigError for a provider that is not available or cannot be
    started, and for FP16 where it gains nothing or changes the model's outputs.
    """
    providers = checked_providers(config)
    in_fp16 = _is_fp16_wanted(providers, config)
    try:
        source = _in_float16(model) if in_fp16 and providers[0] == CUDA else model
        options = [provider_options(each, source, config, batch_sizes) for each in providers]
        session = onnxruntime.InferenceSession(
            str(source) if isinstance(source, Path) else source,
            session_options(config, threads=threads),
            providers=providers,
            provider_options=options,
            enable_fallback=config.allow_provider_fallback,
        )
    except Exception as error:  # onnxruntime's and protobuf's exceptions have no public root
        raise PackDamaged(
            f"{name} cannot be loaded: it is not an ONNX model that onnxruntime runs on {', '.join(providers)}."
        ) from error
    # onnxruntime would reopen the session on other providers when a run fails, in the middle of other threads' runs.
    session.disable_fallback()
    check_active(session, config)
    if in_fp16:
        reference = onnxruntime.InferenceSession(
            str(model) if isinstance(model, Path) else model, session_options(config, threads=threads), providers=[CPU]
        )
        check_fp16(session, reference, name=name)
    return session


def session_options(config: FaceConfig, *, threads: int) -> Any:
    """Return options for a session whose runs have `threads` threads each and share the processor with others."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _LOG_ERRORS
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = config.arena
    options.enable_mem_pattern = config.arena
    # Idle threads of a session spin by default, and take cores from other runs.
    options.add_session_config_entry("session.intra_op.allow_spinning", "1" if config.spinning else "0")
    return options


def provider_options(
    provider: str, model: Path | bytes, config: FaceConfig, batch_sizes: Sequence[int]
) -> dict[str, str]:
    """Return the options with which the provider runs the model."""
    if provider == CUDA:
        return {
            "cudnn_conv_algo_search": config.convolution_search,
            "arena_extend_strategy": "kSameAsRequested",
            "do_copy_in_default_stream": "1",
        }
    if provider == TENSORRT:
        return {
            "trt_fp16_enable": str(config.fp16),
            **_tensorrt_profile(model, batch_sizes),
            **_tensorrt_caches(model, config),
        }
    if provider == OPENVINO:
        return {"precision": "FP16" if config.fp16 else "FP32"}
    if provider == COREML:
        return {"ModelFormat": "MLProgram", "AllowLowPrecisionAccumulationOnGPU": "1" if config.fp16 else "0"}
    return {}


def _tensorrt_profile(model: Path | bytes, batch_sizes: Sequence[int]) -> dict[str, str]:
    """Let one TensorRT engine accept every batch size; without a profile each new size would build another engine.

    Only for models whose batch is the only open axis: the sizes of others are not known here.
    """
    taken = _proto(model, with_weights=False).graph.input[0]
    batch, *rest = (axis.dim_value for axis in taken.type.tensor_type.shape.dim)
    if batch or not all(rest):
        return {}
    profile = {"min": 1, "opt": max(batch_sizes), "max": max(batch_sizes)}
    return {
        f"trt_profile_{which}_shapes": f"{taken.name}:{'x'.join(map(str, (size, *rest)))}"
        for which, size in profile.items()
    }


def _tensorrt_caches(model: Path | bytes, config: FaceConfig) -> dict[str, str]:
    """Keep engines in one folder per model: TensorRT names them after their shapes, not their weights."""
    if config.engine_cache_dir is None:
        return {}
    digest = hashlib.sha256(model.read_bytes() if isinstance(model, Path) else model).hexdigest()
    folder = config.engine_cache_dir / digest[:16]
    folder.mkdir(parents=True, exist_ok=True)
    return {
        "trt_engine_cache_enable": "True",
        "trt_engine_cache_path": str(folder),
        "trt_timing_cache_enable": "True",
        "trt_timing_cache_path": str(folder),
    }


def check_active(session: Any, config: FaceConfig) -> None:
    """Raise ConfigError when a requested provider is not active; with `allow_provider_fallback` only log it.

    onnxruntime itself only logs that a provider cannot start (a missing CUDA library), and continues on the CPU.
    """
    active = session.get_providers()
    idle = [name for name in config.providers if name not in active]
    if not idle:
        return
    sentence = (
        f"FACE_CONFIG PROVIDERS asks for {', '.join(map(repr, idle))}, which could not be started; "
        f"only {', '.join(active)} started. See the worker's log for onnxruntime's reason."
    )
    if not config.allow_provider_fallback:
        raise ConfigError(sentence)
    logger.warning(sentence)


def _is_fp16_wanted(providers: Sequence[str], config: FaceConfig) -> bool:
    if not config.fp16 or providers[0] in FP16_PROVIDERS:
        return config.fp16
    sentence = (
        f"FACE_CONFIG FP16 gains nothing on {providers[0]}, which computes in float32 and would convert each value "
        f"back and forth; it is for {', '.join(FP16_PROVIDERS)}."
    )
    if not config.allow_provider_fallback:
        raise ConfigError(sentence)
    logger.warning("%s The worker continues in float32.", sentence)
    return False


def _in_float16(model: Path | bytes) -> bytes:
    """Return the model with float16 inside and unchanged inputs and outputs."""
    converted = convert_float_to_float16(_proto(model, with_weights=True), keep_io_types=True)
    return bytes(converted.SerializeToString())


def check_fp16(session: Any, reference: Any, *, name: str) -> None:
    """Raise ConfigError when a float16 session and the float32 `reference` differ on a seeded picture."""
    taken = reference.get_inputs()[0]
    fallbacks = (1, *[_TRIAL_SIDE_PIXELS] * (len(taken.shape) - 1))
    shape = [axis if isinstance(axis, int) else size for axis, size in zip(taken.shape, fallbacks, strict=True)]
    values = np.random.default_rng(0)
    is_pixels = taken.type == "tensor(uint8)"
    trial = values.integers(0, 256, shape, np.uint8) if is_pixels else values.standard_normal(shape, np.float32)
    answers, expected = (each.run(None, {taken.name: trial}) for each in (session, reference))
    for answer, right in zip(answers, expected, strict=True):
        difference = answer.astype(np.float64) - right
        error = float(np.linalg.norm(difference) / (np.linalg.norm(right) or 1.0))
        # Written so that NaN does not pass either.
        if not (error <= _LARGEST_FP16_ERROR or np.abs(difference).max() <= _LARGEST_FP16_DIFFERENCE):
            raise ConfigError(
                f"FACE_CONFIG FP16 is True, but {name} gives different results in float16: off by {error:.1%}, at most "
                f"{_LARGEST_FP16_ERROR:.0%} is allowed. Set FP16 to False for this pack."
            )


def _proto(model: Path | bytes, *, with_weights: bool) -> Any:
    if isinstance(model, Path):
        return onnx.load_model(str(model), load_external_data=with_weights)
    return onnx.load_model_from_string(model)
