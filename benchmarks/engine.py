"""How fast faces are detected and embedded, compared with InsightFace's own FaceAnalysis and with the bare models.

`python -m benchmarks.engine [--packs small,large] [--faces 1,5,30] [--rounds N] [--providers ...] [--json]`

All rows use the same pack and pictures (1280 x 886), decoded in advance unless the row's name says JPEG:

* `FaceAnalysis, defaults`: as the library sets it up: five models, two detector sizes, threads for each session;
* `FaceAnalysis, trimmed`: detection and recognition only, one size;
* `ours, one at a time`: `FaceEngine.faces([picture])` for each picture in turn;
* `ours, bulk`: faces detected in threads and embedded across pictures, as in `worker/bulk.py`;
* `ours, 16 callers`: sixteen threads, each with one picture at a time;
* `sessions alone`: the repaired graphs on prepared inputs, with no work before or after, in the best of several
  combinations of threads and batches: the ceiling;
* `... from JPEG`: including decoding, by `cv2.imdecode` for FaceAnalysis and by `worker/images.py` for ours.

The rows take turns in every round; a ratio is the median of the ratios within a round. Peak memory is measured in a
separate process for each row (Linux only).
"""

import argparse
import json
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image as Pillow

from benchmarks.packs import Size, cached_pack
from benchmarks.scenes import scene
from worker.bulk import CROPS_AT_ONCE
from worker.config import FaceConfig, ImageLimits, usable_cores
from worker.images import decode
from worker.prefetch import prefetched
from worker.recognition.engine import FaceEngine
from worker.recognition.interfaces import DetectedFaces, Image

CALLERS = 16
PICTURE_SIZE = (1280, 886)
#: Pictures per round, by faces per picture: enough for full batches, few enough for many rounds.
PICTURES = {1: 16, 5: 8, 30: 4}
JPEG_QUALITY = 90

DEFAULTS, TRIMMED, CEILING = "FaceAnalysis, defaults", "FaceAnalysis, trimmed", "sessions alone"
ONE, BULK, MANY = "ours, one at a time", "ours, bulk", f"ours, {CALLERS} callers"
TRIMMED_JPEG, BULK_JPEG = "FaceAnalysis, trimmed, from JPEG", "ours, bulk, from JPEG"
ROWS = (DEFAULTS, TRIMMED, ONE, BULK, MANY, CEILING, TRIMMED_JPEG, BULK_JPEG)

#: Processes the pictures and returns the seconds each took; nothing if they cannot be timed individually.
Way = Callable[[Sequence[Image], Sequence[bytes]], list[float]]


@dataclass(slots=True)
class Measured:
    """The times of a row, per round."""

    seconds: list[float] = field(default_factory=list)
    latencies_seconds: list[float] = field(default_factory=list)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packs", default="small,large", help="small, large, or both (default)")
    parser.add_argument("--faces", default="1,5,30", help="faces per picture (default 1,5,30)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds per row (default 5)")
    parser.add_argument("--providers", default="CPUExecutionProvider", help="onnxruntime providers, best first")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    options = parser.parse_args()
    providers = tuple(options.providers.split(","))
    counts = [int(count) for count in options.faces.split(",")]
    if options.memory_of:
        print(_peak_memory_mb(options.packs, options.memory_of, counts[0], providers))
        return
    rows = [
        row
        for size in options.packs.split(",")
        for count in counts
        for row in _measure(size, count, options.rounds, providers)
    ]
    print(json.dumps(rows, indent=2) if options.json else _table(rows, providers))


# -- the ways -------------------------------------------------------------------------------------------------------


def _insightface(folder: Path, providers: Sequence[str], *, is_trimmed: bool) -> Any:
    from insightface.app import FaceAnalysis

    modules = ["detection", "recognition"] if is_trimmed else None
    analysis = FaceAnalysis(name=str(folder), allowed_modules=modules, providers=list(providers))
    analysis.prepare(ctx_id=0, det_size=(640, 640) if is_trimmed else None)
    return analysis


def _one_by_one(function: Callable[[Any], object], items: Sequence[Any]) -> list[float]:
    seconds = []
    for item in items:
        started = time.perf_counter()
        function(item)
        seconds.append(time.perf_counter() - started)
    return seconds


def _bulk(engine: FaceEngine, looks: Iterator[DetectedFaces]) -> list[float]:
    batch: list[DetectedFaces] = []
    for look in looks:
        batch.append(look)
        if sum(len(each.faces) for each in batch) >= CROPS_AT_ONCE:
            engine.embed([each.faces for each in batch])
            batch = []
    engine.embed([each.faces for each in batch])
    return []


