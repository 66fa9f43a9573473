"""Real pictures that packages ship, and the faces that the packs `dlib` and `dlib-plain` are to find in them.

sample_faces.npz holds, for each picture and in the order of their scores, the `boxes` (n, 4: left, top, right, bottom)
and `landmarks` (n, 5, 2) in pixels, and the embeddings of either pack (n, 128), all float32. It was made with
onnxruntime 1.32 on an x86 processor. To make it again, after a change that is meant to find other faces or to embed
them differently: `python -m tests.unit.worker.recognition.sample_faces`.
"""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from tests import pictures
from tests.carriers import photos_of_people
from tests.packs import dlib_config
from worker.recognition.engine import FaceEngine
from worker.recognition.interfaces import Face, Image

PACKS = ("dlib", "dlib-plain")
STORED = Path(__file__).with_suffix(".npz")

Floats = NDArray[np.float32]


def sample_pictures() -> dict[str, Image]:
    """Return the pictures by their names: portraits, partial faces, a group of six."""
    people = {
        name.removesuffix(".jpg"): pictures.from_pillow(Pillow.open(BytesIO(photo)))
        for name, photo in photos_of_people().items()
    }
    return {name: pictures.sample(name) for name in ("astronaut", "six_people", "tom_hanks")} | people


def opened(pack: str, **settings: object) -> FaceEngine:
    """Return an open engine with that pack and these settings of FACE_CONFIG; the caller closes it."""
    engine = FaceEngine(dlib_config(pack=pack, **settings))
    engine.open()
    return engine


def in_arrays(faces: Sequence[Face]) -> tuple[Floats, Floats, Floats]:
    """Return boxes (n, 4), landmarks (n, 5, 2) and embeddings (n, 128)."""
    boxes = [[face.box.left, face.box.top, face.box.right, face.box.bottom] for face in faces]
    landmarks = [face.landmarks for face in faces]
    return (
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(landmarks, np.float32).reshape(-1, 5, 2),
        np.array([face.embedding for face in faces], np.float32).reshape(-1, 128),
    )


def main() -> None:
    cv2.setNumThreads(1)
    kept: dict[str, Floats] = {}
    for pack in PACKS:
        engine = opened(pack, threads_per_run=1, runs_at_once=1)
        for name, picture in sample_pictures().items():
            [faces] = engine.faces([picture])
            kept[f"{name} boxes"], kept[f"{name} landmarks"], kept[f"{name} {pack}"] = in_arrays(faces)
            print(f"{pack}: {len(faces)} in {name}")
        engine.close()
    np.savez_compressed(STORED, allow_pickle=False, **kept)


if __name__ == "__main__":
    main()
