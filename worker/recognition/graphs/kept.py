"""Repaired graphs kept beside their pack, so that a pack is repaired and checked once instead of at every start.

A kept graph is two files in `<pack>/.facequeue/`: the graph, and a note with its SHA-256 and what was done to it. The
note is written last, each file is moved into place whole, and a graph that does not match its note is not used. So a
crash, a second process at the same time or a damaged disk costs another repair at most.
"""

import hashlib
import json
import logging
import os
import tempfile
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

FOLDER = ".facequeue"


class KeptGraph:
    """Where the repaired graph is kept for one original file, version of the repairs, and use."""

    def __init__(self, original: Path, *, version: int, use: str) -> None:
        with original.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        self._folder = original.parent / FOLDER
        self._version = version
        self.graph = self._folder / f"{digest}-{version}-{use}.onnx"
        self._note = self.graph.with_suffix(".json")

    def read(self) -> dict[str, Any] | None:
        """Return the note; None when there is no graph, or one that does not match its note."""
        try:
            note = json.loads(self._note.read_text())
            with self.graph.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except (OSError, ValueError):
            return None
        return note if isinstance(note, dict) and note.get("sha256") == digest else None

    def write(self, graph: bytes, note: dict[str, Any]) -> bool:
        """Keep the graph, and delete those of other versions. Returns False when the folder cannot be written."""
        try:
            self._folder.mkdir(exist_ok=True)
            self._replace(self.graph, graph)
            self._replace(self._note, json.dumps({**note, "sha256": hashlib.sha256(graph).hexdigest()}).encode())
            self._drop_other_versions()
        except OSError as error:
            logger.info("The repaired graph is kept in memory only: %s cannot be written (%s).", self._folder, error)
            return False
        return True

    def _replace(self, target: Path, content: bytes) -> None:
        handle, name = tempfile.mkstemp(dir=self._folder, suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            os.replace(name, target)
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise

    def _drop_other_versions(self) -> None:
        for file in self._folder.glob("*-*-*"):
            if file.name.split("-")[1] != str(self._version):
                file.unlink(missing_ok=True)
