"""The detector of the dlib packs with other settings than it has, to see whether others are better."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from worker.recognition.detectors import mtcnn
from worker.recognition.detectors.mtcnn import MtcnnDetector
from worker.recognition.interfaces import Box, Image
from worker.recognition.packs.dlib import LONGEST_SIDE_PIXELS, SMALLEST_FACE_PIXELS

#: Below this score nothing that the detector finds is a face.
FAINTEST_SCORE: Final = 0.3

#: The settings that are constants of the detector's module. Only this benchmark ever changes them.
_CONSTANTS: Final = {
    "proposal_score": "_PROPOSAL_SCORE",
    "refinement_score": "_REFINEMENT_SCORE",
    "level_factor": "_LEVEL_FACTOR",
    "margin_pixels": "_MARGIN_PIXELS",
    "smallest_level_pixels": "_SMALLEST_LEVEL_PIXELS",
    "level_overlap": "_LEVEL_OVERLAP",
    "proposal_overlap": "_PROPOSAL_OVERLAP",
    "refinement_overlap": "_REFINEMENT_OVERLAP",
    "output_overlap": "_OUTPUT_OVERLAP",
}
_OTHERS: Final = ("face_score", "smallest_face_pixels", "longest_side_pixels")
_WHOLE: Final = ("margin_pixels", "smallest_level_pixels", "smallest_face_pixels", "longest_side_pixels")


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """The detector's settings where they differ from the present ones, by name; none: as it is."""

    settings: dict[str, float]

    @classmethod
    def parse(cls, text: str) -> "Variant":
        """Read "face_score=0.8,margin_pixels=6"; raises ValueError with a sentence."""
        settings: dict[str, float] = {}
        for each in text.split(","):
            name, _, value = each.partition("=")
            if name not in (*_CONSTANTS, *_OTHERS):
                raise ValueError(f"{name!r} is not a setting; there are {', '.join((*_CONSTANTS, *_OTHERS))}")
            try:
                settings[name] = int(value) if name in _WHOLE else float(value)
            except ValueError as error:
                raise ValueError(f"{value!r} is not a number that {name} can have") from error
            if not 0 < settings[name] < (100_000 if name in _WHOLE else 1):
                raise ValueError(f"{name} cannot be {value}")
        return cls(settings=settings)

    def __str__(self) -> str:
        return ", ".join(f"{name} {value:g}" for name, value in self.settings.items()) or "present"


class VariedDetector:
    """The detector with a variant's settings. Not to be used by several threads: it changes the detector's module."""

    def __init__(self, present: MtcnnDetector, variant: Variant, *, face_score: float) -> None:
        """`face_score` is the pack's."""
        self.name = str(variant)
        settings = dict(variant.settings)
        self._face_score = settings.pop("face_score", face_score)
        self._detector = MtcnnDetector(
            *present.models,  # type: ignore[arg-type]
            smallest_face_pixels=int(settings.pop("smallest_face_pixels", SMALLEST_FACE_PIXELS)),
            longest_side_pixels=int(settings.pop("longest_side_pixels", LONGEST_SIDE_PIXELS)),
            faintest_score=min(FAINTEST_SCORE, self._face_score),
            few_sizes=False,
        )
        self._constants = {_CONSTANTS[name]: value for name, value in settings.items()}

    def boxes(self, pictures: Sequence[Image]) -> list[list[Box]]:
        """Return the boxes of the faces in each picture, best first."""
        with _changed(self._constants):
            found = self._detector.detect(pictures)
        return [[face.box for face in faces if face.score >= self._face_score] for faces in found]


@contextmanager
def _changed(constants: dict[str, float]) -> Iterator[None]:
    present = {name: getattr(mtcnn, name) for name in constants}
    try:
        vars(mtcnn).update(constants)
        yield
    finally:
        vars(mtcnn).update(present)
