"""A model answers each caller with what is its own, however its runs are put together."""

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from tests.unit.worker.recognition.synthetic_packs import detector_graph, recognizer_graph
from worker.config import FaceConfig
from worker.errors import Busy, NotOpen, PackDamaged
from worker.recognition import model as model_module
from worker.recognition import providers
from worker.recognition.model import GPU_BATCH_SIZES, OnnxModel

PATIENCE_SECONDS = 30
SIZES = (1, 2, 4)


def doubling_graph(batch: str | int = "n", width: str | int = 3) -> bytes:
    """Return a graph with two outputs: twice its input (n, width), and the sum of each row (n,)."""
    shape: list[str | int] = [batch, width]
    graph = helper.make_graph(
        [
            helper.make_node("Add", ["x", "x"], ["twice"]),
            helper.make_node("ReduceSum", ["x", "axes"], ["sum"], keepdims=0),
        ],
        "doubling",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [
            helper.make_tensor_value_info("twice", TensorProto.FLOAT, shape),
            helper.make_tensor_value_info("sum", TensorProto.FLOAT, [batch]),
        ],
        [numpy_helper.from_array(np.array([1], np.int64), "axes")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    return bytes(model.SerializeToString())


def row(value: float) -> NDArray[np.float32]:
    return np.full(3, value, np.float32)


def config(**settings: Any) -> FaceConfig:
    return FaceConfig(packs_dir=Path("packs"), **settings)


class Watched:
    """A session that remembers what it was given; runs wait for `gate` when there is one."""

    def __init__(self, session: Any, gate: threading.Semaphore | None = None) -> None:
        self._session = session
        self._gate = gate
        self.given: list[NDArray[Any]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def run(self, names: Any, inputs: dict[str, NDArray[Any]]) -> Any:
        self.given += inputs.values()
        if self._gate is not None:
            assert self._gate.acquire(timeout=PATIENCE_SECONDS)
        return self._session.run(names, inputs)

    @property
    def batches(self) -> list[tuple[int, ...]]:
        return [batch.shape for batch in self.given]

    @property
    def sizes(self) -> list[int]:
        return [shape[0] for shape in self.batches]


class Opened:
    """What a test opens is closed after it."""

    def __init__(self) -> None:
        self.models: list[OnnxModel] = []

    def __call__(
        self,
        graph: bytes | Path,
        *,
        has_batch: bool = True,
        cpu_batch_sizes: Sequence[int] = (1,),
        items_per_call: int = 1,
        **settings: Any,
    ) -> OnnxModel:
        model = OnnxModel(
            graph,
            config(**settings),
            name="model",
            has_batch=has_batch,
            cpu_batch_sizes=cpu_batch_sizes,
            items_per_call=items_per_call,
        )
        self.models.append(model)
        return model


@pytest.fixture
def open_model() -> Iterator[Opened]:
    opened = Opened()
    yield opened
    for model in opened.models:
        model.close()


@pytest.fixture
def like_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is asked for, the CPU computes, arranged as a GPU would be: one runner, padded batches."""
    monkeypatch.setattr(providers, "CPU", "no provider")
    monkeypatch.setattr(model_module, "CPU", "no provider")


def wait_until(condition: Callable[[], bool]) -> None:
    """Return when it holds: without this a test could not know how far the other threads are."""
    pause = threading.Event()
    for _ in range(PATIENCE_SECONDS * 1000):
        if condition():
            return
        pause.wait(0.001)
    raise AssertionError("It never happened.")


def watch(model: OnnxModel, gate: threading.Semaphore | None = None) -> Watched:
    watched = Watched(model._session, gate)
    model._session = model._wide_session = watched
    return watched


def test_the_file_says_what_the_model_takes(open_model: Opened) -> None:
    model = open_model(recognizer_graph(seed=1))

    assert model.input_name == "input.1"
    assert model.input_shape == ("n", 3, 112, 112)
    assert model.providers == ("CPUExecutionProvider",)
    assert model.is_healthy


def test_an_item_gets_all_outputs_without_the_batch_axis(open_model: Opened) -> None:
    [(twice, total)] = open_model(doubling_graph()).run([row(2)])

    assert twice.tolist() == [4, 4, 4]
    assert total == 6


@pytest.mark.usefixtures("like_a_gpu")
@pytest.mark.parametrize("count", [1, 2, 3, 5, 31, 33])
def test_a_padded_batch_answers_as_each_item_alone(count: int, open_model: Opened) -> None:
    model = open_model(recognizer_graph(seed=1))
    watched = watch(model)
    crops = np.random.default_rng(1).standard_normal((count, 3, 112, 112), np.float32)

    together = model.run(list(crops))

    assert set(watched.sizes) <= set(GPU_BATCH_SIZES)
    assert sum(watched.sizes) >= count
    assert len(watched.sizes) <= 2, "in as few runs as can be"
    for crop, (embedding,) in zip(crops, together, strict=True):
        [(alone,)] = model.run([crop])
        np.testing.assert_allclose(embedding, alone, rtol=1e-4, atol=1e-4)


def test_a_batch_on_the_cpu_answers_as_each_item_alone_and_pads_nothing(open_model: Opened) -> None:
    model = open_model(recognizer_graph(seed=1), cpu_batch_sizes=SIZES, runs_at_once=1)
    watched = watch(model)
    crops = np.random.default_rng(1).standard_normal((7, 3, 112, 112), np.float32)

    together = model.run(list(crops))

    assert watched.sizes == [4, 2, 1]
    for crop, (embedding,) in zip(crops, together, strict=True):
        [(alone,)] = model.run([crop])
        np.testing.assert_allclose(embedding, alone, rtol=1e-4, atol=1e-4)


def test_an_array_is_run_as_it_is_where_it_fills_a_batch(open_model: Opened) -> None:
    model = open_model(doubling_graph(), cpu_batch_sizes=SIZES, runs_at_once=1)
    watched = watch(model)
    items = np.arange(21, dtype=np.float32).reshape(7, 3)

    outputs = model.run(items)

    assert watched.sizes == [4, 2, 1]
    assert all(np.shares_memory(batch, items) for batch in watched.given)
    np.testing.assert_array_equal([twice for twice, _ in outputs], 2 * items)


def total_graph() -> bytes:
    """Return a graph that takes pictures of any size, uint8 (n, h, w, 3): half of each value, and the sum (n,)."""
    shape = ["n", "h", "w", 3]
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["x"], ["value"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["value", "half"], ["halves"]),
            helper.make_node("ReduceSum", ["value", "axes"], ["sum"], keepdims=0),
        ],
        "total",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, shape)],
        [
            helper.make_tensor_value_info("halves", TensorProto.FLOAT, shape),
            helper.make_tensor_value_info("sum", TensorProto.FLOAT, ["n"]),
        ],
        [
            numpy_helper.from_array(np.float32(0.5), "half"),
            numpy_helper.from_array(np.array([1, 2, 3], np.int64), "axes"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    return bytes(model.SerializeToString())


def assert_items_of_many_shapes_answer_as_alone(model: OnnxModel, counts: dict[tuple[int, int], int]) -> None:
    random = np.random.default_rng(1)
    items = [
        random.integers(0, 256, (*size, 3)).astype(np.uint8) for size, count in counts.items() for _ in range(count)
    ]
    random.shuffle(items)  # type: ignore[arg-type]

    together = model.run(items)

    for item, (halves, total) in zip(items, together, strict=True):
        np.testing.assert_array_equal(halves, item / 2)
        assert total == item.sum()


@pytest.mark.parametrize("runs_at_once", [1, 2])
@pytest.mark.parametrize("sizes", [(1,), SIZES, (1, 8)])
def test_items_of_many_shapes_answer_as_alone(sizes: tuple[int, ...], runs_at_once: int, open_model: Opened) -> None:
    model = open_model(total_graph(), cpu_batch_sizes=sizes, runs_at_once=runs_at_once)
    watched = watch(model)

    assert_items_of_many_shapes_answer_as_alone(model, {(3, 4): 5, (4, 3): 4, (12, 1): 1, (20, 30): 3})

    assert set(watched.sizes) <= set(sizes)
    assert len(watched.batches) <= 13


@pytest.mark.usefixtures("like_a_gpu")
def test_items_of_many_shapes_are_padded_shape_by_shape(open_model: Opened) -> None:
    model = open_model(total_graph())
    gate = threading.Semaphore(0)
    watched = watch(model, gate)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(model.run, [np.zeros((1, 1, 3), np.uint8)])
        wait_until(lambda: bool(watched.batches))
        others = pool.submit(assert_items_of_many_shapes_answer_as_alone, model, {(3, 4): 5, (4, 3): 3, (20, 30): 1})
        wait_until(lambda: model._batcher.waiting == 9)
        gate.release(100)
        first.result(PATIENCE_SECONDS)
        others.result(PATIENCE_SECONDS)

    assert sorted(watched.batches[1:]) == [(1, 20, 30, 3), (4, 4, 3, 3), (8, 3, 4, 3)]


@pytest.mark.parametrize(("items_per_call", "room"), [(1, 4), (3, 12), (100, 16)])
def test_calls_with_many_items_do_not_make_others_busy_sooner(
    items_per_call: int, room: int, open_model: Opened
) -> None:
    model = open_model(
        doubling_graph(), cpu_batch_sizes=SIZES, items_per_call=items_per_call, runs_at_once=1, max_waiting=4
    )
    gate = threading.Semaphore(0)
    watched = watch(model, gate)
    with ThreadPoolExecutor(20) as pool:
        calls = [pool.submit(model.run, [row(0)])]
        wait_until(lambda: bool(watched.batches))
        for waiting in range(2, room + 1, 2):
            calls.append(pool.submit(model.run, [row(1), row(2)]))
            wait_until(lambda waiting=waiting: model._batcher.waiting == waiting)

        with pytest.raises(Busy, match=f"{room} items wait for model"):
            model.run([row(1)])

        gate.release(100)
        assert sum(len(call.result(PATIENCE_SECONDS)) for call in calls) == 1 + room


@pytest.mark.usefixtures("like_a_gpu")
def test_a_result_does_not_hold_the_batch_it_came_from(open_model: Opened) -> None:
    results = open_model(doubling_graph()).run([row(value) for value in range(5)])

    assert all(output.base is None or output.base.size == output.size for result in results for output in result)


@pytest.mark.parametrize("runs_at_once", [1, 3])
def test_sixteen_threads_get_their_own(runs_at_once: int, open_model: Opened) -> None:
    model = open_model(doubling_graph(), cpu_batch_sizes=(1, 4, 8), runs_at_once=runs_at_once)

    def caller(number: int) -> None:
        dice = random.Random(number)
        for _ in range(50):
            values = [dice.randrange(1_000_000) for _ in range(dice.choice((1, 1, 2, 9)))]
            results = model.run([row(value) for value in values])
            assert [twice[0] for twice, _ in results] == [2 * value for value in values]
            assert [total for _, total in results] == [3 * value for value in values]

    with ThreadPoolExecutor(16) as pool:
        for each in [pool.submit(caller, number) for number in range(16)]:
            each.result(PATIENCE_SECONDS)


@pytest.mark.usefixtures("like_a_gpu")
@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(np.zeros(4, np.float32), id="too wide"),
        pytest.param(np.zeros((3, 1), np.float32), id="an axis too many"),
        pytest.param(np.zeros(3, np.uint8), id="a type that others would change"),
        pytest.param(np.zeros(3, np.float64), id="a type that would change others"),
    ],
)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_an_item_that_the_model_does_not_take_fails_alone(wrong: NDArray[Any], place: int, open_model: Opened) -> None:
    model = open_model(doubling_graph())
    gate = threading.Semaphore(0)
    watched = watch(model, gate)
    items: list[NDArray[Any]] = [row(1), row(2)]
    items.insert(place, wrong)
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(model.run, [row(0)])
        wait_until(lambda: bool(watched.batches))
        answers = []
        for waiting, item in enumerate(items, start=1):
            answers.append(pool.submit(model.run, [item]))
            wait_until(lambda waiting=waiting: model._batcher.waiting == waiting)
        gate.release(100)

        assert first.result(PATIENCE_SECONDS)[0][1] == 0
        with pytest.raises(Exception, match=r"(?i)shape|dimension|rank|type|cast|invalid"):
            answers.pop(place).result(PATIENCE_SECONDS)
        assert [answer.result(PATIENCE_SECONDS)[0][1] for answer in answers] == [3, 6]
    assert model.is_healthy


def test_a_detector_with_a_batch_of_one_inside_hands_its_outputs_over_whole(open_model: Opened) -> None:
    model = open_model(detector_graph(), has_batch=False)
    items = [np.full((3, 64, 64), value, np.float32) for value in (-1, 0, 1)]

    results = model.run(items)

    expected = [model._session.run(None, {"input.1": item[np.newaxis]}) for item in items]
    for result, outputs in zip(results, expected, strict=True):
        assert [output.shape for output in result] == [output.shape for output in outputs]
        assert result[0].shape == (8 * 8 * 2, 1)
        for got, wanted in zip(result, outputs, strict=True):
            np.testing.assert_array_equal(got, wanted)


def test_a_model_for_exactly_one_crop_is_run_with_one_at_a_time(open_model: Opened) -> None:
    model = open_model(recognizer_graph(seed=1, batch=1), cpu_batch_sizes=SIZES)
    watched = watch(model)

    results = model.run([np.zeros((3, 112, 112), np.float32)] * 3)

    assert [embedding.shape for (embedding,) in results] == [(512,)] * 3
    assert watched.sizes == [1, 1, 1]


def test_a_model_without_a_batch_axis_in_its_outputs_is_no_model_with_one(open_model: Opened) -> None:
    model = open_model(detector_graph())

    with pytest.raises(RuntimeError, match="without a batch axis"):
        model.run([np.zeros((3, 64, 64), np.float32)])


@pytest.mark.parametrize("sizes", [(1,), (1, 2, 4)])
def test_warming_up_runs_every_batch_size_that_will_come(sizes: tuple[int, ...], open_model: Opened) -> None:
    model = open_model(doubling_graph(), cpu_batch_sizes=sizes)
    watched = watch(model)

    model.warm_up(row(1))

    assert set(watched.sizes) == set(sizes)


@pytest.mark.usefixtures("like_a_gpu")
def test_warming_up_on_a_gpu_runs_every_bucket(open_model: Opened) -> None:
    model = open_model(doubling_graph())
    watched = watch(model)

    model.warm_up(row(1))

    assert set(watched.sizes) == set(GPU_BATCH_SIZES)


@pytest.fixture
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(providers, "usable_cores", lambda: 2)


@pytest.mark.usefixtures("two_cores")
def test_a_run_that_has_the_processor_to_itself_uses_all_of_it(open_model: Opened) -> None:
    model, other = open_model(doubling_graph()), open_model(doubling_graph())
    gate = threading.Semaphore(0)
    wide = model._wide_session = Watched(model._wide_session)
    narrow = model._session = Watched(model._session)
    others_run = watch(other, gate)

    assert wide.get_session_options().intra_op_num_threads == 2
    assert narrow.get_session_options().intra_op_num_threads == 1
    model.warm_up(row(1))
    assert (len(wide.batches), len(narrow.batches)) == (1, 1)
    model.run([row(1)])
    assert (len(wide.batches), len(narrow.batches)) == (2, 1)

    with ThreadPoolExecutor(1) as pool:
        under_way = pool.submit(other.run, [row(1)])
        wait_until(lambda: bool(others_run.batches))
        model.run([row(1)])
        gate.release()
        under_way.result(PATIENCE_SECONDS)
    assert (len(wide.batches), len(narrow.batches)) == (2, 2)


@pytest.mark.usefixtures("two_cores")
@pytest.mark.parametrize("settings", [{"runs_at_once": 2}, {"threads_per_run": 1}, {"runs_at_once": 1}])
def test_the_weights_are_held_once_where_the_settings_say_how_runs_are_made(
    settings: dict[str, int], open_model: Opened
) -> None:
    model = open_model(doubling_graph(), **settings)

    assert model._wide_session is model._session


def test_what_is_no_model_is_a_damaged_pack_by_name(tmp_path: Path, open_model: Opened) -> None:
    file = tmp_path / "w.onnx"
    file.write_bytes(b"no model")

    with pytest.raises(PackDamaged, match="model cannot be loaded"):
        open_model(file)


def test_a_closed_model_says_so(open_model: Opened) -> None:
    model = open_model(doubling_graph())
    model.run([row(1)])
    model.close()
    model.close()

    assert not model.is_healthy
    with pytest.raises(NotOpen, match="model"):
        model.run([row(1)])
