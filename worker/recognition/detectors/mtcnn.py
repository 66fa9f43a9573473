"""MTCNN, the detector of the `dlib` pack: three networks, each looking closer at what the one before has left.

K. Zhang et al., "Joint Face Detection and Alignment Using Multitask Cascaded Convolutional Networks", IEEE Signal
Processing Letters 23(10), 2016. The arithmetic around the networks is that of the authors' code, as far as their boxes
are concerned: coordinates are those of whole pixels, so that a box from x1 to x2 is x2 - x1 + 1 wide. Where pixels are
sampled, ours differs: levels and crops are averaged by area (`pyramid`), levels have a margin.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from worker.recognition.detectors.pyramid import BEYOND_GREY, Pyramid
from worker.recognition.interfaces import Box, Detection, Image
from worker.recognition.model import OnnxModel

Floats = NDArray[np.float32]
Rows = NDArray[np.intp]

#: Part of the fingerprint: to be raised whenever other faces are detected, or the same ones elsewhere.
VERSION: Final = 1
#: The side of what a network looks at, in pixels. The first one slides over a picture, two pixels at a time.
PROPOSAL_SIDE_PIXELS: Final = 12
REFINEMENT_SIDE_PIXELS: Final = 24
OUTPUT_SIDE_PIXELS: Final = 48
_PROPOSAL_STRIDE_PIXELS = 2

#: The scores from which the first two networks pass a candidate on; that of the last one is the face's score. With the
#: pack's `face_score` they are chosen on LFW: of 15 other settings none found more faces without more false boxes
#: (`benchmarks.hard_faces`, docs/models.md).
_PROPOSAL_SCORE, _REFINEMENT_SCORE = 0.8, 0.7
#: Of two boxes that overlap by more, the one with the lower score goes: within a level, across levels, after the second
#: network (intersection over union), and after the last one (share of the smaller box). The authors' values.
_LEVEL_OVERLAP, _PROPOSAL_OVERLAP, _REFINEMENT_OVERLAP, _OUTPUT_OVERLAP = 0.5, 0.7, 0.7, 0.7
#: At most so many of a picture's places are compared with each other, which takes time by the square of their number,
#: and so many of its candidates are looked at by the second network: those with the best scores. A picture of 400 faces
#: has 9,000 and 2,500, one that is made to look like faces everywhere can have several times as many.
_MOST_PLACES, _MOST_CANDIDATES = 20_000, 4_000
#: From one level to the next, sides shrink by this factor. The authors' value: areas halve.
_LEVEL_FACTOR = 0.709
#: Levels are this much larger than the picture on each side, in grey, so that faces which the edge cuts are found.
_MARGIN_PIXELS = 4
_SMALLEST_LEVEL_PIXELS = 8
#: Sides of the levels where few sizes are wanted: a GPU's libraries are tuned for each size that they are given.
FEW_SIDES_PIXELS: Final = (32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536)

#: What a photo of a few people gives the first network to look at, and the others: rather more than less.
LEVELS_PER_PICTURE: Final = 12
CANDIDATES_PER_PICTURE: Final = 64
#: Batches of candidates on the CPU: many small inputs make a run worth its overhead.
REFINEMENT_BATCH_SIZES: Final = (1, 2, 4, 8, 16, 32, 64)
OUTPUT_BATCH_SIZES: Final = (1, 2, 4, 8, 16)


@dataclass(frozen=True, slots=True)
class _Level:
    """One scale of one picture: `pixels` is what the first network slides over, with its margin."""

    picture: int
    pixels: Image
    #: Without the margin.
    width: int
    height: int
    #: Its pixels per pixel of the picture, across and down.
    scale: tuple[float, float]


@dataclass(frozen=True, slots=True)
class _Candidates:
    """Boxes (n, 4: x1, y1, x2, y2, in whole pixels of their picture) that may hold a face, with scores (n,)."""

    picture: Rows
    boxes: Floats
    scores: Floats

    def __getitem__(self, rows: Rows) -> "_Candidates":
        return _Candidates(self.picture[rows], self.boxes[rows], self.scores[rows])

    def moved(self, offsets: Floats) -> "_Candidates":
        """Return the candidates with their edges moved by the offsets (n, 4), in sides of their boxes."""
        return _Candidates(self.picture, self.boxes + offsets * _sides(self.boxes)[:, [0, 1, 0, 1]], self.scores)

    def squared(self) -> "_Candidates":
        """Return the candidates with their boxes made square, around the same middles."""
        lengths = self.boxes[:, 2:] - self.boxes[:, :2]
        longer = lengths.max(axis=1, keepdims=True)
        starts = self.boxes[:, :2] + (lengths - longer) / 2
        return _Candidates(self.picture, np.concatenate([starts, starts + longer], axis=1), self.scores)


class MtcnnDetector:
    """Detects faces with the three networks of MTCNN. Safe to share between threads.

    Of several pictures, and of callers on several threads, candidates share the runs of the second and third network.
    """

    def __init__(
        self,
        proposal: OnnxModel,
        refinement: OnnxModel,
        output: OnnxModel,
        *,
        smallest_face_pixels: int,
        longest_side_pixels: int,
        faintest_score: float,
        few_sizes: bool,
    ) -> None:
        """Faces smaller than `smallest_face_pixels`, in a picture shrunk to `longest_side_pixels`, are not looked for.

        Those under `faintest_score` are left out. With `few_sizes` levels are filled up to a side of FEW_SIDES_PIXELS.
        """
        self._proposal, self._refinement, self._output = proposal, refinement, output
        self._first_scale = PROPOSAL_SIDE_PIXELS / smallest_face_pixels
        self._longest_side_pixels = longest_side_pixels
        self._faintest_score = faintest_score
        self._few_sizes = few_sizes

    @property
    def models(self) -> tuple[OnnxModel, ...]:
        return self._proposal, self._refinement, self._output

    def detect(self, images: Sequence[Image]) -> list[list[Detection]]:
        shrunk = [_shrunk(image, self._longest_side_pixels) for image in images]
        pyramids = [Pyramid(picture) for picture in shrunk]
        candidates = self._refined(pyramids, self._proposed(pyramids))
        found: list[list[Detection]] = [[] for _ in images]
        for picture, scored in self._faces(pyramids, candidates):
            found[picture].append(_detection(scored, shrunk[picture], images[picture]))
        return found

    def warm_up(self) -> None:
        """Run the networks at every batch size they will be given, and the first one at the sizes it is tuned for."""
        for side_pixels in FEW_SIDES_PIXELS if self._few_sizes else (FEW_SIDES_PIXELS[0],):
            self._proposal.warm_up(_grey(side_pixels, side_pixels))
        self._refinement.warm_up(_grey(REFINEMENT_SIDE_PIXELS, REFINEMENT_SIDE_PIXELS))
        self._output.warm_up(_grey(OUTPUT_SIDE_PIXELS, OUTPUT_SIDE_PIXELS))

    def _proposed(self, pyramids: Sequence[Pyramid]) -> _Candidates:
        """Return where the first network sees a face, at any scale."""
        levels = [level for number, pyramid in enumerate(pyramids) for level in self._levels(number, pyramid)]
        outputs = self._proposal.run([level.pixels for level in levels])
        places = [_places(level, faces) for level, (faces, _) in zip(levels, outputs, strict=True)]
        numbers = np.repeat(np.arange(len(levels)), [len(each) for each in places])
        if not len(numbers):
            return _NONE
        at = list(zip(outputs, places, strict=True))
        scores = np.concatenate([faces.ravel()[place] for (faces, _), place in at])
        offsets = np.concatenate([moves.reshape(-1, 4)[place] for (_, moves), place in at])
        columns = np.array([faces.shape[1] for faces, _ in outputs])[numbers]
        scales = np.array([level.scale * 2 for level in levels])[numbers]
        pictures = np.array([level.picture for level in levels], np.intp)[numbers]
        candidates = _Candidates(pictures, _seen_from(np.concatenate(places), columns, scales), scores)
        kept = _best_of_each(candidates, _MOST_PLACES)
        kept = kept[_without_overlaps(candidates[kept], numbers[kept], _LEVEL_OVERLAP)]
        kept = kept[_without_overlaps(candidates[kept], candidates.picture[kept], _PROPOSAL_OVERLAP)]
        kept = kept[_best_of_each(candidates[kept], _MOST_CANDIDATES)]
        return candidates[kept].moved(offsets[kept]).squared()

    def _refined(self, pyramids: Sequence[Pyramid], candidates: _Candidates) -> _Candidates:
        """Return the candidates that the second network takes for faces, with better boxes."""
        outputs = self._refinement.run(_crops(pyramids, candidates, REFINEMENT_SIDE_PIXELS))
        if not outputs:
            return _NONE
        scores, offsets = (np.array(column, np.float32) for column in zip(*outputs, strict=True))
        rows = np.flatnonzero(scores >= _REFINEMENT_SCORE)
        scored = _Candidates(candidates.picture, candidates.boxes, scores)[rows]
        kept = _without_overlaps(scored, scored.picture, _REFINEMENT_OVERLAP)
        return scored[kept].moved(offsets[rows[kept]]).squared()

    def _faces(
        self, pyramids: Sequence[Pyramid], candidates: _Candidates
    ) -> Iterable[tuple[int, tuple[Floats, Floats, float]]]:
        """Yield the faces that the third network sees, best first: the picture, then box, landmarks and score."""
        outputs = self._output.run(_crops(pyramids, candidates, OUTPUT_SIDE_PIXELS))
        if not outputs:
            return
        scores, offsets, points = (np.array(column, np.float32) for column in zip(*outputs, strict=True))
        # Five times across, five times down, in sides of the square that the network looked at.
        shares = points.reshape(-1, 2, 5).transpose(0, 2, 1)
        landmarks = shares * _sides(candidates.boxes)[:, None] + candidates.boxes[:, None, :2] - 1
        moved = _Candidates(candidates.picture, candidates.boxes, scores).moved(offsets)
        rows = np.flatnonzero(scores >= self._faintest_score)
        for row in rows[_without_nested(moved[rows], _OUTPUT_OVERLAP)]:
            yield int(moved.picture[row]), (moved.boxes[row], landmarks[row], float(scores[row]))

    def _levels(self, number: int, pyramid: Pyramid) -> Iterable[_Level]:
        height, width = pyramid.picture.shape[:2]
        scale = self._first_scale
        while min(height, width) * scale >= _SMALLEST_LEVEL_PIXELS:
            across, down = math.ceil(width * scale), math.ceil(height * scale)
            pixels = self._with_margin(pyramid.at(across, down))
            yield _Level(number, pixels, across, down, (across / width, down / height))
            scale *= _LEVEL_FACTOR

    def _with_margin(self, level: Image) -> Image:
        # Never smaller than what the network looks at.
        height, width = (max(side + 2 * _MARGIN_PIXELS, PROPOSAL_SIDE_PIXELS) for side in level.shape[:2])
        if self._few_sizes:
            longer = max(height, width)
            height = width = next((side for side in FEW_SIDES_PIXELS if side >= longer), longer)
        before, below, behind = _MARGIN_PIXELS, height - level.shape[0], width - level.shape[1]
        canvas = cv2.copyMakeBorder(
            level,
            before,
            below - before,
            before,
            behind - before,
            cv2.BORDER_CONSTANT,
            value=(BEYOND_GREY,) * 3,
        )
        return np.asarray(canvas, np.uint8)


#: No candidates.
_NONE = _Candidates(np.empty(0, np.intp), np.empty((0, 4), np.float32), np.empty(0, np.float32))


def _places(level: _Level, faces: Floats) -> Rows:
    """Return the places (of all, row by row) of a level in which the first network sees a face."""
    above = faces >= _PROPOSAL_SCORE
    # Beyond the margin there is only what fills the level up to one of the few sizes.
    beyond = 2 * _MARGIN_PIXELS - PROPOSAL_SIDE_PIXELS
    above[(level.height + beyond) // _PROPOSAL_STRIDE_PIXELS + 1 :] = False
    above[:, (level.width + beyond) // _PROPOSAL_STRIDE_PIXELS + 1 :] = False
    return np.flatnonzero(above)


def _seen_from(places: Rows, columns: Rows, scales: Floats) -> Floats:
    """Return the boxes (n, 4) in their pictures that the first network looked at from these places of its levels.

    `columns` are those of the place's level, `scales` (n, 4: across, down, and again) its pixels per pixel of the
    picture.
    """
    starts = _PROPOSAL_STRIDE_PIXELS * np.array([places % columns, places // columns]) - _MARGIN_PIXELS
    boxes = np.concatenate([starts + 1, starts + PROPOSAL_SIDE_PIXELS]).T
    return (boxes / scales).astype(np.float32)


def _best_of_each(candidates: _Candidates, most: int) -> Rows:
    """Return the rows of the `most` candidates of each picture with the best scores, in their order."""
    if len(candidates.scores) <= most:
        return np.arange(len(candidates.scores))
    by_score = np.lexsort((-candidates.scores, candidates.picture))
    pictures = candidates.picture[by_score]
    ranks = np.arange(len(by_score)) - np.searchsorted(pictures, pictures)
    return np.sort(by_score[ranks < most])


def _crops(pyramids: Sequence[Pyramid], candidates: _Candidates, side_pixels: int) -> NDArray[np.uint8]:
    """Return what is in the candidates' boxes, in their order: uint8 BGR, shape (n, side_pixels, side_pixels, 3)."""
    edges = candidates.boxes - np.array([1, 1, 0, 0], np.float32)  # whole pixels x1..x2 reach from edge x1 - 1 to x2
    if len(pyramids) == 1:
        return pyramids[0].crops(edges, side_pixels)
    crops = np.empty((len(candidates.scores), side_pixels, side_pixels, 3), np.uint8)
    for number in set(candidates.picture.tolist()):
        rows = np.flatnonzero(candidates.picture == number)
        crops[rows] = pyramids[number].crops(edges[rows], side_pixels)
    return crops


