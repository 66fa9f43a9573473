"""The effects of decoding JPEGs at a reduced scale: on boxes, embeddings and matches, and the time it saves.

`python -m benchmarks.reduced_decoding [--pack FOLDER] [--json]`. The photos with faces are those that
installed packages ship, original and mirrored, magnified 2, 3 and 4 times (Lanczos) and saved as JPEG of quality 90: up
to 18 megapixels with the same faces. Each photo is processed in several ways and compared with the full decode:

* reduced: detected and cropped in the reduced picture
* mixed:   detected in the reduced picture; faces smaller there than the crop are cropped from the full one
* placed:  detected in the full picture, cropped in the reduced one: the effect of the pixels alone
* resaved: the full decode of a copy saved with quality 75: how the change compares with that of saving again

"lost" faces are detected in the full decode only, "gained" ones only the other way. "found" is the share of all faces
of the full decode that their own photo's query still matches, at the pack's threshold, in a gallery of the full decodes
and the 100 LFW faces of scikit-image; "first" is the share whose best match is the face itself. A lost face counts as
neither.
"""

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from benchmarks.environment import packs_dir
from tests import pictures
from worker.config import FaceConfig
from worker.images.decoding import DecodedImage, ImageLimits, decode
from worker.recognition.alignment import aligned_crop
from worker.recognition.interfaces import Box, Crop, Detection, Pack
from worker.recognition.packs.loading import load_pack

PHOTOS = ("six_people", "astronaut", "mask_black", "mask_blue", "mask_green", "mask_white")
MAGNIFIED = (2, 3, 4)
WAYS = ("reduced", "mixed", "placed", "resaved")
QUALITY, RESAVED_QUALITY = 90, 75
#: Two boxes belong to the same face if they overlap at least this much (intersection over union).
SAME_FACE = 0.5
TIMED_TURNS = 3
LIMITS = ImageLimits()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """The faces of one photo, processed one way: boxes in pixels of the full picture, and a row of embeddings each."""

    boxes: list[Box]
    embeddings: NDArray[np.float32]


@dataclass(slots=True, kw_only=True)
class _Comparison:
    """The results of one way for all photos, compared with the full decode."""

    overlaps: list[float] = field(default_factory=list)
    cosines: list[float] = field(default_factory=list)
    found: list[bool] = field(default_factory=list)
    first: list[bool] = field(default_factory=list)
    lost: int = 0
    gained: int = 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pack", default="dlib", help="name or folder of a pack (default: dlib)")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    pack = load_pack(FaceConfig(packs_dir=packs_dir(), pack=options.pack))
    figures = _measure(pack)
    print(json.dumps(figures, indent=2) if options.json else _table(figures))


def _measure(pack: Pack) -> dict[str, Any]:
    strangers = pack.recognizer.embed(pictures.lfw_crops(side_pixels=pack.alignment.side_pixels))
    comparisons = {way: _Comparison() for way in WAYS}
    ratios: dict[int, list[float]] = {magnified: [] for magnified in MAGNIFIED}
    decoded_again: list[bool] = []
    for magnified in MAGNIFIED:
        seen: list[dict[str, _Found]] = []
        for photo in _photos(magnified):
            ratios[magnified].append(_decoding_ratio(pack, photo))
            whole, reduced = decode(photo, limits=LIMITS), _reduced(pack, photo)
            detections, whole_detections = _detected(pack, reduced), _detected(pack, whole)
            decoded_again.append(any(_is_small(detection, pack) for detection in detections))
            resaved = decode(pictures.saved(whole.pixels, "JPEG", quality=RESAVED_QUALITY), limits=LIMITS)
            seen.append(
                {
                    "whole": _described(pack, whole, whole_detections),
                    "reduced": _described(pack, reduced, detections),
                    "mixed": _described(pack, reduced, detections, small_from=whole),
                    "placed": _described(pack, reduced, [_in_reduced(face, reduced) for face in whole_detections]),
                    "resaved": _described(pack, resaved, _detected(pack, resaved)),
                }
            )
        gallery = np.concatenate([*(found["whole"].embeddings for found in seen), strangers])
        for way, comparison in comparisons.items():
            _compare(comparison, seen, way, gallery, pack.match_cosine)
    return {
        "pack": pack.name,
        "photos": len(decoded_again),
        "decoding_ratios": {magnified: median(values) for magnified, values in ratios.items()},
        "decoded_again": float(np.mean(decoded_again)),
        "ways": [_row(way, comparison) for way, comparison in comparisons.items()],
    }


def _photos(magnified: int) -> Iterator[bytes]:
    for name in PHOTOS:
        photo = Pillow.open(pictures.sample_file(name)).convert("RGB")
        large = photo.resize((photo.width * magnified, photo.height * magnified), Pillow.Resampling.LANCZOS)
        for turned in (large, large.transpose(Pillow.Transpose.FLIP_LEFT_RIGHT)):
            file = BytesIO()
            turned.save(file, "JPEG", quality=QUALITY)
            yield file.getvalue()


def _reduced(pack: Pack, photo: bytes) -> DecodedImage:
    return decode(photo, limits=LIMITS, enough_pixels=pack.enough_pixels)


