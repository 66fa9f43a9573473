"""How fast faces are detected and embedded, compared with InsightFace's own FaceAnalysis and with the bare models.

`python -m benchmarks.engine [--packs dlib,small,large] [--faces 1,5,30] [--size 1280x886] [--rounds N]
[--providers ...] [--json]`

`dlib` is the fetched pack, on pictures with real faces. `small` and `large` are made for the run, like buffalo_s and
buffalo_l, and only they have the rows of FaceAnalysis. All rows of a pack use the same pictures, decoded in advance
unless the row's name says JPEG:

* `FaceAnalysis, defaults`: as the library sets it up: five models, two detector sizes, threads for each session;
* `FaceAnalysis, trimmed`: detection and recognition only, one size;
* `ours, one at a time`: `FaceEngine.faces([picture])` for each picture in turn;
* `ours, bulk`: faces detected in threads and embedded across pictures, as in `worker/bulk.py`;
* `ours, 16 callers`: sixteen threads, each with one picture at a time;
* `sessions alone`: the repaired graphs on prepared inputs, with no work before or after, in the best of several
  combinations of threads and batches: the ceiling (ceilings.py);
* `... from JPEG`: including decoding, by `cv2.imdecode` for FaceAnalysis and by `worker/images.py` for ours.

The rows take turns in every round; a ratio is the median of the ratios within a round. Peak memory is measured in a
separate process for each row (Linux only).
"""

import argparse
import json
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import cv2
import numpy as np
import onnxruntime
from PIL import Image as Pillow

from benchmarks.ceilings import DLIB, Ceiling, DlibCeiling, InsightFaceCeiling
from benchmarks.crowds import crowd
from benchmarks.environment import packs_dir
from benchmarks.packs import cached_pack
from benchmarks.scenes import scene
from worker.bulk import CROPS_AT_ONCE
from worker.config import FaceConfig, ImageLimits, usable_cores
from worker.images.decoding import decode
from worker.prefetch import prefetched
from worker.recognition.engine import FaceEngine
from worker.recognition.interfaces import DetectedFaces, Image

CALLERS = 16
MOST_WAITING = 100_000
#: Pictures per round, by faces per picture: enough for full batches, few enough for many rounds.
PICTURES = {1: 16, 5: 8, 30: 4}
JPEG_QUALITY = 90

DEFAULTS, TRIMMED, CEILING = "FaceAnalysis, defaults", "FaceAnalysis, trimmed", "sessions alone"
ONE, BULK, MANY = "ours, one at a time", "ours, bulk", f"ours, {CALLERS} callers"
TRIMMED_JPEG, BULK_JPEG = "FaceAnalysis, trimmed, from JPEG", "ours, bulk, from JPEG"
ALL_ROWS = (DEFAULTS, TRIMMED, ONE, BULK, MANY, CEILING, TRIMMED_JPEG, BULK_JPEG)

ROWS = {
    DLIB: (ONE, BULK, MANY, CEILING, BULK_JPEG),
    "small": ALL_ROWS,
    "large": ALL_ROWS,
}

