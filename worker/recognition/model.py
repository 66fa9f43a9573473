"""One ONNX model shared by many threads: its sessions, and how callers' inputs become runs."""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from worker.config import FaceConfig
from worker.recognition.batching import Batcher
from worker.recognition.providers import CPU, open_session, runs_at_once, threads_of_a_lone_run, threads_per_run

#: A GPU takes hardly longer for many items than for one. Few sizes, because it is tuned for each of them.
GPU_BATCH_SIZES = (1, 2, 4, 8, 16, 32)

Items = Sequence[NDArray[Any]] | NDArray[Any]
#: All outputs of the model for one input.
Outputs = tuple[NDArray[Any], ...]


class _Runs:
    """Counts the current runs of all models of the process, which share its cores."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0

    def __enter__(self) -> int:
        """Return how many other runs there are."""
        with self._lock:
            self._count += 1
            return self._count - 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._count -= 1


_runs = _Runs()


class OnnxModel:
    """One ONNX model; callers on many threads share its runs. Safe to share between threads.

    An item is one input without its batch axis. All runs share one session, and so the weights. On the CPU there is a
    second session for a run that has the processor to itself: that run uses all cores, whereas many runs at a time have
    a higher total throughput on one thread each. The second session holds the weights again; setting RUNS_AT_ONCE or
    THREADS_PER_RUN in FACE_CONFIG turns it off.
    """

    def __init__(
        self,
        source: Path | bytes,
        config: FaceConfig,
        *,
        name: str,
        has_batch: bool = True,
        cpu_batch_sizes: Sequence[int] = (1,),
        items_per_call: int = 1,
    ) -> None:
        """Open the sessions and start the runners; call it after a fork. Blocks while the model loads.

        Without `has_batch` each item is run alone and the outputs are returned unchanged: for models with a fixed batch
        of 1 inside. `cpu_batch_sizes`: on the CPU larger batches gain little for small inputs, and cost time for large
        ones, whose activations no longer fit into the cache. `items_per_call`: how many items the call for one picture
        may well have, such as a detector's candidates; so many times as many as FaceConfig's `max_waiting` may wait.

        Raises PackDamaged when the model cannot be loaded, ConfigError for a provider that is not available.
        """
        threads, lone_threads = threads_per_run(config), threads_of_a_lone_run(config)
        self._name = name
        self._has_batch = has_batch
        self._session = open_session(source, config, name=name, threads=threads, batch_sizes=GPU_BATCH_SIZES)
        self.providers: tuple[str, ...] = tuple(self._session.get_providers())
        taken = self._session.get_inputs()[0]
        self.input_name: str = taken.name
        #: As in the file: a name or None for an axis of any size.
        self.input_shape: tuple[int | str | None, ...] = tuple(taken.shape)
        is_on_cpu = self.providers[0] == CPU
        self._wide_session = self._session
        if is_on_cpu and lone_threads != threads:
            self._wide_session = open_session(source, config, name=name, threads=lone_threads)
        self._batch_sizes = self._sizes(cpu_batch_sizes if is_on_cpu else GPU_BATCH_SIZES)
        self._batcher: Batcher[NDArray[Any], Outputs] = Batcher(
            self._run,
            name=name,
            batch_sizes=self._batch_sizes,
            pads=not is_on_cpu,
            runners=runs_at_once(config),
            # No call counts as more than one run's items.
            max_waiting=config.max_waiting * min(items_per_call, max(self._batch_sizes)),
        )

    @property
    def is_healthy(self) -> bool:
        """False once a thread that runs the model has died, after close(), and in a forked child."""
        return self._batcher.is_healthy

    def run(self, items: Items) -> list[Outputs]:
        """Return the outputs of each item, in order; without the batch axis where the model `has_batch`.

        An array holds one item in each row; where it can be run as it is, it is not copied.

        Blocks until all are done. Raises what onnxruntime or NumPy raised for an item that the model does not accept,
        which fails alone; Busy, ModelStopped and NotOpen like `Batcher.run`.
        """
        return self._batcher.run(cast("Sequence[NDArray[Any]]", items))

    def warm_up(self, item: NDArray[Any]) -> None:
        """Run every batch size that the model will be given: the first run chooses algorithms and allocates memory."""
        for size in self._batch_sizes:
            self._run_on(self._session, [item] * size)
        self._run_on(self._wide_session, [item])

    def close(self) -> None:
        """Stop the runners; see `Batcher.close`. Safe to call twice."""
        self._batcher.close()

    def _sizes(self, wanted: Sequence[int]) -> tuple[int, ...]:
        fixed = self.input_shape[0]
        if not self._has_batch:
            return (1,)
        return (fixed,) if isinstance(fixed, int) else tuple(wanted)

    def _run(self, items: Items) -> list[Outputs]:
        with _runs as others:
            has_wide = self._wide_session is not self._session
            is_alone = has_wide and len(items) == 1 and not others and not self._batcher.waiting
            return self._run_on(self._wide_session if is_alone else self._session, items)

    def _run_on(self, session: Any, items: Items) -> list[Outputs]:
        """Run items of one shape together; those of several shapes, such as a detector's levels, shape by shape."""
        if isinstance(items, np.ndarray) or len(items) == 1:
            return self._run_alike(session, items)
        places: dict[tuple[int, ...], list[int]] = {}
        for place, item in enumerate(items):
            places.setdefault(item.shape, []).append(place)
        if len(places) == 1:
            return self._run_alike(session, items)
        outputs: dict[int, Outputs] = {}
        for alike in places.values():
            outputs.update(zip(alike, self._run_alike(session, [items[place] for place in alike]), strict=True))
        return [outputs[place] for place in range(len(items))]

    def _run_alike(self, session: Any, items: Items) -> list[Outputs]:
        batch = self._batch(items)
        outputs = session.run(None, {self.input_name: batch})
        if not self._has_batch:
            return [tuple(outputs)]
        if any(len(output) != len(batch) for output in outputs):
            raise RuntimeError(f"{self._name} answers without a batch axis: its shapes or has_batch are wrong.")
        return list(zip(*(_rows(output, len(items)) for output in outputs), strict=True))

    def _batch(self, items: Items) -> NDArray[Any]:
        """Stack the items, the last one repeated up to the next batch size."""
        size = next(size for size in self._batch_sizes if size >= len(items))
        if isinstance(items, np.ndarray) and len(items) == size:
            return items
        if size == 1:
            return items[0][np.newaxis]
        padded = [*items, *[items[-1]] * (size - len(items))]
        # No casting: one item of another type would change its neighbours' type, and go unnoticed.
        return np.stack(padded, dtype=items[0].dtype, casting="no")


def _rows(output: NDArray[Any], count: int) -> list[NDArray[Any]]:
    """Return the first rows; copies where a view would keep the whole batch in memory."""
    return [output[0]] if len(output) == 1 else [row.copy() for row in output[:count]]
