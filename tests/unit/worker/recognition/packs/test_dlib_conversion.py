"""The pack's graphs are made from the published files, and always the same."""

import hashlib

import onnx
import pytest

from tests.carriers import carrier_files, converted_graphs
from worker.errors import PackDamaged
from worker.recognition.packs.dlib_conversion import SOURCES, converted

PIXELS_OF = {
    "p_net.onnx": ["n", None, None, 3],
    "r_net.onnx": ["n", 24, 24, 3],
    "o_net.onnx": ["n", 48, 48, 3],
    "resnet.onnx": ["n", 150, 150, 3],
}
OUTPUTS_OF = {
    "p_net.onnx": {"faces": ["n", "rows", "columns"], "boxes": ["n", "rows", "columns", 4]},
    "r_net.onnx": {"faces": ["n"], "boxes": ["n", 4]},
    "o_net.onnx": {"faces": ["n"], "boxes": ["n", 4], "landmarks": ["n", 10]},
    "resnet.onnx": {"descriptors": ["n", 128]},
}


def axes(value: onnx.ValueInfoProto) -> list[int | str | None]:
    return [axis.dim_value or axis.dim_param or None for axis in value.type.tensor_type.shape.dim]


def test_the_graphs_take_pixels_and_give_what_detector_and_recognizer_expect() -> None:
    graphs = {name: onnx.load_model_from_string(content).graph for name, content in converted_graphs().items()}
    assert {name: [axes(taken) for taken in graph.input] for name, graph in graphs.items()} == {
        name: [shape] for name, shape in PIXELS_OF.items()
    }
    assert all(graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8 for graph in graphs.values())
    assert {name: {given.name: axes(given) for given in graph.output} for name, graph in graphs.items()} == OUTPUTS_OF


def test_converting_twice_gives_the_same_bytes() -> None:
    again = converted(dict(reversed(carrier_files().items())))
    assert {name: hashlib.sha256(content).hexdigest() for name, content in again.items()} == {
        name: hashlib.sha256(content).hexdigest() for name, content in converted_graphs().items()
    }


@pytest.mark.parametrize("source", SOURCES)
def test_a_damaged_source_is_named(source: str) -> None:
    sources = carrier_files()
    with pytest.raises(PackDamaged, match=f"^{source} cannot be converted: "):
        converted({**sources, source: sources[source][:-1]})


def test_a_missing_source_is_named() -> None:
    sources = {name: content for name, content in carrier_files().items() if name != "rnet.lz4"}
    with pytest.raises(PackDamaged, match=r"without rnet\.lz4\.$"):
        converted(sources)
