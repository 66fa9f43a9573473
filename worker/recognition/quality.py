"""How good a picture of a face is, as one number in 0..1: to sort faces, to choose the best, to reject bad ones.

It is the geometric mean of four shares in 0..1, each 1 for a perfect face, so that one bad share spoils the whole.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from worker.recognition.interfaces import Box, Crop, Landmarks

#: The variance of the Laplacian at which a face is half sharp. The measure is from J. Pech-Pacheco et al., "Diatom
#: autofocusing in brightfield microscopy", ICPR 2000; 100 is the usual border between blurred and sharp for 8 bits.
HALF_SHARP_VARIANCE = 100.0
#: Between these mean grey levels a face of any skin colour counts as well exposed.
WELL_EXPOSED_GREY = (50.0, 205.0)
#: A crop in one channel: uint8, shape (side, side).
Grey = NDArray[np.uint8]


def quality(*, box: Box, landmarks: Landmarks, crop: Crop, template: Landmarks) -> float:
    """Return the quality in 0..1 of a face with this box and landmarks (in pixels) and this crop.

    `template` is that of the crop's Alignment: a face that looks into the camera.
    """
    grey = np.asarray(cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY), np.uint8)
    return float((sharpness(grey) * exposure(grey) * pose(landmarks, template) * size(box, len(crop))) ** 0.25)


def sharpness(grey: Grey) -> float:
    """Return 0 for a crop of one colour, 0.5 at HALF_SHARP_VARIANCE, approaching 1 as detail gets finer."""
    _, deviation = cv2.meanStdDev(cv2.Laplacian(grey, cv2.CV_16S, ksize=1)[1:-1, 1:-1])
    variance = float(deviation[0, 0]) ** 2
    return variance / (variance + HALF_SHARP_VARIANCE)


def exposure(grey: Grey) -> float:
    """Return 1 for a mean grey within WELL_EXPOSED_GREY, less towards all black or all white."""
    mean = cv2.sumElems(grey)[0] / grey.size
    darkest, lightest = WELL_EXPOSED_GREY
    return min(1.0, mean / darkest, (255 - mean) / (255 - lightest))


def pose(landmarks: Landmarks, template: Landmarks) -> float:
    """Return 1 for a face that looks into the camera, 0 for one turned so far that the nose leaves the face.

    Turned: how far the nose is from the middle of the eyes, along the line of the eyes, in distances between the
    eyes. Bent: how far the nose's height between eyes and mouth is from the template's. A tilted head is not penalised.
    """
    place, frontal = _nose_place(landmarks), _nose_place(template)
    if place is None or frontal is None:
        return 0.0
    turned = abs(place[0])
    # To three decimals, a twentieth of a pixel: stored qualities were computed with 0.495 for ArcFace's template.
    bent = abs(place[1] - round(frontal[1], 3))
    return max(0.0, 1 - 2 * turned) * max(0.0, 1 - 2 * bent)


def size(box: Box, side_pixels: int) -> float:
    """Return 1 for a face at least as large as its crop of that side, less for one that had to be magnified."""
    return min(1.0, box.width / side_pixels, box.height / side_pixels)


def _nose_place(landmarks: Landmarks) -> tuple[float, float] | None:
    """Return where the nose is from the middle of the eyes: along their line, and towards the mouth.

    In distances between the eyes, and from the eyes to the mouth; None where one of them is zero.
    """
    # Five points: Python's own numbers are faster than arrays.
    left_eye, right_eye, nose, left_mouth, right_mouth = (complex(x, y) for x, y in landmarks.tolist())
    eyes, mouth = (left_eye + right_eye) / 2, (left_mouth + right_mouth) / 2
    across, down = right_eye - left_eye, mouth - eyes
    if not across or not down:
        return None
    # The real part of a quotient is how far the one point lies along the line to the other.
    return ((nose - eyes) / across).real, ((nose - eyes) / down).real
