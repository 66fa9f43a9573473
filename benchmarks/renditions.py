"""The share of an index worker's time that renditions take, and the room that they need, by the size of the photo.

`python -m benchmarks.renditions [--photo NAME] [--reduced-decoding] [--megapixels N ...] [--rounds N] [--json]`. A
photo, magnified to each size with a camera's noise and saved as JPEG of quality 90, is indexed with the pack dlib with
and without renditions, in turns and on one thread. Times are CPU time of the process, medians of the rounds. Writing
the vectors is left out, so the share is, if anything, too large; decoding as many pixels as renditions need counts as
theirs.
"""

import argparse
import json
import os
import tempfile
import time
from dataclasses import asdict, dataclass
from functools import partial
from io import BytesIO
from statistics import fmean, median
from typing import Final

import cv2
import numpy as np
from PIL import Image as Pillow

from benchmarks.environment import packs_dir
from tests import pictures
from worker.bulk import PhotoToIndex, outcomes
from worker.config import FaceConfig, ImageLimits
from worker.recognition.engine import FaceEngine
from worker.renditions import RenditionNames, Renditions

#: Of six people, and of one whose face is large.
PHOTOS: Final = ("six_people", "astronaut")
MEGAPIXELS: Final = (1, 3, 6, 12, 24, 48)
#: The most that renditions may take of the worker's time, and of which photos.
TARGET_SHARE, TARGET_MEGAPIXELS = 0.25, 12
NOISE: Final = 3.0
QUALITY: Final = 90
LIMITS: Final = ImageLimits(max_pixels=100_000_000, max_bytes=100_000_000)
PHOTO_ID: Final = "00000000-0000-0000-0000-000000000001"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """CPU times in milliseconds per photo; sizes in bytes, that of a face's crop on average."""

    megapixels: int
    file: int
    without_ms: float
    with_ms: float
    share: float
    thumbnail: int
    preview: int
    face: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megapixels", type=int, nargs="+", default=MEGAPIXELS, metavar="N", help="only these sizes")
    parser.add_argument("--rounds", type=int, default=5, help="number of rounds (default 5)")
    parser.add_argument("--photo", choices=PHOTOS, default=PHOTOS[0], help=f"default: {PHOTOS[0]}")
    parser.add_argument("--reduced-decoding", action="store_true", help="with FACE_CONFIG's REDUCED_DECODING")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    engine = FaceEngine(
        FaceConfig(
            packs_dir=packs_dir(),
            pack="dlib",
            decode_threads=1,
            threads_per_run=1,
            runs_at_once=1,
            reduced_decoding=options.reduced_decoding,
            max_image_pixels=100_000_000,
        )
    )
    engine.open()
    try:
        with tempfile.TemporaryDirectory() as folder:
            _use_storage(folder)
            rows = [
                _row(engine, _photo(options.photo, megapixels), megapixels, options.rounds)
                for megapixels in options.megapixels
            ]
    finally:
        engine.close()
    print(json.dumps([asdict(row) for row in rows], indent=2) if options.json else _table(rows))


def _use_storage(folder: str) -> None:
    import django
    from django.conf import settings

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.config.settings")
    django.setup()
    settings.MEDIA_ROOT = folder


def _row(engine: FaceEngine, data: bytes, megapixels: int, rounds: int) -> Row:
    from tasks.storage.photo_files import photo_files_delete
    from tasks.worker.photos.opening import save

    made: list[Renditions] = []

    def kept(renditions: Renditions) -> RenditionNames:
        made.append(renditions)
        return save(PHOTO_ID, renditions)

    plain = PhotoToIndex(photo_id=PHOTO_ID, gallery_id="g", read=lambda: data)
    rendered = PhotoToIndex(photo_id=PHOTO_ID, gallery_id="g", read=lambda: data, save=kept)
    times: dict[bool, list[float]] = {False: [], True: []}
    for turn in range(rounds + 1):
        for photo in (plain, rendered):
            photo_files_delete(PHOTO_ID)
            seconds = _cpu_seconds(partial(outcomes, engine, [photo], limits=LIMITS))
            if turn:  # the first is a rehearsal
                times[photo is rendered].append(seconds)
    without, with_them = median(times[False]), median(times[True])
    last = made[-1]
    assert last.pictures is not None
    return Row(
        megapixels=megapixels,
        file=len(data),
        without_ms=without * 1e3,
        with_ms=with_them * 1e3,
        share=1 - without / with_them,
        thumbnail=len(last.pictures.thumbnail),
        preview=len(last.pictures.preview),
        face=round(fmean(map(len, last.faces))),
    )


def _cpu_seconds(work: "partial[object]") -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def _photo(name: str, megapixels: int) -> bytes:
    """Return a JPEG of that size, 4:3."""
    height = round((megapixels * 1e6 * 3 / 4) ** 0.5)
    width = round(height * 4 / 3)
    photo = pictures.sample(name)
    large = cv2.resize(photo, (width, height), interpolation=cv2.INTER_LANCZOS4)
    noise = np.random.default_rng(1).normal(0, NOISE, (height, width, 1)).astype(np.float32)
    noisy = np.clip(large + noise, 0, 255).astype(np.uint8)
    file = BytesIO()
    Pillow.fromarray(noisy[:, :, ::-1]).save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


def _table(rows: list[Row]) -> str:
    lines = ["  MP    file  without     with  share  thumbnail  preview   face"]
    for row in rows:
        lines.append(
            f"{row.megapixels:4}  {row.file / 1e6:3.1f} MB  {row.without_ms:4.0f} ms  {row.with_ms:4.0f} ms  "
            f"{row.share:5.1%}  {row.thumbnail / 1e3:6.1f} kB  {row.preview / 1e3:4.0f} kB  {row.face / 1e3:4.1f} kB"
        )
    for target in (row for row in rows if row.megapixels == TARGET_MEGAPIXELS):
        verdict = "kept" if target.share <= TARGET_SHARE else "MISSED"
        lines.append(f"At most {TARGET_SHARE:.0%} at {TARGET_MEGAPIXELS} megapixels: {verdict}.")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
