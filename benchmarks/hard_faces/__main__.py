"""How many faces that are hard to find the detector of the dlib packs finds, with its settings and with others.

`python -m benchmarks.hard_faces --photos DIR|TAR [--variant KEY=VALUE[,KEY=VALUE...] ...] [--people A-E] [--limit N]`.
From each photo pictures are made in which its subject is small, tilted, half-hidden, dark or cut by an edge, and one
without any face. The present settings always come first. Tune on some people, report others.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import cv2
from tqdm import tqdm

from benchmarks.accuracy.photos import Letters, Photo, PhotosUnusable, chosen, opened_photos
from benchmarks.environment import packs_dir
from benchmarks.hard_faces.conditions import Subject
from benchmarks.hard_faces.recall import as_text, look, subject_in
from benchmarks.hard_faces.variants import Variant, VariedDetector
from worker.config import FaceConfig, ImageLimits
from worker.errors import FaceQueueError, ImageError
from worker.images.decoding import decode
from worker.recognition.detectors.mtcnn import MtcnnDetector
from worker.recognition.engine import FaceEngine

PACK = "dlib"


def main() -> int:
    options = _options()
    cv2.setNumThreads(1)
    engine = FaceEngine(FaceConfig(packs_dir=options.packs_dir, pack=PACK, threads_per_run=1, runs_at_once=1))
    try:
        with closing(engine), opened_photos(options.photos, max_bytes=ImageLimits().max_bytes) as photos:
            photos = chosen(photos, people=options.people, limit=options.limit)
            engine.open()
            present, face_score = engine.pack.detector, engine.pack.face_score
            assert isinstance(present, MtcnnDetector), "the pack dlib has no other detector"
            variants = [Variant(settings={}), *options.variant]
            results = look(
                _subjects(tqdm(photos, unit="photo", mininterval=2), present, face_score),
                [VariedDetector(present, variant, face_score=face_score) for variant in variants],
            )
    except (FaceQueueError, PhotosUnusable) as error:
        print(error, file=sys.stderr)
        return 2
    print(as_text(results))
    return 0


def _subjects(photos: Sequence[Photo], present: MtcnnDetector, face_score: float) -> Iterator[tuple[str, Subject]]:
    """Yield the subjects of the photos, with names; a photo that cannot be read or shows no face is told of."""
    for photo in photos:
        name = f"{photo.person}/{photo.name}"
        try:
            picture = decode(photo.read(), limits=ImageLimits()).pixels
        except ImageError as error:
            print(f"left out: {name!r}: {error}", file=sys.stderr)
            continue
        subject = subject_in(picture, present, face_score=face_score)
        if subject is None:
            print(f"left out: {name!r}: no face is found in the photo itself.", file=sys.stderr)
            continue
        yield name, subject


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.hard_faces",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--photos", type=Path, required=True, help="a folder or tar archive of people's folders")
    parser.add_argument("--variant", action="append", type=_variant, default=[], help="may be repeated")
    parser.add_argument("--people", action="append", type=_letters, default=[], metavar="A-E", help="may be repeated")
    parser.add_argument("--limit", type=int, metavar="N", help="look at N photos only")
    parser.add_argument("--packs-dir", type=Path, default=packs_dir(), help="default: FACE_PACKS_DIR, else var/packs")
    return parser.parse_args()


def _variant(text: str) -> Variant:
    try:
        return Variant.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _letters(text: str) -> Letters:
    try:
        return Letters.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


if __name__ == "__main__":
    sys.exit(main())