def _sides(boxes: Floats) -> Floats:
    """Return width and height (n, 2) of boxes in whole pixels."""
    return boxes[:, 2:] - boxes[:, :2] + 1


def _without_overlaps(candidates: _Candidates, groups: Rows, overlap: float) -> Rows:
    """Return the rows that stay, best first, when those of one group must not overlap by more (shared part of both)."""
    rectangles = np.concatenate([candidates.boxes[:, :2], _sides(candidates.boxes)], axis=1)
    kept = cv2.dnn.NMSBoxesBatched(rectangles.tolist(), candidates.scores.tolist(), groups.tolist(), 0.0, overlap)
    return np.asarray(kept, np.intp).ravel()


def _without_nested(candidates: _Candidates, overlap: float) -> Rows:
    """Return the rows that stay, best first, when no box may share more of the smaller one with another."""
    areas = _sides(candidates.boxes).prod(axis=1)
    rest = np.argsort(-candidates.scores, kind="stable")
    kept: list[int] = []
    while len(rest):
        best, rest = int(rest[0]), rest[1:]
        kept.append(best)
        if not len(rest):
            break
        starts = np.maximum(candidates.boxes[best, :2], candidates.boxes[rest, :2])
        ends = np.minimum(candidates.boxes[best, 2:], candidates.boxes[rest, 2:])
        shared = np.maximum(ends - starts + 1, 0).prod(axis=1) / np.minimum(areas[best], areas[rest])
        rest = rest[(shared <= overlap) | (candidates.picture[rest] != candidates.picture[best])]
    return np.array(kept, np.intp)


def _detection(found: tuple[Floats, Floats, float], shrunk: Image, image: Image) -> Detection:
    """Return the face in pixels of the image, its box cut off at the image's edges."""
    box, landmarks, score = found
    height, width = image.shape[:2]
    scale = np.array([width / shrunk.shape[1], height / shrunk.shape[0]], np.float32)
    left, top = ((box[:2] - 1) * scale).tolist()
    right, bottom = (box[2:] * scale).tolist()
    left, top = min(max(left, 0.0), width - 1.0), min(max(top, 0.0), height - 1.0)
    right, bottom = min(max(right, left + 1), float(width)), min(max(bottom, top + 1), float(height))
    return Detection(
        box=Box(left=left, top=top, right=right, bottom=bottom),
        landmarks=((landmarks + 0.5) * scale - 0.5).astype(np.float32),
        score=min(1.0, score),
    )


def _shrunk(image: Image, longest_side_pixels: int) -> Image:
    height, width = image.shape[:2]
    factor = longest_side_pixels / max(height, width)
    if factor >= 1:
        return image
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _grey(height: int, width: int) -> Image:
    return np.full((height, width, 3), BEYOND_GREY, np.uint8)
