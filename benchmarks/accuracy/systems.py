"""What is compared: packs in the product's engine. `references.py` has dlib's own, behind the same interface."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from worker.config import FaceConfig
from worker.detection import detect_faces
from worker.recognition.engine import FaceEngine
from worker.recognition.interfaces import Box, Detection

#: The stages of the work on one photo. "align" cuts faces out; the engine does it together with "detect".
Stage = Literal["decode", "detect", "align", "embed"]
STAGES: tuple[Stage, ...] = ("decode", "detect", "align", "embed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a system saw in one photo: its subject's embedding (unit length), or None when it found no face.

    `other_boxes` counts the faces besides the subject. `seconds` is CPU time of the whole process for each stage.
    """

    embedding: NDArray[np.float32] | None
    other_boxes: int
    seconds: dict[Stage, float]


class System(Protocol):
    """Finds the subject of a photo and embeds it, on one thread."""

    @property
    def name(self) -> str: ...

    def see(self, data: bytes) -> Seen:
        """Raises ImageError for bytes that are not decoded."""
        ...

    def similarity(self, cosine: float) -> float | None:
        """Return the cosine as people see it; None for a system that is not ours."""
        ...

    def close(self) -> None: ...


class CpuClock:
    """CPU seconds of this process, all its threads together, by stage. Each stage begins where the last one ended."""

    def __init__(self) -> None:
        self.seconds: dict[Stage, float] = dict.fromkeys(STAGES, 0.0)
        self.restart()

    def restart(self) -> None:
        """Forget the time since the last stage."""
        self._since = time.process_time()

    def end(self, stage: Stage) -> None:
        now = time.process_time()
        self.seconds[stage] += now - self._since
        self._since = now

    def record(self, stage: Literal["decode", "detect", "embed", "search"], seconds: float) -> None:
        """The engine ended a stage (`worker.metrics.Stages`). Its wall time is of no use on a shared machine."""
        if stage != "search":
            self.end(stage)


class PackSystem:
    """A pack, run by `FaceEngine` with one thread and one run at a time."""

    def __init__(self, pack: str, *, packs_dir: Path) -> None:
        """Load the pack: its name or folder, and keys of FACE_CONFIG if any, as in "dlib,MIN_FACE_SCORE=0.8".

        Raises PackMissing, PackDamaged, ConfigError.
        """
        self.name = name_of_system(pack)
        pack, *settings = pack.split(",")
        given = {key: _value(text) for key, _, text in (each.partition("=") for each in settings)}
        fixed = {"PACKS_DIR": packs_dir, "PACK": pack, "THREADS_PER_RUN": 1, "RUNS_AT_ONCE": 1}
        self._engine = FaceEngine(FaceConfig.from_settings(given | fixed))
        self._engine.open()

    def see(self, data: bytes) -> Seen:
        clock = CpuClock()
        picture, found = detect_faces(self._engine, data, limits=self._engine.config.image_limits, stages=clock)
        if not found.faces:
            return Seen(embedding=None, other_boxes=0, seconds=clock.seconds)
        boxes = [face.detection.box for face in found.faces]
        subject = found.faces[subject_of(boxes, width=picture.width, height=picture.height)]
        clock.restart()
        [[face]] = self._engine.embed([[subject]])
        clock.end("embed")
        clock.seconds["align"] = self._align_seconds(data, [face.detection for face in found.faces])
        clock.seconds["detect"] = max(0.0, clock.seconds["detect"] - clock.seconds["align"])
        return Seen(embedding=face.embedding, other_boxes=len(boxes) - 1, seconds=clock.seconds)

    def _align_seconds(self, data: bytes, located: Sequence[Detection]) -> float:
        """The engine detects and cuts faces out in one call: return what the cutting takes by itself."""
        clock = CpuClock()
        detect_faces(self._engine, data, limits=self._engine.config.image_limits, located=located, stages=clock)
        clock.end("align")
        return clock.seconds["align"]

    def similarity(self, cosine: float) -> float | None:
        return self._engine.pack.similarity.of_cosine(cosine)

    def close(self) -> None:
        self._engine.close()


def name_of_system(pack: str) -> str:
    """Return the name and settings of a pack as given, without the path of its folder."""
    folder, comma, settings = pack.partition(",")
    return Path(folder).name + comma + settings


def _value(text: str) -> object:
    """Read a number, true, false or null; everything else is a text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def subject_of(boxes: Sequence[Box], *, width: int, height: int) -> int:
    """Return which box is the photo's subject: large and central.

    Its area less twice the squared distance of its middle from the picture's is the largest, the rule of InsightFace's
    `SCRFD.detect` for a single face. Raises ValueError without a box.
    """

    def prominence(box: Box) -> float:
        across = (box.left + box.right - width) / 2
        down = (box.top + box.bottom - height) / 2
        return box.width * box.height - 2 * (across**2 + down**2)

    return max(range(len(boxes)), key=lambda at: prominence(boxes[at]))
