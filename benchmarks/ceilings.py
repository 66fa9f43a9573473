"""A pack's bare models: its graphs on prepared inputs, with no work before or after. What an engine can reach at best.

A ceiling tries several combinations of threads and batches and takes the fastest.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from time import perf_counter
from typing import Any, Protocol
from unittest.mock import patch

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from worker.config import FaceConfig, usable_cores
from worker.prefetch import prefetched
from worker.recognition.detectors import mtcnn
from worker.recognition.engine import FaceEngine
from worker.recognition.graphs.edits import spread_prelu
from worker.recognition.graphs.repairs import repaired_detector, repaired_recognizer
from worker.recognition.interfaces import Image
from worker.recognition.model import GPU_BATCH_SIZES, OnnxModel
from worker.recognition.packs.catalogue import known_pack
from worker.recognition.packs.insightface import choose_files
from worker.recognition.packs.loading import find_folder
from worker.recognition.providers import CPU
from worker.recognition.recognizers.dlib import CPU_BATCH_SIZES

#: The fetched pack, as the catalogue calls it.
DLIB = "dlib"
Runs = list[Callable[[], object]]
TRIES = 3


class Ceiling(Protocol):
    def run(self, pictures: int, faces: int) -> None:
        """Run the models as often as that many pictures need, with that many faces each."""


class InsightFaceCeiling:
    """The pack's two repaired graphs, on random inputs."""

    def __init__(self, folder: Path, config: FaceConfig) -> None:
        detector, recognizer = choose_files(folder)
        graphs = (
            repaired_detector(detector, side_pixels=640),
            repaired_recognizer(recognizer, mean=127.5, std=127.5),
        )
        cores = usable_cores()
        # callers, threads of a run, faces in a run
        self._arrangements = [(1, cores, 1), (1, cores, 16), (cores, cores, 1)]
        self._arrangements += [(cores, 1, batch) for batch in (1, 2, 4, 8)]
        self._sessions = {
            threads: [
                _opened(str(graph.model) if isinstance(graph.model, Path) else graph.model, config, threads)
                for graph in graphs
            ]
            for threads in {1, cores}
        }
        self._best: tuple[int, int, int] | None = None

    def run(self, pictures: int, faces: int) -> None:
        if self._best is None:
            self._best = min(self._arrangements, key=lambda each: _seconds(partial(self._run, each, pictures, faces)))
        self._run(self._best, pictures, faces)

    def _run(self, arrangement: tuple[int, int, int], pictures: int, faces: int) -> None:
        callers, threads, batch = arrangement
        detector, recognizer = self._sessions[threads]
        runs: Runs = [partial(_run_on_noise, detector, 1) for _ in range(pictures)]
        left = pictures * faces
        while left:
            runs.append(partial(_run_on_noise, recognizer, min(batch, left)))
            left -= min(batch, left)
        _run_all(runs, callers)


class DlibCeiling:
    """The four networks of `dlib`, on what they are given for these pictures: levels, candidates and aligned faces."""

    def __init__(self, pictures: Sequence[Image], config: FaceConfig) -> None:
        known = known_pack(DLIB)
        assert known is not None
        is_on_cpu = config.providers[0] == CPU
        folder, largest = find_folder(config), GPU_BATCH_SIZES[-1]
        batch_sizes = (largest,) * 4
        if is_on_cpu:
            batch_sizes = (1, mtcnn.REFINEMENT_BATCH_SIZES[-1], mtcnn.OUTPUT_BATCH_SIZES[-1], CPU_BATCH_SIZES[-1])
        given = _given(pictures, config)
        #: The batches of each picture, of the networks in turn.
        self._batches = [
            [list(_batches(items, size)) for items, size in zip(of_picture, batch_sizes, strict=True)]
            for of_picture in given
        ]
        graphs = [onnx.load_model(str(folder / name)) for name in known.graphs]
        for graph in graphs if is_on_cpu and config.repair_graphs else ():
            spread_prelu(graph)
        cores = usable_cores()
        self._sessions = {
            threads: [_opened(graph.SerializeToString(), config, threads) for graph in graphs] for threads in {1, cores}
        }
        self._arrangements = [(1, cores), (cores, 1)]  # callers, threads of a run
        self._best: tuple[int, int] | None = None

    def run(self, pictures: int, faces: int) -> None:
        if self._best is None:
            self._best = min(self._arrangements, key=lambda each: _seconds(partial(self._run, each, pictures)))
        self._run(self._best, pictures)

    def _run(self, arrangement: tuple[int, int], pictures: int) -> None:
        callers, threads = arrangement
        runs: Runs = [
            partial(session.run, None, {session.get_inputs()[0].name: batch})
            for of_picture in self._batches[:pictures]
            for session, batches in zip(self._sessions[threads], of_picture, strict=True)
            for batch in batches
        ]
        _run_all(runs, callers)


def _given(pictures: Sequence[Image], config: FaceConfig) -> list[list[list[NDArray[Any]]]]:
    """Return the inputs of each model of the pack, for each picture."""
    engine = FaceEngine(config)
    engine.open()
    models = engine.pack.models
    run = OnnxModel.run
    found: list[list[list[NDArray[Any]]]] = []

    def noted(model: OnnxModel, items: Sequence[NDArray[Any]]) -> Any:
        found[-1][models.index(model)].extend(items)
        return run(model, items)

    with patch.object(OnnxModel, "run", noted):
        for picture in pictures:
            found.append([[] for _ in models])
            engine.faces([picture])
    engine.close()
    return found


def _batches(items: Sequence[NDArray[Any]], size: int) -> Iterator[NDArray[Any]]:
    """Stack items of one shape, at most `size` of them."""
    for _, alike in groupby(sorted(items, key=lambda item: item.shape), key=lambda item: item.shape):
        stacked = np.stack(list(alike))
        yield from (stacked[start : start + size] for start in range(0, len(stacked), size))


def _opened(model: str | bytes, config: FaceConfig, threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return onnxruntime.InferenceSession(model, options, providers=list(config.providers))


def _run_all(runs: Runs, callers: int) -> None:
    for _ in prefetched(lambda run: run(), runs, threads=callers):
        pass


def _seconds(work: Callable[[], object]) -> float:
    """Return the shortest of some tries."""
    seconds = []
    for _ in range(TRIES):
        started = perf_counter()
        work()
        seconds.append(perf_counter() - started)
    return min(seconds)


def _run_on_noise(session: Any, batch: int) -> None:
    taken = session.get_inputs()[0]
    session.run(None, {taken.name: _noise(taken.type, tuple(taken.shape[1:]), batch)})


_NOISE: dict[tuple[str, tuple[Any, ...], int], NDArray[Any]] = {}


def _noise(kind: str, shape: tuple[Any, ...], batch: int) -> NDArray[Any]:
    if (kind, shape, batch) not in _NOISE:
        sides = [side if isinstance(side, int) else 640 for side in shape]
        pixels = np.random.default_rng(1).integers(0, 256, (batch, *sides))
        _NOISE[kind, shape, batch] = (
            pixels.astype(np.uint8) if "uint8" in kind else ((pixels - 127.5) / 127.5).astype(np.float32)
        )
    return _NOISE[kind, shape, batch]
