"""The starter pack's detector: the LBP frontal-face cascade that scikit-image ships, asked twice.

A cascade answers yes or no for a window. The first look over the whole picture is coarse and fast, and its yeses
are only candidates. The second look magnifies each candidate to one size and asks for every window around it, at
several angles: a real face answers yes to dozens of neighbouring windows at its own angle, a pattern that looks
like a face by chance to a few. So the number of yeses is the score, and their mean is the place, the size and the
roll of the face. The cascade knows no landmarks: they are put where an average face has them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.feature import Cascade

from worker.recognition.alignment import ARCFACE
from worker.recognition.interfaces import Box, Detection, Image, Landmarks

#: A picture in one channel, 0..255; shape (height, width).
Grey = NDArray[np.float32]
#: Square windows: rows of (centre x, centre y, side) in pixels; shape (n, 3).
Windows = NDArray[np.float64]

#: The picture is shrunk to this longest side first; the smallest face is then 24 pixels, 4 % of that side.
LONGEST_SIDE_PIXELS = 640
#: So many yeses score 0.5. The frontal faces of insightface's and scikit-image's sample pictures keep 32 to 110 under
#: crop, tilt, scale, light and JPEG noise; in their pictures without faces a chance pattern rarely has more than 16.
HALF_SCORE_YESES = 24

#: The cascade was trained on windows of this side.
_CASCADE_SIDE_PIXELS = 24
#: The border is repeated outwards by this part of the picture's shorter side, so that a portrait that is cut at
#: the forehead or the chin still has a window around it.
_BORDER_SHARE = 0.15
#: Steps of the first look: from one window size to the next, and from one place to the next (in pixels of the
#: cascade's own window).
_COARSE_SIZE_STEP, _COARSE_PLACE_STEP = 1.15, 1.5
#: At most so many candidates, those with the most yeses, are looked at closely: a group photo has 10 to 40, and a
#: picture made to have thousands must not hold a worker.
_MOST_CANDIDATES = 100
#: The second look: a candidate is magnified to this side, in a patch with as much around it as a turn needs.
_CLOSE_SIDE_PIXELS, _CLOSE_PATCH_PIXELS = 36, 68
_CLOSE_SIZE_STEP, _CLOSE_PLACE_STEP = 1.1, 0.75
_CLOSE_SMALLEST, _CLOSE_LARGEST = 0.7, 1.4
#: The cascade stands a tilt of about half this step; the second look goes on in the direction that helps.
_ANGLE_STEP_DEGREES, _LARGEST_ANGLE_DEGREES = 12, 36
#: A candidate with fewer yeses than this in its first close look is dropped.
_FEW_YESES = 3
#: Windows that overlap by more than this (intersection over union) are of one face.
_SAME_FACE_OVERLAP = 0.3
#: The mean box of an ArcFace crop's face: its side and its centre in the crop, in pixels. Measured on the sample
#: pictures, where it puts the canonical landmarks onto the eyes and the mouth.
_BOX_SIDE_IN_CROP, _BOX_CENTRE_IN_CROP = 88.0, (56.0, 64.0)


class CascadeDetector:
    """Finds frontal faces, tilted by up to about 20 degrees. Safe to share between threads.

    A scan keeps its state to itself and only reads the cascade's tables (scikit-image's `_cascade.pyx`), so threads
    use one cascade at once; it runs without the interpreter lock.
    """

    def __init__(self, cascade_file: str, *, faintest_score: float) -> None:
        """Faces under `faintest_score` are not returned."""
        self._faintest_score = faintest_score
        self._cascade = Cascade(cascade_file)

    def detect(self, images: Sequence[Image]) -> list[list[Detection]]:
        return [self._detect(image) for image in images]

    def warm_up(self) -> None:
        """Scan one picture; the first scan makes the cascade's tables."""
        self.detect([np.full((LONGEST_SIDE_PIXELS, LONGEST_SIDE_PIXELS, 3), 128, np.uint8)])

    def _detect(self, image: Image) -> list[Detection]:
        grey, shrink = _small_grey(image)
        border = round(_BORDER_SHARE * min(grey.shape))
        wide = np.asarray(cv2.copyMakeBorder(grey, border, border, border, border, cv2.BORDER_REPLICATE), np.float32)
        coarse = self._yeses(wide, _COARSE_SIZE_STEP, _COARSE_PLACE_STEP, _CASCADE_SIDE_PIXELS, min(wide.shape))
        candidates = sorted(_grouped(coarse), key=len, reverse=True)[:_MOST_CANDIDATES]
        faces = [self._look_closely(wide, group.mean(axis=0)) for group in candidates]
        found: list[Detection] = []
        for face in sorted(filter(None, faces), key=lambda face: -face.yeses):
            detection = face.detection(border=border, shrink=shrink, image=image)
            if not detection or detection.score < self._faintest_score:
                continue
            if all(detection.box.overlap(other.box) < _SAME_FACE_OVERLAP for other in found):
                found.append(detection)
        return found

    def _look_closely(self, grey: Grey, candidate: NDArray[np.float64]) -> "_Face | None":
        """Return what the second look sees at a candidate, None for next to nothing.

        A candidate is often one window at the edge of the face. So where there is something, the look is
        repeated around the place that it found, and the better one counts.
        """
        face = self._look_around(grey, candidate, angle=0)
        if face is None:
            return None
        nearest = round(face.roll_degrees / _ANGLE_STEP_DEGREES) * _ANGLE_STEP_DEGREES
        again = self._look_around(grey, np.array([face.x, face.y, face.side]), angle=nearest)
        return again if again and again.yeses >= face.yeses else face

    def _look_around(self, grey: Grey, candidate: NDArray[np.float64], *, angle: int) -> "_Face | None":
        """Ask for every window around the candidate at this angle, and turn on while that gets more yeses."""
        shrink = min(1.0, _CLOSE_SIDE_PIXELS / candidate[2])
        grey = _resized(grey, shrink)
        near = candidate * shrink
        looks = {angle: self._look(grey, near, angle)}
        if len(looks[angle]) < _FEW_YESES:
            return None
        best, step = angle, _ANGLE_STEP_DEGREES
        while missing := [turn for turn in (best - step, best + step) if turn not in looks]:
            looks |= {turn: self._look(grey, near, turn) for turn in missing}
            best = max((best, *missing), key=lambda turn: len(looks[turn]))
            if abs(best) >= _LARGEST_ANGLE_DEGREES:
                break
        around = {turn: looks[turn] for turn in (best - step, best, best + step) if turn in looks}
        windows = np.concatenate(list(around.values()))
        x, y, side = windows.mean(axis=0) / shrink
        roll = sum(turn * len(group) for turn, group in around.items()) / len(windows)
        return _Face(x=x, y=y, side=side, roll_degrees=roll, yeses=len(looks[best]))

    def _look(self, grey: Grey, candidate: NDArray[np.float64], angle_degrees: float) -> Windows:
        """Return the largest group of yeses around the candidate, seen at an angle; empty for none."""
        x, y, side = candidate
        matrix = cv2.getRotationMatrix2D((x, y), angle_degrees, _CLOSE_SIDE_PIXELS / side)
        matrix[:, 2] += (_CLOSE_PATCH_PIXELS / 2 - x, _CLOSE_PATCH_PIXELS / 2 - y)
        size = (_CLOSE_PATCH_PIXELS, _CLOSE_PATCH_PIXELS)
        patch = np.asarray(cv2.warpAffine(grey, matrix, size, borderMode=cv2.BORDER_REPLICATE), np.float32)
        smallest, largest = _CLOSE_SMALLEST * _CLOSE_SIDE_PIXELS, _CLOSE_LARGEST * _CLOSE_SIDE_PIXELS
        yeses = self._yeses(patch, _CLOSE_SIZE_STEP, _CLOSE_PLACE_STEP, smallest, largest)
        group = max(_grouped(yeses), key=len, default=yeses)
        back = cv2.invertAffineTransform(matrix)
        centres = group[:, :2] @ back[:, :2].T + back[:, 2]
        return np.column_stack([centres, group[:, 2] * side / _CLOSE_SIDE_PIXELS])

    def _yeses(self, grey: Grey, size_step: float, place_step: float, smallest: float, largest: float) -> Windows:
        """Return every window that the cascade says yes to, in an order that does not depend on its threads."""
        # The cascade compares sums of equal blocks, so a constant may go. Without it the integral image is
        # small enough for the float32 that the cascade keeps it in.
        level = grey.astype(np.float64) - float(grey.mean())
        found = self._cascade.detect_multi_scale(
            level,
            scale_factor=size_step,
            step_ratio=place_step,
            min_size=(smallest, smallest),
            max_size=(largest, largest),
            min_neighbor_number=1,
            intersection_score_threshold=2.0,  # more than any overlap: the cascade's own merging is off
        )
        rows = sorted((yes["c"], yes["r"], yes["width"]) for yes in found)
        windows = np.array(rows, np.float64).reshape(-1, 3)
        windows[:, :2] += windows[:, 2:] / 2
        return windows