#: Processes the pictures and returns the seconds each took; nothing if they cannot be timed individually.
Way = Callable[[Sequence[Image], Sequence[bytes]], list[float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A pack, faces per picture, the pictures' width and height, and onnxruntime's providers."""

    pack: str
    faces: int
    size: tuple[int, int]
    providers: tuple[str, ...]

    def config(self) -> FaceConfig:
        """Return a configuration with which no caller is refused: what is measured is how fast all are served."""
        folder = packs_dir() / DLIB if self.pack == DLIB else self.made
        return FaceConfig(packs_dir=folder.parent, pack=folder.name, providers=self.providers, max_waiting=MOST_WAITING)

    @property
    def made(self) -> Path:
        """The folder of a pack that is made for the run."""
        return cached_pack("large" if self.pack == "large" else "small", all_models=True)


@dataclass(slots=True)
class Measured:
    """The times of a row, per round."""

    seconds: list[float] = field(default_factory=list)
    latencies_seconds: list[float] = field(default_factory=list)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packs", default=",".join(ROWS), help="from dlib, small and large (default: all)")
    parser.add_argument("--faces", default="1,5,30", help="faces per picture (default 1,5,30)")
    parser.add_argument("--size", default="1280x886", help="width and height of the pictures (default 1280x886)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds per row (default 5)")
    parser.add_argument("--providers", default="CPUExecutionProvider", help="onnxruntime providers, best first")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    options = parser.parse_args()
    providers = tuple(options.providers.split(","))
    width, height = (int(side) for side in options.size.split("x"))
    packs = options.packs.split(",")
    if unknown := {*packs} - {*ROWS}:
        parser.error(f"unknown packs: {', '.join(sorted(unknown))}")
    cases = [
        Case(pack=pack, faces=int(count), size=(width, height), providers=providers)
        for pack in packs
        for count in options.faces.split(",")
    ]
    if options.memory_of:
        print(_peak_memory_mb(cases[0], options.memory_of))
        return
    rows = [row for case in cases for row in _measure(case, options.rounds)]
    print(json.dumps(rows, indent=2) if options.json else _table(rows, providers))


# -- the ways -------------------------------------------------------------------------------------------------------


def _insightface(case: Case, *, is_trimmed: bool) -> Any:
    from insightface.app import FaceAnalysis

    modules = ["detection", "recognition"] if is_trimmed else None
    analysis = FaceAnalysis(name=str(case.made), allowed_modules=modules, providers=list(case.providers))
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

    def seconds(picture: Image) -> float:
        [taken] = _one_by_one(lambda image: engine.faces([image]), [picture])
        return taken

    with ThreadPoolExecutor(CALLERS) as callers:
        return list(callers.map(seconds, list(pictures) * 4))


def _ways(case: Case, pictures: Sequence[Image], stack: ExitStack, rows: Sequence[str]) -> dict[str, Way]:
    """Return the function for each row, warmed up only as far as normal construction does it."""
    limits = ImageLimits()
    ways: dict[str, Way] = {}
    if DEFAULTS in rows:
        whole = _insightface(case, is_trimmed=False)
        ways[DEFAULTS] = lambda pictures, _: _one_by_one(whole.get, pictures)
    if TRIMMED in rows or TRIMMED_JPEG in rows:
        trimmed = _insightface(case, is_trimmed=True)
        ways[TRIMMED] = lambda pictures, _: _one_by_one(trimmed.get, pictures)
        ways[TRIMMED_JPEG] = lambda _, files: _one_by_one(lambda file: trimmed.get(_imdecode(file)), files)
    if {ONE, BULK, MANY, BULK_JPEG} & set(rows):
        engine = FaceEngine(case.config())
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
        ceiling = _ceiling(case, pictures)
        ways[CEILING] = lambda pictures, _: ceiling.run(len(pictures), case.faces) or []  # type: ignore[func-returns-value]
    return {row: ways[row] for row in rows}


def _ceiling(case: Case, pictures: Sequence[Image]) -> Ceiling:
    if case.pack == DLIB:
        return DlibCeiling(pictures, case.config())
    return InsightFaceCeiling(case.made, case.config())


# -- measuring ------------------------------------------------------------------------------------------------------


def _measure(case: Case, rounds: int) -> list[dict[str, Any]]:
    pictures, files = _pictures(case)
    measured = {row: Measured() for row in ROWS[case.pack]}
    with ExitStack() as stack:
        ways = _ways(case, pictures, stack, ROWS[case.pack])
        for row in measured:
            ways[row](pictures[:1], files[:1])
        for _ in range(rounds):
            for row in measured:
                started = time.perf_counter()
                latencies = ways[row](pictures, files)
                seconds = time.perf_counter() - started
                calls = len(latencies) if row == MANY else len(pictures)
                measured[row].seconds.append(seconds / calls)
                measured[row].latencies_seconds += latencies
    return [_row(row, case, measured) for row in measured]


def _row(row: str, case: Case, measured: dict[str, Measured]) -> dict[str, Any]:
    def times_as_fast_as(other: str) -> float | None:
        if other not in measured:
            return None
        return median(
            theirs / ours for theirs, ours in zip(measured[other].seconds, measured[row].seconds, strict=True)
        )

    latencies_ms = [1000 * each for each in measured[row].latencies_seconds]
    images_per_second = 1 / median(measured[row].seconds)
    return {
        "pack": case.pack,
        "faces": case.faces,
        "row": row,
        "images_per_second": images_per_second,
        "faces_per_second": images_per_second * case.faces,
        "p50_ms": median(latencies_ms) if latencies_ms else None,
        "p95_ms": quantiles(latencies_ms, n=20)[18] if len(latencies_ms) > 1 else None,
        "peak_mb": _peak_memory_in_a_separate_process(case, row),
        "to_defaults": times_as_fast_as(DEFAULTS),
        "to_trimmed": times_as_fast_as(TRIMMED),
        "to_ceiling": times_as_fast_as(CEILING),
    }


def _pictures(case: Case) -> tuple[list[Image], list[bytes]]:
    def picture(seed: int) -> Image:
        if case.pack == DLIB:
            return crowd(faces=case.faces, size=case.size, seed=seed)
        return scene(faces=case.faces, size=case.size, seed=seed)[0]

    pictures = [picture(seed) for seed in range(PICTURES.get(case.faces, 8))]
    return pictures, [_jpeg(picture) for picture in pictures]


def _jpeg(picture: Image) -> bytes:
    from io import BytesIO

    file = BytesIO()
    Pillow.fromarray(picture[:, :, ::-1]).save(file, "JPEG", quality=JPEG_QUALITY)
    return file.getvalue()


def _imdecode(file: bytes) -> Any:
    return cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_COLOR)


def _peak_memory_in_a_separate_process(case: Case, row: str) -> float:
    command = [sys.executable, "-m", "benchmarks.engine", "--packs", case.pack, "--faces", str(case.faces)]
    command += ["--size", "x".join(str(side) for side in case.size)]
    command += ["--providers", ",".join(case.providers), "--memory-of", row]
    finished = subprocess.run(command, check=True, capture_output=True, text=True, timeout=600)
    return float(finished.stdout.split()[-1])


def _peak_memory_mb(case: Case, row: str) -> float:
    """Do the row's work once and return this process's peak resident memory."""
    pictures, files = _pictures(case)
    with ExitStack() as stack:
        _ways(case, pictures, stack, [row])[row](pictures, files)
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
            f"| {row['peak_mb']:.0f} | {number(row['to_defaults'], '.2f')} | {number(row['to_trimmed'], '.2f')} "
            f"| {row['to_ceiling']:.2f} |"
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
