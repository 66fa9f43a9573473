"""From pictures and boxes to recall and false boxes, per condition and variant."""

import time
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from benchmarks.accuracy.systems import subject_of
from benchmarks.hard_faces.conditions import CONDITIONS, HardPicture, Subject
from benchmarks.hard_faces.variants import FAINTEST_SCORE, VariedDetector
from worker.recognition.detectors.mtcnn import MtcnnDetector
from worker.recognition.interfaces import Box, Image

#: A box shows a face when they overlap by at least this (intersection over union): a tilted face has no upright box.
HIT_OVERLAP = 0.4
#: A box that shares more than this with a face that is known is not false, wherever its edges are.
KNOWN_OVERLAP = 0.2
#: Faces that are known: those that are found in the photo enlarged so much, from this size on, however faintly.
_ENLARGED, _KNOWN_FROM_PIXELS = 2, 20


@dataclass(slots=True, kw_only=True)
class Tally:
    """What a variant found under one condition."""

    pictures: int = 0
    faces: int = 0
    found: int = 0
    false_boxes: int = 0

    def add(self, picture: HardPicture, boxes: Sequence[Box]) -> None:
        self.pictures += 1
        known = [*picture.others]
        if picture.subject is not None:
            self.faces += 1
            self.found += any(box.overlap(picture.subject) >= HIT_OVERLAP for box in boxes)
            known.append(picture.subject)
        self.false_boxes += sum(all(box.overlap(face) <= KNOWN_OVERLAP for face in known) for box in boxes)


@dataclass(slots=True, kw_only=True)
class Found:
    """What a variant found, by condition, and the CPU time that this took in all."""

    variant: str
    tallies: dict[str, Tally] = field(default_factory=lambda: {name: Tally() for name in CONDITIONS})
    seconds: float = 0.0

    @property
    def false_boxes(self) -> int:
        return sum(tally.false_boxes for tally in self.tallies.values())

    @property
    def milliseconds(self) -> float:
        """CPU time per picture."""
        return 1e3 * self.seconds / max(1, sum(tally.pictures for tally in self.tallies.values()))


def subject_in(photo: Image, present: MtcnnDetector, *, face_score: float) -> Subject | None:
    """Return the photo with its subject, large and central, and all other faces; None when no face is found in it."""
    [found] = present.detect([photo])
    faces = [face for face in found if face.score >= face_score]
    if not faces:
        return None
    height, width = photo.shape[:2]
    subject = faces[subject_of([face.box for face in faces], width=width, height=height)]
    known = _faintest_faces(photo, present)
    return Subject(
        photo=photo,
        box=subject.box,
        landmarks=subject.landmarks,
        others=[box for box in known if box.overlap(subject.box) < HIT_OVERLAP],
    )


def _faintest_faces(photo: Image, present: MtcnnDetector) -> list[Box]:
    closest = MtcnnDetector(
        *present.models,  # type: ignore[arg-type]
        smallest_face_pixels=_KNOWN_FROM_PIXELS,
        longest_side_pixels=_ENLARGED * max(photo.shape),
        faintest_score=FAINTEST_SCORE,
        few_sizes=False,
    )
    enlarged = photo.repeat(_ENLARGED, axis=0).repeat(_ENLARGED, axis=1)
    boxes = (face.box for face in closest.detect([enlarged])[0])
    return [
        Box(
            left=box.left / _ENLARGED,
            top=box.top / _ENLARGED,
            right=box.right / _ENLARGED,
            bottom=box.bottom / _ENLARGED,
        )
        for box in boxes
    ]


def look(subjects: Iterable[tuple[str, Subject]], detectors: Sequence[VariedDetector]) -> list[Found]:
    """Show each variant the pictures of each subject (with a name, from which its dice come); who is first rotates."""
    results = [Found(variant=detector.name) for detector in detectors]
    for number, (name, subject) in enumerate(subjects):
        pictures = {
            condition: make(subject, np.random.default_rng(zlib.crc32(f"{name} {condition}".encode())))
            for condition, make in CONDITIONS.items()
        }
        for turn in range(len(detectors)):
            at = (number + turn) % len(detectors)
            before = time.process_time()
            boxes = [detectors[at].boxes([hard.picture])[0] for hard in pictures.values()]
            results[at].seconds += time.process_time() - before
            for (condition, hard), of_picture in zip(pictures.items(), boxes, strict=True):
                results[at].tallies[condition].add(hard, of_picture)
    return results


def as_text(results: Sequence[Found]) -> str:
    """Return a table with a row for each condition: recall, and false boxes behind it where there are any."""
    lines = [f"({number}) {each.variant}" for number, each in enumerate(results)]
    lines += ["", f"{'recall in %, + false boxes':28}" + "".join(f"{f'({at})':>12}" for at in range(len(results)))]
    for condition in CONDITIONS:
        cells = [_cell(each.tallies[condition]) for each in results]
        lines.append(f"{condition:28}" + "".join(f"{cell:>12}" for cell in cells))
    lines.append(f"{'false boxes in all':28}" + "".join(f"{each.false_boxes:>12}" for each in results))
    lines.append(f"{'CPU ms a picture':28}" + "".join(f"{each.milliseconds:>12.1f}" for each in results))
    return "\n".join(lines)


def _cell(tally: Tally) -> str:
    recall = f"{100 * tally.found / tally.faces:.1f}" if tally.faces else "-"
    return f"{recall} +{tally.false_boxes}" if tally.false_boxes else recall
