"""onnxruntime sessions on exactly the execution providers that were asked for, and how they use the processor.

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

#: Those that compute in float16 natively. The CPU would convert each value there and back, and be slower.
FP16_PROVIDERS = (CUDA, TENSORRT, OPENVINO, COREML)
#: How far a model's answers in float16 may be from those in float32: by this share of their length, which leaves a
#: cosine of 0.9998, or by this much in each value, which is less than anyone asks of a score of almost 0. Rounding to
#: 11 bits does a tenth of it; a weight beyond float16's largest value, 65504, does far more.
_LARGEST_FP16_ERROR, _LARGEST_FP16_DIFFERENCE = 0.02, 0.001
#: The side of the trial picture where the model takes any size: that of the detectors.
_TRIAL_SIDE_PIXELS = 640

#: More runs at a time than this gain nothing: they share the memory's bandwidth. Cores beyond it widen the runs.
_MOST_RUNS_AT_ONCE = 16

#: Of onnxruntime's log levels (0 verbose .. 4 fatal): errors. They also arrive as exceptions.
_LOG_ERRORS = 3

logger = logging.getLogger(__name__)


def checked_providers(config: FaceConfig) -> list[str]:
    """Return the providers to use, best first.

    Raises ConfigError, naming those that are there, when one is not; with `allow_provider_fallback` it is left out,
    and the CPU comes last.
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
    """Runs of one model at a time: on a GPU one, on the CPU as many as the cores can carry."""
    if config.runs_at_once is not None:
        return config.runs_at_once
    if checked_providers(config)[0] != CPU:
        return 1  # a session has one stream, and runs would wait for each other in it
    return max(1, min(_MOST_RUNS_AT_ONCE, usable_cores() // (config.threads_per_run or 1)))


def threads_per_run(config: FaceConfig) -> int:
    """Threads of one run, so that all runs together have about as many as there are cores.

    On the CPU many runs of one thread do more in all than few runs of many threads.
    """
    return config.threads_per_run or max(1, usable_cores() // runs_at_once(config))


def threads_of_a_lone_run(config: FaceConfig) -> int:
    """Threads of a run that has the processor to itself: all cores, unless the settings give numbers of their own."""
    if config.runs_at_once is not None or config.threads_per_run is not None:
        return threads_per_run(config)
    return usable_cores()


def open_session(
    model: Path | bytes, config: FaceConfig, *, name: str, threads: int, batch_sizes: Sequence[int] = (1,)
) -> Any:
    """Return an `InferenceSession` of the ONNX file or bytes that runs on all providers asked for.

    `name` stands for the model in errors; `batch_sizes` are those that it will be run with.
    Raises PackDamaged when the model cannot be loaded; ConfigError for a provider that is not there or cannot be
    started, and for FP16 where it gains nothing or changes the model's answers.
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
    # It would open the session anew on other providers when a run fails, with other threads' runs under way.
    session.disable_fallback()
    check_active(session, config)
    if in_fp16:
        reference = onnxruntime.InferenceSession(
            str(model) if isinstance(model, Path) else model, session_options(config, threads=threads), providers=[CPU]
        )
        check_fp16(session, reference, name=name)
    return session


def session_options(config: FaceConfig, *, threads: int) -> Any:
    """Return options for a session whose runs have `threads` each and share the processor with others."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _LOG_ERRORS
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = config.arena
    options.enable_mem_pattern = config.arena
    # Idle threads of a session spin by default, and take the cores that other runs want.
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
    """Let one engine take every batch size; without a profile each new size would build another.

    Only where the batch is all that the model leaves open: nobody knows here what else will come.
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
    """Keep engines in a folder for each model: TensorRT's own name for one says its shape, not whose weights it has."""
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
    """Raise ConfigError when a provider asked for is not active; with `allow_provider_fallback` log it.

    onnxruntime itself only logs when a provider cannot start (a missing CUDA library) and goes on with the CPU.
    """
    active = session.get_providers()
    idle = [name for name in config.providers if name not in active]
    if not idle:
        return
    sentence = (
        f"FACE_CONFIG PROVIDERS asks for {', '.join(map(repr, idle))}, which could not be started; "
        f"active are {', '.join(active)}. See the worker's log for onnxruntime's reason."
    )
    if not config.allow_provider_fallback:
        raise ConfigError(sentence)
    logger.warning(sentence)


def _is_fp16_wanted(providers: Sequence[str], config: FaceConfig) -> bool:
    if not config.fp16 or providers[0] in FP16_PROVIDERS:
        return config.fp16
    sentence = (
        f"FACE_CONFIG FP16 gains nothing on {providers[0]}, which computes in float32 and would convert each value "
        f"there and back; it is for {', '.join(FP16_PROVIDERS)}."
    )
    if not config.allow_provider_fallback:
        raise ConfigError(sentence)
    logger.warning("%s The worker goes on in float32.", sentence)
    return False


def _in_float16(model: Path | bytes) -> bytes:
    """Return the model with float16 inside and its inputs and outputs as they were."""
    converted = convert_float_to_float16(_proto(model, with_weights=True), keep_io_types=True)
    return bytes(converted.SerializeToString())


def check_fp16(session: Any, reference: Any, *, name: str) -> None:
    """Raise ConfigError when a session in float16 answers a seeded picture otherwise than `reference` in float32."""
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
        # Written so that what is not a number passes neither.
        if not (error <= _LARGEST_FP16_ERROR or np.abs(difference).max() <= _LARGEST_FP16_DIFFERENCE):
            raise ConfigError(
                f"FACE_CONFIG FP16 is True, but {name} answers otherwise in float16: off by {error:.1%}, allowed is "
                f"{_LARGEST_FP16_ERROR:.0%}. Set FP16 to False for this pack."
            )


def _proto(model: Path | bytes, *, with_weights: bool) -> Any:
    if isinstance(model, Path):
        return onnx.load_model(str(model), load_external_data=with_weights)
    return onnx.load_model_from_string(model)
