"""A session runs on what was asked for, or not at all."""

from pathlib import Path

import pytest

from tests.unit.recognition.synthetic_packs import recognizer_graph
from worker.errors import ConfigError, PackDamaged
from worker.recognition.providers import checked_providers, on_requested_providers, open_session

CPU = "CPUExecutionProvider"


class SessionThatFellBack:
    """What onnxruntime returns when the CUDA libraries are missing: a session on the CPU."""

    def get_providers(self) -> list[str]:
        return [CPU]


def test_a_provider_that_could_not_start_is_no_silent_fall_back_to_the_cpu() -> None:
    with pytest.raises(ConfigError, match=r"'CUDAExecutionProvider'.*active are CPUExecutionProvider"):
        on_requested_providers(SessionThatFellBack(), ["CUDAExecutionProvider", CPU])


def test_an_unknown_provider_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ConfigError, match=CPU):
        checked_providers(["QuantumExecutionProvider"])


def test_a_session_opens_from_bytes_and_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "rec.onnx"
    file.write_bytes(recognizer_graph(seed=1))

    assert open_session(file, [CPU]).get_providers() == [CPU]
    assert open_session(file.read_bytes(), [CPU]).get_providers() == [CPU]


def test_what_is_no_model_is_a_damaged_pack(tmp_path: Path) -> None:
    file = tmp_path / "rec.onnx"
    file.write_bytes(b"no model")

    with pytest.raises(PackDamaged, match=r"rec\.onnx"):
        open_session(file, [CPU])