def _callers(engine: FaceEngine, pictures: Sequence[Image]) -> list[float]:
    """Process every picture four times, as many at once as there are callers."""
    waiting = list(pictures) * 4
    seconds: list[float] = []

    def call() -> None:
        while True:
            try:
                picture = waiting.pop()
            except IndexError:
                return
            seconds.extend(_one_by_one(lambda image: engine.faces([image]), [picture]))

    threads = [threading.Thread(target=call) for _ in range(CALLERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return seconds


class Ceiling:
    """The pack's two repaired graphs, on random prepared inputs."""

    def __init__(self, folder: Path, config: FaceConfig) -> None:
        from worker.recognition.graphs.repairs import repaired_detector, repaired_recognizer
        from worker.recognition.packs.insightface import choose_files

        detector, recognizer = choose_files(folder)
        self._graphs = (
            repaired_detector(detector, side_pixels=640),
            repaired_recognizer(recognizer, mean=127.5, std=127.5),
        )
        self._providers = list(config.providers)
        cores = usable_cores()
        self._arrangements = [(1, cores, 1), (1, cores, 16), (cores, cores, 1)]
        self._arrangements += [(cores, 1, batch) for batch in (1, 2, 4, 8)]
        self._sessions = {threads: self._open(threads) for threads in {1, cores}}
        self._best: tuple[int, int, int] | None = None

    def run(self, pictures: int, faces: int) -> None:
        """Run the detector for each picture and the recognizer for each face, in the best arrangement."""
        if self._best is None:
            self._best = min(self._arrangements, key=lambda each: self._seconds(each, pictures, faces))
        self._run(self._best, pictures, faces)

    def _seconds(self, arrangement: tuple[int, int, int], pictures: int, faces: int) -> float:
        seconds = []
        for _ in range(3):
            started = time.perf_counter()
            self._run(arrangement, pictures, faces)
            seconds.append(time.perf_counter() - started)
        return min(seconds)

    def _run(self, arrangement: tuple[int, int, int], pictures: int, faces: int) -> None:
        callers, threads, batch = arrangement
        detector, recognizer = self._sessions[threads]
        runs: list[Callable[[], object]] = [partial(_run_once, detector, 1) for _ in range(pictures)]
        left = pictures * faces
        while left:
            runs.append(partial(_run_once, recognizer, min(batch, left)))
            left -= min(batch, left)
        list(prefetched(lambda run: run(), runs, threads=callers))

    def _open(self, threads: int) -> tuple[Any, Any]:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        options.add_session_config_entry("session.force_spinning_stop", "1")
        sessions = []
        for graph in self._graphs:
            model = str(graph.model) if isinstance(graph.model, Path) else graph.model
            sessions.append(onnxruntime.InferenceSession(model, options, providers=self._providers))
        return sessions[0], sessions[1]


def _run_once(session: Any, batch: int) -> None:
    taken = session.get_inputs()[0]
    session.run(None, {taken.name: _ready_input(taken.type, tuple(taken.shape[1:]), batch)})


_INPUTS: dict[tuple[str, tuple[Any, ...], int], NDArray[Any]] = {}


def _ready_input(kind: str, shape: tuple[Any, ...], batch: int) -> NDArray[Any]:
    if (kind, shape, batch) not in _INPUTS:
        sides = [side if isinstance(side, int) else 640 for side in shape]
        pixels = np.random.default_rng(1).integers(0, 256, (batch, *sides))
        _INPUTS[kind, shape, batch] = (
            pixels.astype(np.uint8) if "uint8" in kind else ((pixels - 127.5) / 127.5).astype(np.float32)
        )
    return _INPUTS[kind, shape, batch]


def _ways(size: Size, faces: int, providers: tuple[str, ...], stack: ExitStack, rows: Sequence[str]) -> dict[str, Way]:
    """Return the function for each row, warmed up only as far as normal construction does it."""
    folder = cached_pack(size, all_models=True)
    limits = ImageLimits()
    ways: dict[str, Way] = {}
    if DEFAULTS in rows:
        whole = _insightface(folder, providers, is_trimmed=False)
        ways[DEFAULTS] = lambda pictures, _: _one_by_one(whole.get, pictures)
    if TRIMMED in rows or TRIMMED_JPEG in rows:
        trimmed = _insightface(folder, providers, is_trimmed=True)
        ways[TRIMMED] = lambda pictures, _: _one_by_one(trimmed.get, pictures)
        ways[TRIMMED_JPEG] = lambda _, files: _one_by_one(lambda file: trimmed.get(_imdecode(file)), files)
    if {ONE, BULK, MANY, BULK_JPEG} & set(rows):
        engine = FaceEngine(FaceConfig(packs_dir=folder.parent, pack=folder.name, providers=providers))
        engine.open()
        stack.callback(engine.close)
        threads = engine.config.decode_threads
        ways[ONE] = lambda pictures, _: _one_by_one(lambda image: engine.faces([image]), pictures)
        ways[BULK] = lambda pictures, _: _bulk(engine, prefetched(engine.detect, pictures, threads=threads))
        ways[MANY] = lambda pictures, _: _callers(engine, pictures)
        ways[BULK_JPEG] = lambda _, files: _bulk(
            engine, prefetched(lambda file: engine.detect(decode(file, limits=limits).pixels), files, threads=threads)
        )
    if CEILING in rows:
        ceiling = Ceiling(folder, FaceConfig(packs_dir=folder.parent, pack=folder.name, providers=providers))
        ways[CEILING] = lambda pictures, _: ceiling.run(len(pictures), faces) or []  # type: ignore[func-returns-value]
    return {row: ways[row] for row in rows}


# -- measuring ------------------------------------------------------------------------------------------------------


def _measure(size: Size, faces: int, rounds: int, providers: tuple[str, ...]) -> list[dict[str, Any]]:
    pictures, files = _pictures(faces)
    measured = {row: Measured() for row in ROWS}
    with ExitStack() as stack:
        ways = _ways(size, faces, providers, stack, ROWS)
        for row in ROWS:
            ways[row](pictures[:1], files[:1])
        for _ in range(rounds):
            for row in ROWS:
                started = time.perf_counter()
                latencies = ways[row](pictures, files)
                seconds = time.perf_counter() - started
                calls = len(latencies) if row == MANY else len(pictures)
                measured[row].seconds.append(seconds / calls)
                measured[row].latencies_seconds += latencies
    return [_row(row, size, faces, measured, providers) for row in ROWS]


def _row(row: str, size: Size, faces: int, measured: dict[str, Measured], providers: tuple[str, ...]) -> dict[str, Any]:
    def times_as_fast_as(other: str) -> float:
        return median(
            theirs / ours for theirs, ours in zip(measured[other].seconds, measured[row].seconds, strict=True)
        )

    latencies_ms = [1000 * each for each in measured[row].latencies_seconds]
    images_per_second = 1 / median(measured[row].seconds)
    return {
        "pack": size,
        "faces": faces,
        "row": row,
        "images_per_second": images_per_second,
        "faces_per_second": images_per_second * faces,
        "p50_ms": median(latencies_ms) if latencies_ms else None,
        "p95_ms": quantiles(latencies_ms, n=20)[18] if len(latencies_ms) > 1 else None,
        "peak_mb": _peak_memory_in_a_separate_process(size, row, faces, providers),
        "to_defaults": times_as_fast_as(DEFAULTS),
        "to_trimmed": times_as_fast_as(TRIMMED),
        "to_ceiling": times_as_fast_as(CEILING),
    }


def _pictures(faces: int) -> tuple[list[Image], list[bytes]]:
    pictures = [scene(faces=faces, size=PICTURE_SIZE, seed=seed)[0] for seed in range(PICTURES.get(faces, 8))]
    return pictures, [_jpeg(picture) for picture in pictures]


def _jpeg(picture: Image) -> bytes:
    from io import BytesIO

    file = BytesIO()
    Pillow.fromarray(picture[:, :, ::-1]).save(file, "JPEG", quality=JPEG_QUALITY)
    return file.getvalue()


def _imdecode(file: bytes) -> Any:
    return cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_COLOR)


def _peak_memory_in_a_separate_process(size: Size, row: str, faces: int, providers: tuple[str, ...]) -> float:
    command = [sys.executable, "-m", "benchmarks.engine", "--packs", size, "--faces", str(faces)]
    command += ["--providers", ",".join(providers), "--memory-of", row]
    finished = subprocess.run(command, check=True, capture_output=True, text=True, timeout=600)
    return float(finished.stdout.split()[-1])


def _peak_memory_mb(size: Size, row: str, faces: int, providers: tuple[str, ...]) -> float:
    """Do the row's work once and return this process's peak resident memory."""
    pictures, files = _pictures(faces)
    with ExitStack() as stack:
        _ways(size, faces, providers, stack, [row])[row](pictures, files)
    # Not getrusage(): its maximum is inherited from the parent process.
    [peak_kb] = [line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line]
    return int(peak_kb) / 1024


def _table(rows: Sequence[dict[str, Any]], providers: Sequence[str]) -> str:
    def number(value: float | None, form: str) -> str:
        return "-" if value is None else format(value, form)

    head = [
        f"{', '.join(providers)} on {_device()}, {usable_cores()} cores, onnxruntime {onnxruntime.__version__}",
        "",
        "| pack | faces | | images/s | faces/s | p50 ms | p95 ms | peak MB | / defaults | / trimmed | / ceiling |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    return "\n".join(
        head
        + [
            f"| {row['pack']} | {row['faces']} | {row['row']} | {row['images_per_second']:.2f} "
            f"| {row['faces_per_second']:.1f} | {number(row['p50_ms'], '.0f')} | {number(row['p95_ms'], '.0f')} "
            f"| {row['peak_mb']:.0f} | {row['to_defaults']:.2f} | {row['to_trimmed']:.2f} | {row['to_ceiling']:.2f} |"
            for row in rows
        ]
    )


def _device() -> str:
    """Return the name of the GPU, else of the processor type."""
    try:
        found = subprocess.run(
            ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"], check=True, capture_output=True, text=True
        )
        return found.stdout.strip().splitlines()[0]
    except (OSError, subprocess.CalledProcessError):
        return platform.machine()


if __name__ == "__main__":
    main()
