"""Find a pack by its name, and build its detector and recognizer.

A pack is a folder of ONNX files in InsightFace's layout, or the built-in `starter`.
"""

from pathlib import Path

from worker.config import FaceConfig
from worker.errors import PackMissing
from worker.recognition.interfaces import Pack
from worker.recognition.pack_files import STARTER, WANTED_FILES


def load_pack(config: FaceConfig) -> Pack:
    """Load the pack that the configuration names; blocks for seconds while models are read.

    Raises PackMissing (no such folder, or not the files of a pack), PackDamaged (a file cannot be read),
    ConfigError (a requested execution provider is not there).
    """
    # Imported here, so that a process that only needs names and errors loads no model library.
    if config.pack == STARTER:
        from worker.recognition.starter_pack import load_starter_pack

        return load_starter_pack(config)
    from worker.recognition.insightface_pack import load_insightface_pack

    return load_insightface_pack(find_folder(config), config)


def find_folder(config: FaceConfig) -> Path:
    """Return the pack's folder: an absolute path as it is, a name below PACKS_DIR."""
    named = Path(config.pack)
    is_name = named.name == config.pack and config.pack not in (".", "..")
    if not named.is_absolute() and not is_name:
        raise PackMissing(
            f"The pack {config.pack!r} is neither {STARTER!r}, nor the name of a folder in {config.packs_dir}, "
            "nor an absolute path."
        )
    folder = named if named.is_absolute() else config.packs_dir / named
    if not folder.is_dir():
        raise PackMissing(f"There is no folder {folder} for the pack {config.pack!r}. Put into it {WANTED_FILES}.")
    return folder
