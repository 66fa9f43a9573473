"""Photos per second and core with the pack dlib, beside dlib's own pipelines and the bare runs of the pack's models.

`python -m benchmarks.photos_per_core [--rounds N] [--without-references] [--json]`. The photos are made from those that
installed packages and the archive of `face_recognition` in `var/carriers` ship, at three sizes. `FaceEngine.detect` and
`embed` process them one by one, as a search worker does, with one thread per run. All times are CPU time of the
process.

* bare: onnxruntime's runs only, repeated on exactly the inputs and batches that the engine gave them
* HOG, CNN: dlib's pipelines (benchmarks/accuracy/references.py); all faces are described. The CNN runs in one round
  only, because it takes seconds a photo.

Engine, bare runs and HOG take turns in every round; a figure is the median of the rounds, a ratio the median of their
ratios.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any, Final
from unittest.mock import patch

import cv2
import numpy as np

from benchmarks.accuracy.references import REFERENCES, DlibSystem, Reference, ReferenceMissing
from benchmarks.environment import carriers_dir, packs_dir
from webapp.operations import samples
from worker.config import FaceConfig, ImageLimits
from worker.errors import FaceQueueError
from worker.images.decoding import decode
from worker.recognition.engine import FaceEngine
from worker.recognition.interfaces import Image
from worker.recognition.providers import open_session

NETWORKS: Final = {"p_net.onnx": "P-Net", "r_net.onnx": "R-Net", "o_net.onnx": "O-Net", "resnet.onnx": "ResNet"}
#: The engine may add this much to the runs: bare / engine.
TARGET: Final = 0.85

Work = Callable[[], object]

#: A portrait shows this many heights of its face, as LFW's photos do.
_FACES_HEIGHT = 2.0
#: Where insightface's t1.jpg, which shows six people, has three in 640 x 480 pixels: left and top.
_OF_THREE = ((0, 60), (640, 20))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9, help="number of rounds (default 9)")
    parser.add_argument("--without-references", action="store_true", help="leave out dlib's pipelines")
    parser.add_argument("--packs-dir", type=Path, default=packs_dir(), help="default: FACE_PACKS_DIR, else var/packs")
    parser.add_argument(
        "--carriers",
        type=Path,
        default=carriers_dir(),
        help="folder of the archive and wheel (default: FACEQUEUE_CARRIERS, else var/carriers)",
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    try:
        with _engine(options.packs_dir) as (engine, runs):
            photos = _photos(engine, options.carriers)
            references = {} if options.without_references else _references(options.carriers)
            rows = [_row(size, each, engine, runs, references, options.rounds) for size, each in photos.items()]
    except (FaceQueueError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    print(json.dumps(rows, indent=2) if options.json else _table(rows))
    return 0


# -- the bare runs ----------------------------------------------------------------------------------------------------


class Runs:
    """Opens the models' sessions so that they tell what each run was given, and the CPU time it took in its thread."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(NETWORKS, 0.0)
        self._is_recording = False
        self._recorded: list[tuple[Any, dict[str, Any]]] = []

    def open_session(self, source: Path | bytes, config: FaceConfig, *, name: str, **settings: Any) -> "_Session":
        return _Session(open_session(source, config, name=name, **settings), name, self)

    def record(self, session: Any, feed: dict[str, Any]) -> None:
        if self._is_recording:
            self._recorded.append((session, {name: pixels.copy() for name, pixels in feed.items()}))

    def restart(self) -> None:
        self.seconds = dict.fromkeys(NETWORKS, 0.0)

    def record_of(self, work: Work) -> None:
        """Do the work, and remember its inputs instead of those remembered before."""
        self._recorded.clear()
        self._is_recording = True
        work()
        self._is_recording = False

    def repeat(self) -> None:
        """Run the recorded inputs again, with nothing in between."""
        for session, feed in self._recorded:
            session.run(None, feed)


class _Session:
    """An onnxruntime session that tells `Runs`."""

    def __init__(self, session: Any, name: str, runs: Runs) -> None:
        self._session, self._name, self._runs = session, name, runs

    def run(self, outputs: None, feed: dict[str, Any]) -> Any:
        self._runs.record(self._session, feed)
        started = time.thread_time()
        try:
            return self._session.run(outputs, feed)
        finally:
            self._runs.seconds[self._name] += time.thread_time() - started

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)


@contextmanager
def _engine(folder: Path) -> Iterator[tuple[FaceEngine, Runs]]:
    runs = Runs()
    engine = FaceEngine(FaceConfig(packs_dir=folder, pack="dlib", threads_per_run=1, runs_at_once=1))
    with patch("worker.recognition.model.open_session", runs.open_session):
        engine.open()
    try:
        yield engine, runs
    finally:
        engine.close()


# -- the photos -------------------------------------------------------------------------------------------------------


