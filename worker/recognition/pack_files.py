"""What a pack is made of: the files that are wanted, and the fingerprint over them."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

#: The name of the built-in pack.
STARTER = "starter"
WANTED_FILES = "two ONNX files: a detector (SCRFD, e.g. det_10g.onnx) and a recognizer (ArcFace, e.g. w600k_r50.onnx)"


def fingerprint(parts: Mapping[str, bytes | Path]) -> str:
    """Return the SHA-256, in hexadecimal, over the names and contents of a pack's parts.

    Each part goes in as its name's and its content's own digests, in order of the names, so neither the machine nor
    the order of files in a folder shows, and no content can pass for another's name.
    """
    whole = hashlib.sha256()
    for name, content in sorted(parts.items()):
        whole.update(hashlib.sha256(name.encode()).digest())
        if isinstance(content, Path):
            with content.open("rb") as file:
                whole.update(hashlib.file_digest(file, "sha256").digest())
        else:
            whole.update(hashlib.sha256(content).digest())
    return whole.hexdigest()
