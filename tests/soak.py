"""A FaceIndex at full load on good and bad pictures: does its memory grow?

`python -m tests.soak [--minutes 30] [--pack FOLDER]` prints the resident memory every ten seconds, and the growth from
the end of the warm-up to the end; run it with MALLOC_ARENA_MAX=2, as workers are. The same photos are indexed again
and again, so what is stored does not grow.
"""

import argparse
import ctypes
import gc
import json
import random
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from uuid import UUID

import numpy as np
import psutil

from benchmarks.packs import make_pack
from benchmarks.scenes import scene
from tests import pictures
from worker.bulk import PhotoToIndex
from worker.config import FaceConfig
from worker.errors import Busy, ImageError
from worker.face_index import FaceIndex
from worker.recognition.engine import FaceEngine
from worker.vector_search.memory import InMemoryVectorStore

CALLERS = 16
GALLERY = str(UUID(int=7))
#: The share of the time in which allocators and caches fill up.
WARM_UP_SHARE = 0.25
SAMPLE_SECONDS = 1.0


@dataclass(slots=True)
class Counts:
    """What was done: photos indexed, searches answered, pictures refused, calls that were busy."""

    indexed: int = 0
    searched: int = 0
    refused: int = 0
    busy: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, name: str, count: int = 1) -> None:
        with self.lock:
            setattr(self, name, getattr(self, name) + count)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0, help="how long (default 30)")
    parser.add_argument("--pack", type=Path, help="the folder of a pack (default: a small one made for the run)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="facequeue-soak-") as folder:
        pack = options.pack.resolve() if options.pack else make_pack(Path(folder) / "soak", "tiny")
        print(json.dumps(soak(pack, options.minutes * 60)))


def soak(pack: Path, seconds: float) -> dict[str, float]:
    """Run for so long and return memory in MB, its growth as a share, and what was done.

    Memory is compared at rest, after the warm-up and at the end: under load, pictures under way make it swing by half
    a gigabyte.
    """
    engine = FaceEngine(FaceConfig(packs_dir=pack.parent, pack=str(pack), max_image_pixels=8_000_000))
    engine.open()
    store = InMemoryVectorStore(name="soak", dimension=engine.pack.dimension, fingerprint=engine.pack.fingerprint)
    store.open()
    index = FaceIndex(engine, store)
    files, counts = _files(), Counts()
    _run(index, files, counts, seconds * WARM_UP_SHARE)
    before_mb = _resting_mb()
    loaded_mb = _run(index, files, counts, seconds * (1 - WARM_UP_SHARE))
    after_mb = _resting_mb()
    index.close()
    return {
        "warm_mb": round(before_mb, 1),
        "end_mb": round(after_mb, 1),
        "growth": round(after_mb / before_mb - 1, 4),
        "loaded_mb": round(median(loaded_mb), 1),
        "indexed": counts.indexed,
        "searched": counts.searched,
        "refused": counts.refused,
        "busy": counts.busy,
    }


def _run(index: FaceIndex, files: list[bytes], counts: Counts, seconds: float) -> list[float]:
    """Keep all callers at work for so long; return the memory in MB, second by second. Raises what a caller met."""
    errors: list[BaseException] = []
    end = time.monotonic() + seconds
    threads = [
        threading.Thread(target=_load, args=(index, files, counts, end, number, errors)) for number in range(CALLERS)
    ]
    for thread in threads:
        thread.start()
    process, samples_mb = psutil.Process(), list[float]()
    while time.monotonic() < end and not errors:
        samples_mb.append(process.memory_info().rss / 2**20)
        if len(samples_mb) % 10 == 0:
            print(f"{samples_mb[-1]:.0f} MB", flush=True)
        time.sleep(SAMPLE_SECONDS)
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return samples_mb


def _resting_mb() -> float:
    """Return what is kept when nothing is under way, without what the C library only has not given back."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return float(psutil.Process().memory_info().rss / 2**20)


def _load(
    index: FaceIndex, files: list[bytes], counts: Counts, end: float, number: int, errors: list[BaseException]
) -> None:
    chances = random.Random(number)
    try:
        while time.monotonic() < end and not errors:
            try:
                _work(index, files, counts, chances)
            except Busy:
                counts.add("busy")
    except BaseException as error:
        errors.append(error)


def _work(index: FaceIndex, files: list[bytes], counts: Counts, chances: random.Random) -> None:
    if chances.random() < 0.5:
        numbers = [chances.randrange(len(files)) for _ in range(8)]
        outcomes = index.add([_photo(files, number) for number in dict.fromkeys(numbers)])
        counts.add("indexed", len(outcomes))
        counts.add("refused", sum(outcome.state == "failed" for outcome in outcomes))
        return
    try:
        index.search(chances.choice(files), gallery_ids=(GALLERY,), limit=10, min_similarity=None)
        counts.add("searched")
    except ImageError:
        counts.add("refused")


def _photo(files: list[bytes], number: int) -> PhotoToIndex:
    return PhotoToIndex(photo_id=str(UUID(int=1000 + number)), gallery_id=GALLERY, read=lambda: files[number])


def _files() -> list[bytes]:
    """Return pictures of many sizes and formats, and what is none: cut short, too large, noise, text."""
    files = [b"", b"no picture", np.random.default_rng(0).bytes(50_000), pictures.huge_png()]
    formats = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")
    for seed in range(40):
        width = (160, 640, 1280, 2400)[seed % 4]
        image, _ = scene(faces=seed % (2 if width == 160 else 9), size=(width, width * 3 // 4), seed=seed)
        data = pictures.saved(image, formats[seed % 5])
        files.append(data if seed % 8 else data[: len(data) // 2])
    return files


if __name__ == "__main__":
    main()