@dataclass(frozen=True, slots=True, kw_only=True)
class _Face:
    """A face in pixels of the picture looked at: centre and side of its box, its roll, and the yeses for it."""

    x: float
    y: float
    side: float
    roll_degrees: float
    yeses: int

    def detection(self, *, border: int, shrink: float, image: Image) -> Detection | None:
        """Return it in pixels of `image`, cut at its edges; None when it lies outside."""
        height, width = image.shape[:2]
        centre = (np.array([self.x, self.y]) - border) / shrink
        side = self.side / shrink
        left, top = np.maximum(centre - side / 2, 0)
        right, bottom = np.minimum(centre + side / 2, (width, height))
        if left >= right or top >= bottom:
            return None
        box = Box(left=float(left), top=float(top), right=float(right), bottom=float(bottom))
        score = self.yeses / (self.yeses + HALF_SCORE_YESES)
        return Detection(box=box, landmarks=_average_landmarks(centre, side, self.roll_degrees), score=score)


def _average_landmarks(centre: NDArray[np.float64], side: float, roll_degrees: float) -> Landmarks:
    """Return the five landmarks of an average face in a box of this centre and side, turned by its roll."""
    roll = np.deg2rad(roll_degrees)
    turn = np.array([[np.cos(roll), np.sin(roll)], [-np.sin(roll), np.cos(roll)]])
    offsets = (ARCFACE.template - np.array(_BOX_CENTRE_IN_CROP)) * (side / _BOX_SIDE_IN_CROP)
    return np.asarray(offsets @ turn + centre, np.float32)


