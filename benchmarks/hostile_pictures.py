"""What the gate for pictures does: 32 pictures of 40 megapixels at once, and small ones beside them.

`python -m benchmarks.hostile_pictures`. Eight threads look for faces in small files of 40 million pixels each, while
one more thread looks at a portrait again and again; the pack `dlib`. A row is a process of its own, with one bound of
`FACE_MAX_DECODED_BYTES`: the default, and one that keeps nobody waiting. Memory is the peak beyond what the process
had once it had seen one file of each format.
"""

import argparse
import multiprocessing
import os
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
from PIL import Image as Pillow

from benchmarks.environment import packs_dir
from tests import pictures
from worker.config import FaceConfig
from worker.detection import detect_faces
from worker.recognition.engine import FaceEngine

SIDES = (8000, 5000)
HOSTILE, THREADS = 32, 8
PAUSE_SECONDS = 0.05
#: Of each format, the mode and options that take the most memory or time.
FORMATS: dict[str, tuple[str, dict[str, Any]]] = {
    "AVIF": ("RGBA", {"speed": 10, "subsampling": "4:4:4"}),
    "PNG": ("RGBA", {}),
    "GIF": ("P", {}),
    "TIFF": ("RGB", {"compression": "tiff_deflate"}),
    "JPEG": ("CMYK", {"progressive": True}),
    "WEBP": ("RGBA", {"lossless": True, "method": 0}),
}


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter).parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("MALLOC_ARENA_MAX", "2")  # as the service starts its workers
    files = [
        pictures.pillow_bytes(Pillow.new(mode, SIDES), file_format, **options)
        for file_format, (mode, options) in FORMATS.items()
    ]
    print("| bound, MB | seconds | memory, MB | small: p50 ms | p99 ms | longest |")
    print("|---|---|---|---|---|---|")
    context = multiprocessing.get_context("spawn")
    for bound in (None, 10**11):
        process = context.Process(target=_measure, args=(bound, files))
        process.start()
        process.join()


def _measure(bound: int | None, files: list[bytes]) -> None:
    config = FaceConfig(packs_dir=packs_dir(), max_decoded_bytes=bound)
    engine, small = FaceEngine(config), pictures.edited_portrait()
    engine.open()
    for data in (*files, small):
        detect_faces(engine, data, limits=config.image_limits)
    _forget_peak()
    before, began = psutil.Process().memory_info().rss, time.perf_counter()
    with ThreadPoolExecutor(THREADS) as pool:
        hostile = [
            pool.submit(detect_faces, engine, files[number % len(files)], limits=config.image_limits)
            for number in range(HOSTILE)
        ]
        waits = sorted(_look_beside(hostile, engine, small))
    seconds, taken_mb = time.perf_counter() - began, (_peak_bytes() - before) / 2**20
    cells = (
        *(f"{config.most_picture_bytes / 2**20:.0f}", f"{seconds:.1f}", f"{taken_mb:.0f}"),
        *(f"{waits[int(share * (len(waits) - 1))] * 1000:.0f}" for share in (0.5, 0.99, 1)),
    )
    print(f"| {' | '.join(cells)} |")
    engine.close()


def _look_beside(hostile: list["Future[Any]"], engine: FaceEngine, small: bytes) -> Iterator[float]:
    """Look for faces in the small picture until the hostile ones are done; yield how many seconds each time took."""
    while not all(each.done() for each in hostile):
        began = time.perf_counter()
        detect_faces(engine, small, limits=engine.config.image_limits)
        yield time.perf_counter() - began
        time.sleep(PAUSE_SECONDS)


def _forget_peak() -> None:
    """Let the peak be what there is now (proc(5): 5 written to clear_refs)."""
    Path("/proc/self/clear_refs").write_text("5")


def _peak_bytes() -> int:
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) * 1024


if __name__ == "__main__":
    main()
