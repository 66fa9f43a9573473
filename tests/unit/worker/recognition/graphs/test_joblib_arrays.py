"""Only a list of float32 arrays is read; nothing is imported, called or allocated for anything else."""

import os
import pickle
import random
import tracemalloc
from pathlib import Path

import lz4.frame
import numpy as np
import pytest

from tests.carriers import carrier_files
from worker.errors import PackDamaged
from worker.recognition.graphs.joblib_arrays import read_arrays

MOST_BYTES = 1_000_000


@pytest.fixture(scope="module")
def pickled() -> bytes:
    """The pickle inside P-Net's file."""
    unpacked: bytes = lz4.frame.decompress(carrier_files()["pnet.lz4"])
    return unpacked


def refusal(content: bytes) -> str:
    """Return the sentence with which the content is refused."""
    with pytest.raises(PackDamaged) as caught:
        read_arrays(content, "pnet.lz4", most_bytes=MOST_BYTES)
    sentence = str(caught.value)
    assert sentence.startswith("pnet.lz4 cannot be converted: ")
    assert sentence.endswith(".")
    return sentence


def refusal_of_pickle(content: bytes) -> str:
    return refusal(lz4.frame.compress(content))


class _Command:
    """Pickled, it asks whoever unpickles it to run a command."""

    def __init__(self, command: str) -> None:
        self._command = command

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (self._command,)


def test_the_arrays_are_read_in_their_order_and_shapes(pickled: bytes) -> None:
    arrays = read_arrays(carrier_files()["pnet.lz4"], "pnet.lz4", most_bytes=len(pickled))
    shapes = [array.shape for array in arrays]
    assert shapes[:6] == [(3, 3, 3, 10), (10,), (1, 1, 10), (3, 3, 10, 16), (16,), (1, 1, 16)]
    assert shapes[6:] == [(3, 3, 16, 32), (32,), (1, 1, 32), (1, 1, 32, 4), (4,), (1, 1, 32, 2), (2,)]
    assert all(array.dtype == np.float32 for array in arrays)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_that_runs_a_command_is_refused_and_runs_nothing(tmp_path: Path, protocol: int) -> None:
    trace = tmp_path / "ran"
    sentence = refusal_of_pickle(pickle.dumps([_Command(f"touch {trace}")], protocol=protocol))
    assert not trace.exists()
    if protocol >= 4:
        assert "its pickle names 'posix.system', which no list of arrays needs" in sentence


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b"NumpyArrayWrapper", b"NumpyArrayWrappex", "names 'joblib.numpy_pickle.NumpyArrayWrappex'"),
        (b"ndarray", b"memmaps", "names 'numpy.memmaps'"),
        (b"f4", b"f8", "makes something else than arrays of float32"),
        (b"f4", b"O8", "makes something else than arrays of float32"),
        (b"order\x94\x8c\x01C", b"order\x94\x8c\x01F", "something else than plain arrays"),
        (b"\x8c\x01<", b"\x8c\x01>", "an array's bytes are in another order"),
        (b"K\x03K\x03K\x03K\x0a", b"K\x03K\x03K\x03K\x00", "its shape is wrong"),
        (b"K\x03K\x03K\x03K\x0a", b"K\xffK\xffK\xffK\xff", "an array was cut short"),
    ],
)
def test_a_changed_description_is_refused(pickled: bytes, old: bytes, new: bytes, reason: str) -> None:
    assert old in pickled
    assert reason in refusal_of_pickle(pickled.replace(old, new, 1))


def test_values_that_are_no_numbers_are_refused(pickled: bytes) -> None:
    first = read_arrays(carrier_files()["pnet.lz4"], "pnet.lz4", most_bytes=MOST_BYTES)[0].tobytes()
    nan = np.array([np.nan], np.float32).tobytes()
    assert "values that are no numbers" in refusal_of_pickle(pickled.replace(first, nan + first[4:]))


@pytest.mark.parametrize(
    "content", [[1.0, 2.0], {"a": 1}, "text", None, [[1]], b"bytes", [bytearray(8)], 3], ids=lambda value: repr(value)
)
def test_other_pickles_are_refused(content: object) -> None:
    refusal_of_pickle(pickle.dumps(content, protocol=4))


def test_a_truncated_file_is_refused_wherever_it_ends(pickled: bytes) -> None:
    content = carrier_files()["pnet.lz4"]
    for end in (0, 1, 7, 100, 5000, len(content) - 5, len(content) - 1):
        refusal(content[:end])
    for end in (0, 1, 100, 230, 231, 1000, len(pickled) - 1):
        refusal_of_pickle(pickled[:end])


def test_trailing_bytes_are_refused(pickled: bytes) -> None:
    assert "bytes are left over at its end" in refusal(carrier_files()["pnet.lz4"] + b"more")
    assert "something is left over" in refusal_of_pickle(pickled + b"more")


def test_a_file_that_is_no_lz4_frame_is_refused() -> None:
    assert "it is damaged, or no list of arrays" in refusal(b"PK\x03\x04" + bytes(100))


def test_a_frame_that_unpacks_to_more_is_refused_before_it_is_unpacked() -> None:
    bomb = lz4.frame.compress(bytes(200_000_000))
    tracemalloc.start()
    try:
        assert "it unpacks to more than 1,000,000 bytes" in refusal(bomb)
        assert tracemalloc.get_traced_memory()[1] < 10 * MOST_BYTES
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "operation",
    [
        b"\x8e" + (1 << 40).to_bytes(8, "little"),  # BINBYTES8
        b"\x96" + (1 << 40).to_bytes(8, "little"),  # BYTEARRAY8
        b"\x8d" + (1 << 40).to_bytes(8, "little"),  # BINUNICODE8
        b"\x8b" + b"\xff\xff\xff\x7f",  # LONG4
        b"(K\xffJ\xff\xff\xff\x7fJ\xff\xff\xff\x7ft",  # a shape
    ],
    ids=["bytes", "bytearray", "text", "integer", "shape"],
)
def test_a_huge_length_allocates_nothing(pickled: bytes, operation: bytes) -> None:
    shape = b"(K\x03K\x03K\x03K\x0at"
    tracemalloc.start()
    try:
        refusal_of_pickle(pickled.replace(shape, operation, 1))
        assert tracemalloc.get_traced_memory()[1] < 10 * MOST_BYTES
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "use", [b"}(%sK\x00u.", b"\x8c\x05numpy%s\x93.", b"%s\x8c\x05numpy\x93."], ids=["key", "name", "module"]
)
def test_nested_tuples_take_no_time(use: bytes) -> None:
    doubled = b"".join(b"h" + bytes([place, ord("h"), place]) + b"\x86\x94" for place in range(60))
    refusal_of_pickle(b"\x80\x04" + use % (b")\x94" + doubled))


def test_a_damaged_byte_never_raises_another_error(pickled: bytes) -> None:
    chance = random.Random(0)
    refused = 0
    for _ in range(2000):
        damaged = bytearray(pickled)
        damaged[chance.choice((chance.randrange(300), chance.randrange(len(pickled))))] = chance.randrange(256)
        try:
            read_arrays(lz4.frame.compress(bytes(damaged)), "pnet.lz4", most_bytes=MOST_BYTES)
        except PackDamaged:
            refused += 1
    assert refused > 500