def _photos(engine: FaceEngine, carriers: Path) -> dict[str, list[Image]]:
    """Return BGR photos by their size; the sizes stand for one, three and six faces."""
    in_packages = {path.name: path.read_bytes() for path in samples.gallery_photos(carriers) if path.is_file()}
    people = samples.photos_in(carriers / samples.ARCHIVE.name)
    portraits = ("astronaut.png", "obama.jpg", "obama2.jpg", "obama3.jpg", "biden.jpg")
    six = _decoded(in_packages["t1.jpg"])
    large = cv2.resize(six, (1280, 960), interpolation=cv2.INTER_AREA)
    return {
        "250 x 250": [_portrait(engine, _decoded((in_packages | people)[name])) for name in portraits],
        "640 x 480": [six[top : top + 480, left : left + 640].copy() for left, top in _OF_THREE],
        "1280 x 960": [np.asarray(large, np.uint8), np.asarray(cv2.flip(large, 1), np.uint8)],
    }


def _decoded(data: bytes) -> Image:
    return decode(data, limits=ImageLimits()).pixels


def _portrait(engine: FaceEngine, image: Image) -> Image:
    """Return a square around the face, as far as the picture reaches, in 250 x 250 pixels."""
    box = engine.detect(image).faces[0].detection.box
    side = min(round(_FACES_HEIGHT * box.height), *image.shape[:2])
    top, left = (
        min(max(round(middle - side / 2), 0), length - side)
        for middle, length in zip(
            ((box.top + box.bottom) / 2, (box.left + box.right) / 2), image.shape[:2], strict=True
        )
    )
    square = image[top : top + side, left : left + side]
    return np.asarray(cv2.resize(square, (250, 250), interpolation=cv2.INTER_AREA), np.uint8)


# -- measuring --------------------------------------------------------------------------------------------------------


def _references(carriers: Path) -> dict[Reference, DlibSystem]:
    try:
        return {reference: DlibSystem(reference, carriers=carriers) for reference in REFERENCES}
    except ReferenceMissing as error:
        print(f"Without dlib's pipelines. {error}", file=sys.stderr)
        return {}


def _row(
    size: str,
    photos: Sequence[Image],
    engine: FaceEngine,
    runs: Runs,
    references: Mapping[Reference, DlibSystem],
    rounds: int,
) -> dict[str, Any]:
    def each_photo(work: Callable[[Image], object]) -> Work:
        return lambda: [work(photo) for photo in photos]

    faces = [engine.detect(photo).faces for photo in photos]
    process = each_photo(lambda photo: engine.embed([engine.detect(photo).faces]))
    runs.record_of(process)
    ways: dict[str, Work] = {
        "engine": process,
        "bare": runs.repeat,
        "crops": lambda: [
            engine.align(photo, [face.detection for face in found]) for photo, found in zip(photos, faces, strict=True)
        ],
    }
    if "hog" in references:
        ways["hog"] = each_photo(references["hog"].descriptors)
    seconds: dict[str, list[float]] = {name: [] for name in (*ways, *NETWORKS)}
    for _ in range(rounds):
        runs.restart()
        for name, work in ways.items():
            seconds[name].append(_cpu_seconds(work))
        for network, spent in runs.seconds.items():
            seconds[network].append(spent)
    if "cnn" in references:
        seconds["cnn"] = [_cpu_seconds(each_photo(references["cnn"].descriptors))]
    ours = median(seconds["engine"])
    shares = {name: median(seconds[network]) / ours for network, name in NETWORKS.items()}
    shares["crops"] = median(seconds["crops"]) / ours
    return {
        "size": size,
        "photos": len(photos),
        "faces": sum(map(len, faces)) / len(photos),
        "ms": 1000 * ours / len(photos),
        "photos_per_second": len(photos) / ours,
        "bare_to_engine": _median_ratio(seconds["bare"], seconds["engine"]),
        "shares": shares | {"rest": 1 - sum(shares.values())},
        "times_hog": _median_ratio(seconds["hog"], seconds["engine"]) if "hog" in seconds else None,
        "times_cnn": seconds["cnn"][0] / ours if "cnn" in seconds else None,
    }


def _cpu_seconds(work: Work) -> float:
    """Do the work as a worker does, not on the main thread; return the CPU time of all threads."""
    started = time.process_time()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(work).result()
    return time.process_time() - started


def _median_ratio(of: Sequence[float], to: Sequence[float]) -> float:
    return median(one / other for one, other in zip(of, to, strict=True))


def _table(rows: Sequence[dict[str, Any]]) -> str:
    stages = list(rows[0]["shares"])

    def times(value: float | None) -> str:
        return "-" if value is None else f"{value:.1f}"

    head = ["size", "faces", "ms a photo", "photos/s and core", "bare / engine", *stages, "times HOG", "times CNN"]
    lines = [head, ["---"] * len(head)]
    for row in rows:
        first = [row["size"], f"{row['faces']:.0f}", f"{row['ms']:.1f}", f"{row['photos_per_second']:.1f}"]
        shares = [f"{row['shares'][stage]:.0%}" for stage in stages]
        references = [times(row["times_hog"]), times(row["times_cnn"])]
        lines.append([*first, f"{row['bare_to_engine']:.2f}", *shares, *references])
    table = ["| " + " | ".join(cells) + " |" for cells in lines]
    least = min(row["bare_to_engine"] for row in rows)
    verdict = "ok" if least >= TARGET else "too slow"
    return "\n".join([*table, "", f"bare / engine is at least {least:.2f}; the target is {TARGET}: {verdict}"])


if __name__ == "__main__":
    sys.exit(main())