def _decoding_ratio(pack: Pack, photo: bytes) -> float:
    """Return how many times longer the full decode takes."""
    times_s: dict[bool, list[float]] = {True: [], False: []}
    for _ in range(TIMED_TURNS):
        for is_whole in (True, False):
            started = time.perf_counter()
            decode(photo, limits=LIMITS, enough_pixels=None if is_whole else pack.enough_pixels)
            times_s[is_whole].append(time.perf_counter() - started)
    return median(times_s[True]) / median(times_s[False])


def _detected(pack: Pack, image: DecodedImage) -> list[Detection]:
    [detections] = pack.detector.detect([image.pixels])
    return [detection for detection in detections if detection.score >= pack.face_score]


def _is_small(detection: Detection, pack: Pack) -> bool:
    return min(detection.box.width, detection.box.height) < pack.alignment.side_pixels


def _described(
    pack: Pack, image: DecodedImage, detections: list[Detection], *, small_from: DecodedImage | None = None
) -> _Found:
    """Embed the faces of a picture; the small ones from another decode of it, if given."""
    origin = np.array(image.origin, np.float32)
    crops: list[Crop] = []
    for detection in detections:
        if small_from is not None and _is_small(detection, pack):
            landmarks = origin + detection.landmarks / np.float32(image.scale)
            crops.append(aligned_crop(small_from.pixels, landmarks, pack.alignment))
        else:
            crops.append(aligned_crop(image.pixels, detection.landmarks, pack.alignment))
    boxes = [_in_whole(detection.box, image) for detection in detections]
    return _Found(boxes=boxes, embeddings=pack.recognizer.embed(crops))


def _in_reduced(detection: Detection, image: DecodedImage) -> Detection:
    """Convert a detection in the full picture to one in a reduced decode of it."""
    box, (x, y) = detection.box, image.origin
    small = Box(
        left=(box.left - x) * image.scale,
        top=(box.top - y) * image.scale,
        right=(box.right - x) * image.scale,
        bottom=(box.bottom - y) * image.scale,
    )
    landmarks = (detection.landmarks - np.array((x, y), np.float32)) * np.float32(image.scale)
    return Detection(box=small, landmarks=landmarks, score=detection.score)


def _in_whole(box: Box, image: DecodedImage) -> Box:
    x, y = image.origin
    return Box(
        left=x + box.left / image.scale,
        top=y + box.top / image.scale,
        right=x + box.right / image.scale,
        bottom=y + box.bottom / image.scale,
    )


def _compare(
    comparison: _Comparison,
    seen: list[dict[str, _Found]],
    way: str,
    gallery: NDArray[np.float32],
    match_cosine: float,
) -> None:
    """Add one way's results for some photos; the gallery starts with the faces of their full decodes."""
    row = 0
    for photo in seen:
        whole, other = photo["whole"], photo[way]
        matched: set[int] = set()
        for box, embedding in zip(whole.boxes, whole.embeddings, strict=True):
            overlaps = [box.overlap(candidate) for candidate in other.boxes]
            best = int(np.argmax(overlaps)) if overlaps else -1
            if best < 0 or overlaps[best] < SAME_FACE:
                comparison.lost += 1
                comparison.found.append(False)
                comparison.first.append(False)
            else:
                matched.add(best)
                alike = gallery @ other.embeddings[best]
                comparison.overlaps.append(overlaps[best])
                comparison.cosines.append(float(embedding @ other.embeddings[best]))
                comparison.found.append(bool(alike[row] >= match_cosine))
                comparison.first.append(int(alike.argmax()) == row)
            row += 1
        comparison.gained += len(other.boxes) - len(matched)


def _row(way: str, comparison: _Comparison) -> dict[str, Any]:
    return {
        "way": way,
        "faces": len(comparison.found),
        "lost": comparison.lost,
        "gained": comparison.gained,
        "overlap": _spread(comparison.overlaps),
        "cosine": _spread(comparison.cosines),
        "found": float(np.mean(comparison.found)),
        "first": float(np.mean(comparison.first)),
    }


def _spread(values: list[float]) -> dict[str, float]:
    return {"min": min(values), "p5": float(np.percentile(values, 5)), "median": median(values)}


def _table(figures: dict[str, Any]) -> str:
    ratios = ", ".join(f"{ratio:.1f} times (x{magnified})" for magnified, ratio in figures["decoding_ratios"].items())
    lines = [
        f"Pack {figures['pack']}, {figures['photos']} photos. A full decode takes longer than a reduced one: {ratios};",
        f'{figures["decoded_again"]:.0%} of the photos have a face for which the way "mixed" decodes twice.',
        f"{'way':<9} {'faces':>5} {'lost':>5} {'gained':>6}   {'overlap min':>11} {'p5':>6} {'median':>6}   "
        f"{'cosine min':>10} {'p5':>6} {'median':>6}   {'found':>6} {'first':>6}",
    ]
    for row in figures["ways"]:
        overlap, cosine = row["overlap"], row["cosine"]
        lines.append(
            f"{row['way']:<9} {row['faces']:>5} {row['lost']:>5} {row['gained']:>6}   {overlap['min']:>11.3f} "
            f"{overlap['p5']:>6.3f} {overlap['median']:>6.3f}   {cosine['min']:>10.4f} {cosine['p5']:>6.4f} "
            f"{cosine['median']:>6.4f}   {row['found']:>6.1%} {row['first']:>6.1%}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
