"""The converted ResNet describes faces as dlib does, and no other file is converted."""

import random
import tempfile
import tracemalloc
from collections import Counter
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from tests.carriers import carrier_files, converted_graphs
from tests.unit.worker.recognition.graphs.references import TOLERANCE, chips, references
from worker.errors import PackDamaged
from worker.recognition.graphs.dlib_layers import read_network

FILE = "dlib_face_recognition_resnet_model_v1.dat"
#: The first convolution's tensor: its version and shape, as they are written.
FIRST_SHAPE = b"\x01\x02\x02\x80\x12\x01\x01\x01\x01\x01\x01"


@pytest.fixture(scope="module")
def content() -> bytes:
    return carrier_files()[FILE]


@pytest.fixture(scope="module")
def session() -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(converted_graphs()["resnet.onnx"], providers=["CPUExecutionProvider"])


def described(session: onnxruntime.InferenceSession, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the graph's descriptors of RGB crops."""
    [descriptors] = session.run(["descriptors"], {"pixels": crops[..., ::-1]})
    return np.asarray(descriptors)


def refusal(content: bytes) -> str:
    """Return the sentence with which the content is refused."""
    with pytest.raises(PackDamaged) as caught:
        read_network(content, FILE)
    sentence = str(caught.value)
    assert sentence.startswith(f"{FILE} cannot be converted: byte ")
    assert sentence.endswith(".")
    return sentence


def test_descriptors_are_those_that_dlib_gave(session: onnxruntime.InferenceSession) -> None:
    expected = references()["resnet_descriptors"]
    np.testing.assert_allclose(described(session, chips()), expected, rtol=0, atol=TOLERANCE, strict=True)


def test_descriptors_are_those_that_dlib_gives(session: onnxruntime.InferenceSession, content: bytes) -> None:
    dlib = pytest.importorskip("dlib")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / FILE
        file.write_bytes(content)
        model = dlib.face_recognition_model_v1(str(file))
    crops = chips()
    crops = np.concatenate([crops, crops[:, :, ::-1], 255 - crops])
    expected = np.array([model.compute_face_descriptor(np.ascontiguousarray(crop)) for crop in crops])
    np.testing.assert_allclose(described(session, crops), expected, rtol=0, atol=TOLERANCE)


def test_a_crop_is_described_the_same_alone_and_in_a_batch(session: onnxruntime.InferenceSession) -> None:
    crops = chips()
    alone = np.concatenate([described(session, crop[np.newaxis]) for crop in crops])
    np.testing.assert_allclose(described(session, crops), alone, rtol=0, atol=TOLERANCE)


def test_the_network_has_29_convolutions_of_known_sizes(content: bytes) -> None:
    network = read_network(content, FILE)
    assert Counter(len(each.bias) for each in network.convolutions) == {32: 7, 64: 8, 128: 6, 256: 8}
    assert network.averages == pytest.approx((122.782, 117.001, 104.298), abs=1e-5)
    assert network.matrix.shape == (256, 128)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        pytest.param(b"\x01\x01\x01\x0d", b"\x01\x02\x01\x0d", "network's version is 2 where 1", id="version"),
        pytest.param(b"loss_metric_2", b"loss_metric_9", "b'loss_metric_9' is found where 'loss_metric_2'", id="loss"),
        pytest.param(b"\x01\x03\x01\x15", b"\x01\x02\x01\x15", "layer on the input is 2 where 3", id="last version"),
        pytest.param(
            b"\x01\x02\x01\x01\x01\x01", b"\x01\x02\x01\x02\x01\x01", "a layer's version is 2 where 1", id="tag"
        ),
        pytest.param(
            b"\x01\x96\x01\x96", b"\x01\x97\x01\x96", "size of the input is 151 150 where 150 150", id="input"
        ),
        pytest.param(b"con_4", b"con_5", "b'con_5' is found where 'con_4'", id="layer"),
        pytest.param(b"\x01\x20\x01\x07\x01\x07", b"\x01\x10\x01\x07\x01\x07", "is 16 7 7 2 2 0 0", id="filters"),
        pytest.param(b"\x01\x07\x01\x07\x01\x02", b"\x01\x07\x01\x07\x01\x01", "is 32 7 7 1 2 0 0", id="stride"),
        pytest.param(
            b"\x01\x03\x01\x03\x01\x02", b"\x01\x03\x01\x03\x01\x04", "pooling's size is 3 3 4 2 0 0", id="pooling"
        ),
        pytest.param(b"\x01\x00111", b"\x01\x00211", "", id="flag"),
    ],
)
def test_a_file_that_is_not_this_network_is_refused(content: bytes, old: bytes, new: bytes, reason: str) -> None:
    assert old in content
    assert reason in refusal(content.replace(old, new, 1))


@pytest.mark.parametrize(
    "shape",
    [
        pytest.param((1 << 40, 1, 1, 1), id="one huge side"),
        pytest.param((1 << 62,) * 4, id="a product beyond 64 bits"),
        pytest.param((-4736, -1, 1, 1), id="negative sides"),
        pytest.param((0, 1, 1, 1), id="no values"),
        pytest.param((4737, 1, 1, 1), id="one value too many"),
    ],
)
def test_a_wrong_length_is_refused_and_allocates_nothing(content: bytes, shape: tuple[int, ...]) -> None:
    assert content.index(FIRST_SHAPE) < 400
    written = b"".join(bytes([8 | (0x80 if side < 0 else 0)]) + abs(side).to_bytes(8, "little") for side in shape)
    damaged = content.replace(FIRST_SHAPE, b"\x01\x02" + written, 1)
    tracemalloc.start()
    try:
        refusal(damaged)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_a_truncated_file_is_refused_wherever_it_ends(content: bytes) -> None:
    for end in (0, 1, 20, 300, 350, 10_000, len(content) // 2, len(content) - 30, len(content) - 1):
        refusal(content[:end])


def test_trailing_bytes_are_refused(content: bytes) -> None:
    assert "3 bytes are left over at the end" in refusal(content + b"\x01\x00\x01")


def test_values_that_are_no_numbers_are_refused(content: bytes) -> None:
    at = content.index(FIRST_SHAPE) + len(FIRST_SHAPE)
    nan = np.array([np.nan], np.float32).tobytes()
    assert "values that are no numbers" in refusal(content[:at] + nan + content[at + 4 :])


def test_a_damaged_byte_at_the_beginning_never_raises_another_error(content: bytes) -> None:
    chance = random.Random(0)
    beginning = content[:20_000]  # the rest only costs time: the file is read from its beginning on
    for _ in range(500):
        damaged = bytearray(beginning)
        damaged[chance.randrange(400)] = chance.randrange(256)
        refusal(bytes(damaged))
