"""Find a pack by its name, and build its detector and recognizer.

A pack is a folder: of networks that were converted here, of OpenCV Zoo's two files, or of ONNX files in InsightFace's
layout.
"""

import os
from pathlib import Path

from worker.config import FaceConfig
from worker.errors import ConfigError, PackDamaged, PackMissing
from worker.recognition.interfaces import Pack
from worker.recognition.packs.catalogue import known_pack, pack_of_kind
from worker.recognition.packs.entries import KnownPack, PackKind
from worker.recognition.packs.files import WANTED_FILES


def load_pack(config: FaceConfig) -> Pack:
    """Load the pack that the configuration names; blocks for seconds while models are read.

    Raises PackMissing (no such folder, or not the files of a pack), PackDamaged (a file cannot be read, or is not what
    its publisher released), ConfigError (a requested execution provider is not available, or a setting that the
    pack's detector does not have).
    """
    folder = find_folder(config)
    known = known_pack(Path(config.pack).name) or pack_of_kind(_kind(folder))
    _refuse_unknown_sizes(known, config)
    return _checked(_loaded(folder, known, config), known)


# Loaders are imported when they are needed, so that a process that only needs names and errors loads no model library.


def _kind(folder: Path) -> PackKind:
    from worker.recognition.packs.converted import is_converted
    from worker.recognition.packs.opencv_zoo import is_zoo_folder

    if is_converted(folder):
        return "dlib"
    return "opencv_zoo" if is_zoo_folder(folder) else "insightface"


def _loaded(folder: Path, known: KnownPack, config: FaceConfig) -> Pack:
    if known.kind == "dlib":
        from worker.recognition.packs.dlib import load_dlib_pack

        return load_dlib_pack(folder, known, config)
    if known.kind == "opencv_zoo":
        from worker.recognition.packs.opencv_zoo import load_zoo_pack

        return load_zoo_pack(folder, known, config)
    from worker.recognition.packs.insightface import load_insightface_pack

    return load_insightface_pack(folder, known, config)


def _refuse_unknown_sizes(known: KnownPack, config: FaceConfig) -> None:
    """Raise ConfigError for a size that is set and would have no effect on the pack's detector."""
    sizes = {
        "SMALLEST_FACE_PIXELS": config.smallest_face_pixels,
        "LONGEST_SIDE_PIXELS": config.longest_side_pixels,
    }
    given = [key for key, value in sizes.items() if value is not None]
    if given and not known.has_detector_sizes:
        raise ConfigError(
            f"{config.dictionary} {given[0]} is set, and the detector of the pack {config.pack!r} has no such setting."
        )


def _checked(pack: Pack, known: KnownPack) -> Pack:
    """Return the pack if its embeddings have the size that its entry states."""
    if known.dimension in (None, pack.dimension):
        return pack
    for model in pack.models:
        model.close()
    raise PackDamaged(
        f"The pack {pack.name!r} produces {pack.dimension} values per face, not the {known.dimension} that the "
        "catalogue states."
    )


def find_folder(config: FaceConfig) -> Path:
    """Return the pack's folder: an absolute path unchanged, a name below PACKS_DIR.

    Raises PackMissing for a folder that does not exist, or that has a known pack's name and lacks one of its files.
    """
    named = Path(config.pack)
    is_name = named.name == config.pack and config.pack not in (".", "..")
    if not named.is_absolute() and not is_name:
        raise PackMissing(
            f"The pack {config.pack!r} is neither the name of a folder in {config.packs_dir} nor an absolute path."
        )
    known = known_pack(named.name)
    folder = named if named.is_absolute() else config.packs_dir / (known.folder if known else named)
    if not _is_folder(folder):
        wanted = _wanted(known) if known else f"It must hold {WANTED_FILES}."
        raise PackMissing(f"There is no folder {folder} for the pack {config.pack!r}. {wanted}")
    missing = [name for name in known.model_names if not (folder / name).is_file()] if known else []
    if known and missing:
        raise PackMissing(f"The folder {folder} has no {' and no '.join(missing)}. {_wanted(known, ' --force')}")
    return folder


def _is_folder(folder: Path) -> bool:
    """Return whether the folder exists. Raises PackMissing when that cannot be found out, or it cannot be read."""
    try:
        if not folder.is_dir():
            return False
        os.scandir(folder).close()
    except OSError as error:
        raise PackMissing(f"The pack's folder {folder} cannot be read: {error.strerror}.") from error
    return True


def _wanted(known: KnownPack, option: str = "") -> str:
    return f"It needs {known.file_names}: `manage.py packs fetch {known.name}{option}` fetches them."
