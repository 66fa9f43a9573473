"""The pack that the set-up has fetched, and a second one, with other embeddings, made from it."""

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import onnx
from onnx import helper

from worker.config import FaceConfig
from worker.recognition.packs.files import MANIFEST

#: Where the fetched pack `dlib` is; nothing here is written.
PACKS_DIR = Path(os.environ.get("FACE_PACKS_DIR") or Path(__file__).parents[1] / "var" / "packs")
_RECOGNIZER = "resnet.onnx"


def dlib_config(**changes: Any) -> FaceConfig:
    """Return the configuration of the pack `dlib` as it was fetched."""
    return FaceConfig(**({"packs_dir": PACKS_DIR, "pack": "dlib"} | changes))


def make_wide_pack(folder: Path) -> Path:
    """Make a pack in the folder whose embeddings have 256 values, and return the folder.

    It is `dlib` with each descriptor written twice in a row: the same faces, the same cosines, and another model, as
    its manifest says. The detector is the same file, so faces are found in the same places.
    """
    shutil.copytree(PACKS_DIR / "dlib", folder)
    model = onnx.load_model(str(folder / _RECOGNIZER))
    [descriptors] = model.graph.output
    narrow = f"{descriptors.name}_once"
    for node in model.graph.node:
        node.output[:] = [narrow if name == descriptors.name else name for name in node.output]
        node.input[:] = [narrow if name == descriptors.name else name for name in node.input]
    model.graph.node.append(helper.make_node("Concat", [narrow, narrow], [descriptors.name], axis=1))
    size = descriptors.type.tensor_type.shape.dim[1]
    size.dim_value *= 2
    onnx.save_model(model, str(folder / _RECOGNIZER))

    manifest = json.loads((folder / MANIFEST).read_text())
    [weights] = [name for name in manifest["sources"] if name.endswith(".dat")]
    manifest["sources"][weights] = hashlib.sha256(b"wide").hexdigest()
    manifest["graphs"][_RECOGNIZER] = hashlib.sha256((folder / _RECOGNIZER).read_bytes()).hexdigest()
    (folder / MANIFEST).write_text(json.dumps(manifest))
    return folder