def _small_grey(image: Image) -> tuple[Grey, float]:
    """Return the picture in grey with a bounded longest side, and the factor it was shrunk by, at most 1."""
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    shrink = min(1.0, LONGEST_SIDE_PIXELS / max(grey.shape))
    return _resized(np.asarray(grey, np.float32), shrink), shrink


def _resized(grey: Grey, shrink: float) -> Grey:
    if shrink == 1:
        return grey
    height, width = grey.shape
    size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
    return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.float32)


def _grouped(windows: Windows) -> list[Windows]:
    """Split the windows into groups: each joins the group whose mean it overlaps most, or starts its own."""
    groups: list[list[NDArray[np.float64]]] = []
    means: list[NDArray[np.float64]] = []
    for window in windows:
        overlaps = _overlaps(window, np.array(means).reshape(-1, 3))
        if len(means) and overlaps.max() > _SAME_FACE_OVERLAP:
            best = int(overlaps.argmax())
            groups[best].append(window)
            means[best] = np.mean(groups[best], axis=0)
        else:
            groups.append([window])
            means.append(window)
    return [np.array(group) for group in groups]


def _overlaps(window: NDArray[np.float64], others: Windows) -> NDArray[np.float64]:
    """Return the intersection over union of a window with each of the others."""
    reach = (window[2] + others[:, 2:]) / 2 - np.abs(window[:2] - others[:, :2])
    smaller = np.minimum(window[2], others[:, 2:])
    shared = np.prod(np.clip(np.minimum(reach, smaller), 0, None), axis=1)
    return np.asarray(shared / (window[2] ** 2 + others[:, 2] ** 2 - shared))
