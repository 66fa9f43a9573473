"""The converted networks of MTCNN answer what the package's own do, and no other file is converted."""

from collections.abc import Callable

import lz4.frame
import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray

from tests.carriers import carrier_files, converted_graphs
from tests.unit.worker.recognition.graphs.references import TOLERANCE, mtcnn_inputs, references
from worker.errors import PackDamaged
from worker.recognition.graphs import edits, mtcnn_networks

NETWORKS = ("p_net", "r_net", "o_net")
CONVERSIONS: dict[str, Callable[[bytes, str], bytes]] = {
    "pnet.lz4": mtcnn_networks.proposal_graph,
    "rnet.lz4": mtcnn_networks.refinement_graph,
    "onet.lz4": mtcnn_networks.output_graph,
}


def answers(graph: bytes, pixels: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
    """Return the graph's outputs by their names, for RGB pixels."""
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"pixels": pixels[..., ::-1]}), strict=True))


def assert_as_the_package(network: str, found: dict[str, NDArray[np.float32]]) -> None:
    expected = {
        name.removeprefix(f"{network}_"): values for name, values in references().items() if name.startswith(network)
    }
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=0, atol=TOLERANCE, err_msg=name, strict=True)


@pytest.mark.parametrize("network", NETWORKS)
def test_a_network_answers_what_the_package_does(network: str) -> None:
    assert_as_the_package(network, answers(converted_graphs()[f"{network}.onnx"], mtcnn_inputs()[network]))


@pytest.mark.parametrize("network", NETWORKS)
def test_it_answers_the_same_once_its_prelus_are_spread(network: str) -> None:
    model = onnx.load_model_from_string(converted_graphs()[f"{network}.onnx"])
    assert edits.spread_prelu(model)
    assert not [node for node in model.graph.node if node.op_type == "PRelu" and "conv" in node.input[0]]
    assert_as_the_package(network, answers(model.SerializeToString(), mtcnn_inputs()[network]))


@pytest.mark.parametrize("network", NETWORKS)
def test_an_item_answers_the_same_alone_and_in_a_batch(network: str) -> None:
    graph, pixels = converted_graphs()[f"{network}.onnx"], mtcnn_inputs()[network]
    pixels = np.concatenate([pixels, pixels[:, ::-1], pixels[:, :, ::-1]])
    together = answers(graph, pixels)
    for place in range(len(pixels)):
        for name, values in answers(graph, pixels[place : place + 1]).items():
            np.testing.assert_allclose(together[name][place], values[0], rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize(
    ("height", "width", "rows", "columns"), [(12, 12, 1, 1), (13, 12, 2, 1), (14, 15, 2, 3), (75, 100, 33, 45)]
)
def test_p_net_takes_any_size_from_12_pixels_on(height: int, width: int, rows: int, columns: int) -> None:
    found = answers(converted_graphs()["p_net.onnx"], np.zeros((2, height, width, 3), np.uint8))
    assert found["faces"].shape == (2, rows, columns)
    assert found["boxes"].shape == (2, rows, columns, 4)


@pytest.mark.parametrize("file", CONVERSIONS)
def test_another_networks_weights_are_refused(file: str) -> None:
    other = {"pnet.lz4": "rnet.lz4", "rnet.lz4": "onet.lz4", "onet.lz4": "pnet.lz4"}[file]
    with pytest.raises(PackDamaged, match=rf"^{file} cannot be converted: array \d+ has the shape .* was expected\.$"):
        CONVERSIONS[file](carrier_files()[other], file)


def test_too_few_and_too_many_arrays_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = mtcnn_networks.read_arrays(carrier_files()["pnet.lz4"], "pnet.lz4", most_bytes=100_000)
    assert len(arrays) == 13
    for given, reason in (
        (arrays[:-1], "array 13 has the shape None where"),
        ([*arrays, arrays[0]], "it holds 14 arrays where 13 were expected"),
    ):
        monkeypatch.setattr(mtcnn_networks, "read_arrays", lambda *_, given=given, **__: given)
        with pytest.raises(PackDamaged, match=reason):
            mtcnn_networks.proposal_graph(b"", "pnet.lz4")


def test_a_file_that_unpacks_to_gigabytes_is_refused() -> None:
    bomb = lz4.frame.compress(bytes(50_000_000))
    with pytest.raises(
        PackDamaged, match=r"^pnet\.lz4 cannot be converted: it unpacks to more than 4,000,000 bytes\.$"
    ):
        mtcnn_networks.proposal_graph(bomb, "pnet.lz4")
