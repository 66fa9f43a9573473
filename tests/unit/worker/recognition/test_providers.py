"""A session runs on what was asked for, or not at all; its options are those that FACE_CONFIG says."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.unit.worker.recognition.synthetic_packs import detector_graph, recognizer_graph
from worker.config import FaceConfig
from worker.errors import ConfigError, PackDamaged
from worker.recognition import providers
from worker.recognition.providers import (
    COREML,
    CPU,
    CUDA,
    OPENVINO,
    TENSORRT,
    check_active,
    check_fp16,
    checked_providers,
    open_session,
    provider_options,
    runs_at_once,
    session_options,
    threads_of_a_lone_run,
    threads_per_run,
)


def config(**settings: Any) -> FaceConfig:
    return FaceConfig(packs_dir=Path("packs"), **settings)


def opened(model: Path | bytes, settings: FaceConfig) -> Any:
    return open_session(model, settings, name="rec.onnx", threads=1)


def scaling_graph(factor: float, shape: Sequence[str | int] = ("n", 3, 112, 112)) -> bytes:
    """Return a graph that multiplies its input by the factor."""
    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", "factor"], ["y"])],
        "scaling",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(np.array(factor, np.float32), "factor")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    return bytes(model.SerializeToString())


class SessionThatFellBack:
    """What onnxruntime returns when the CUDA libraries are missing: a session on the CPU."""

    def get_providers(self) -> list[str]:
        return [CPU]


@pytest.fixture
def cuda_build(monkeypatch: pytest.MonkeyPatch) -> None:
    """onnxruntime says of itself what its build for CUDA and TensorRT says."""
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [TENSORRT, CUDA, CPU])


@pytest.fixture
def four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(providers, "usable_cores", lambda: 4)


@pytest.mark.usefixtures("cuda_build")
def test_a_provider_that_could_not_start_is_no_silent_fall_back_to_the_cpu() -> None:
    with pytest.raises(ConfigError, match=r"'CUDAExecutionProvider'.*only CPUExecutionProvider started"):
        check_active(SessionThatFellBack(), config(providers=(CUDA, CPU)))


@pytest.mark.usefixtures("cuda_build")
def test_a_provider_that_could_not_start_is_logged_where_falling_back_is_allowed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        check_active(SessionThatFellBack(), config(providers=(CUDA, CPU), allow_provider_fallback=True))

    assert "could not be started" in caplog.text


def test_an_unknown_provider_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ConfigError, match=rf"'QuantumExecutionProvider'.*{CPU}"):
        opened(recognizer_graph(seed=1), config(providers=("QuantumExecutionProvider",)))


@pytest.mark.parametrize("asked", [(CUDA,), (CPU, CUDA), (TENSORRT, CUDA, CPU)])
def test_a_missing_provider_is_left_out_and_logged_where_falling_back_is_allowed(
    asked: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    settings = config(providers=asked, allow_provider_fallback=True)

    assert checked_providers(settings) == [CPU]
    assert opened(recognizer_graph(seed=1), settings).get_providers() == [CPU]
    assert CUDA in caplog.text


def test_a_session_opens_from_bytes_and_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "rec.onnx"
    file.write_bytes(recognizer_graph(seed=1))

    assert opened(file, config()).get_providers() == [CPU]
    assert opened(file.read_bytes(), config()).get_providers() == [CPU]


def test_what_is_no_model_is_a_damaged_pack(tmp_path: Path) -> None:
    file = tmp_path / "rec.onnx"
    file.write_bytes(b"no model")

    with pytest.raises(PackDamaged, match=r"rec\.onnx"):
        opened(file, config())


def test_the_session_has_the_threads_and_the_memory_that_the_settings_say() -> None:
    options = session_options(config(arena=False), threads=3)

    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (3, 1)
    assert not options.enable_cpu_mem_arena
    assert session_options(config(), threads=1).enable_cpu_mem_arena


@pytest.mark.parametrize(("spinning", "entry"), [(False, "0"), (True, "1")])
def test_idle_threads_spin_only_when_told_to(spinning: bool, entry: str) -> None:
    options = session_options(config(spinning=spinning), threads=2)

    assert options.get_session_config_entry("session.intra_op.allow_spinning") == entry


@pytest.mark.usefixtures("four_cores")
@pytest.mark.parametrize(
    ("settings", "runs", "threads", "lone"),
    [
        ({}, 4, 1, 4),
        ({"runs_at_once": 2}, 2, 2, 2),
        ({"runs_at_once": 9}, 9, 1, 1),
        ({"threads_per_run": 2}, 2, 2, 2),
        ({"threads_per_run": 9}, 1, 9, 9),
        ({"runs_at_once": 3, "threads_per_run": 5}, 3, 5, 5),
    ],
)
def test_all_runs_on_the_cpu_together_have_about_as_many_threads_as_there_are_cores(
    settings: dict[str, int], runs: int, threads: int, lone: int
) -> None:
    chosen = config(**settings)

    assert (runs_at_once(chosen), threads_per_run(chosen), threads_of_a_lone_run(chosen)) == (runs, threads, lone)


def test_many_cores_make_wider_runs_not_ever_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(providers, "usable_cores", lambda: 64)

    assert (runs_at_once(config()), threads_per_run(config())) == (16, 4)


@pytest.mark.usefixtures("cuda_build", "four_cores")
def test_a_gpu_makes_one_run_at_a_time() -> None:
    assert runs_at_once(config(providers=(CUDA, CPU))) == 1
    assert runs_at_once(config(providers=(CUDA, CPU), runs_at_once=2)) == 2


def options_of(provider: str, model: bytes = b"", **settings: Any) -> dict[str, str]:
    return provider_options(provider, model, config(**settings), (1, 2, 4))


def test_cuda_searches_convolutions_as_the_settings_say() -> None:
    assert options_of(CUDA)["cudnn_conv_algo_search"] == "HEURISTIC"
    assert options_of(CUDA, convolution_search="EXHAUSTIVE")["cudnn_conv_algo_search"] == "EXHAUSTIVE"


@pytest.mark.parametrize("fp16", [False, True])
def test_each_provider_with_a_switch_of_its_own_is_told_the_precision(fp16: bool) -> None:
    graph = recognizer_graph(seed=1)

    assert options_of(TENSORRT, graph, fp16=fp16)["trt_fp16_enable"] == str(fp16)
    assert options_of(OPENVINO, fp16=fp16)["precision"] == ("FP16" if fp16 else "FP32")
    assert options_of(COREML, fp16=fp16)["AllowLowPrecisionAccumulationOnGPU"] == ("1" if fp16 else "0")


def test_tensorrt_builds_one_engine_for_all_batch_sizes() -> None:
    options = options_of(TENSORRT, recognizer_graph(seed=1))

    assert options["trt_profile_min_shapes"] == "input.1:1x3x112x112"
    assert options["trt_profile_opt_shapes"] == options["trt_profile_max_shapes"] == "input.1:4x3x112x112"


@pytest.mark.parametrize(
    "graph",
    [recognizer_graph(seed=1, batch=1), detector_graph(), scaling_graph(2.0, ["n", 3, "h", "w"])],
    ids=["nothing is open", "any height and width", "and any batch"],
)
def test_tensorrt_gets_no_profile_for_shapes_that_are_fixed_or_unknown(graph: bytes) -> None:
    assert not [name for name in options_of(TENSORRT, graph) if "profile" in name]


def test_tensorrt_keeps_the_engines_of_different_weights_apart(tmp_path: Path) -> None:
    folders = {
        options_of(TENSORRT, recognizer_graph(seed=seed), engine_cache_dir=tmp_path)["trt_engine_cache_path"]
        for seed in (1, 2)
    }

    assert len(folders) == 2
    assert all(Path(folder).is_dir() and Path(folder).parent == tmp_path for folder in folders)
    assert "trt_engine_cache_enable" not in options_of(TENSORRT, recognizer_graph(seed=1))


def test_fp16_on_the_cpu_alone_is_refused_with_the_reason() -> None:
    with pytest.raises(ConfigError, match=r"FP16.*CPUExecutionProvider.*convert"):
        opened(recognizer_graph(seed=1), config(fp16=True))


def test_fp16_is_left_out_where_falling_back_leaves_only_the_cpu(caplog: pytest.LogCaptureFixture) -> None:
    settings = config(fp16=True, providers=(CUDA,), allow_provider_fallback=True)

    assert opened(recognizer_graph(seed=1), settings).get_providers() == [CPU]
    assert "float32" in caplog.text


def both_precisions(graph: bytes) -> tuple[Any, Any]:
    """The CPU runs a float16 graph too, only slower: enough to judge its answers."""
    options = session_options(config(), threads=1)
    return tuple(
        onnxruntime.InferenceSession(model, options, providers=[CPU]) for model in (providers._in_float16(graph), graph)
    )  # type: ignore[return-value]


@pytest.mark.parametrize("graph", [recognizer_graph(seed=1), detector_graph()], ids=["recognizer", "detector"])
def test_a_model_in_float16_takes_and_gives_float32_and_answers_alike(graph: bytes) -> None:
    in_fp16, reference = both_precisions(graph)

    assert in_fp16.get_inputs()[0].type == "tensor(float)"
    assert {output.type for output in in_fp16.get_outputs()} == {"tensor(float)"}
    check_fp16(in_fp16, reference, name="model.onnx")


@pytest.mark.parametrize("factor", [1e6, float("nan")])
def test_a_model_whose_weights_leave_float16_is_refused_in_it(factor: float) -> None:
    in_fp16, reference = both_precisions(scaling_graph(factor))

    with pytest.raises(ConfigError, match=r"scaling\.onnx gives different results in float16"):
        check_fp16(in_fp16, reference, name="scaling.onnx")
