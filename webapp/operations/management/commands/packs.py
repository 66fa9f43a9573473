"""`manage.py packs`: list the face packs and their licences, show one, or install one."""

import argparse
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

from tasks.dictionaries import face_config
from worker.errors import PackError
from worker.recognition.packs.catalogue import known_pack
from worker.recognition.packs.converted import verified_manifest
from worker.recognition.packs.entries import KnownPack, Threshold
from worker.recognition.packs.files import file_digests, models_in, verified_digests
from worker.recognition.packs.installing import install
from worker.recognition.packs.inventory import PackEntry, pack_entries, pack_entry


class Command(BaseCommand):
    help = (
        "List the face packs with their licences and whether they are installed, show one, or install one. FACE_PACK "
        "selects the pack that is used; docs/models.md explains them."
    )
    # A pack can be fetched before there is a database.
    requires_system_checks = []
    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print JSON")
        actions = parser.add_subparsers(dest="action", metavar="list | show | fetch")
        listing = actions.add_parser("list", help="list the packs (the default)")
        show = actions.add_parser("show", help="show a pack's licence and files, and verify the files")
        show.add_argument("name", metavar="NAME")
        fetch = actions.add_parser("fetch", help="install a pack: download it and verify it")
        fetch.add_argument("name", metavar="NAME")
        fetch.add_argument(
            "--from",
            dest="sources",
            metavar="SOURCE",
            nargs="+",
            default=[],
            help="a folder, a zip archive, the https URL of an archive, or the URL of the directory with the files; "
            "for a pack from Python packages, their wheels, or a folder with them",
        )
        fetch.add_argument("--force", action="store_true", help="replace the pack if it is already installed")
        for action in (listing, show, fetch):
            # Suppressed, so that `packs --json list` means the same as `packs list --json`.
            action.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["action"] == "fetch":
            self._fetch(options["name"], options["sources"], replace=options["force"], as_json=options["json"])
        elif options["action"] == "show":
            self._show(options["name"], as_json=options["json"])
        else:
            self._list(as_json=options["json"])

    def _list(self, *, as_json: bool) -> None:
        entries = pack_entries(_packs_dir(), _active())
        if as_json:
            self.stdout.write(json.dumps([_described(entry) for entry in entries], indent=2))
            return
        row = "{:<1} {:<15} {:<13} {:>9} {:>6}  {:<10} {:<23}  {}"
        self.stdout.write(row.format("", "pack", "state", "size", "values", "commercial", "licence", "where"))
        for entry in entries:
            known = entry.known
            self.stdout.write(
                row.format(
                    "*" if entry.is_active else "",
                    entry.name,
                    entry.state,
                    _megabytes(entry.size_bytes),
                    known.dimension if known else "?",
                    ("yes" if known.licence.allows_commercial_use else "no") if known else "?",
                    known.licence.name if known else "its publisher's",
                    entry.folder if entry.is_here else "-",
                ).rstrip()
            )
        self.stdout.write("* selected by FACE_PACK. `manage.py packs fetch NAME` installs a pack.")
        for entry in entries:
            if entry.known and not entry.known.shares_folder_of and entry.state == "incomplete":
                again = f"`manage.py packs fetch {entry.name} --force`"
                self.stdout.write(f"{entry.name} is incomplete, or of another release: {again} installs it again.")

    def _show(self, name: str, *, as_json: bool) -> None:
        entry = pack_entry(_packs_dir(), _active(), name)
        if entry is None:
            raise CommandError(f"There is no known pack {name!r}, and {_packs_dir()} has no such folder.")
        with _one_sentence():
            digests = _digests(entry)
        if as_json:
            self.stdout.write(json.dumps(_described(entry) | {"sha256": digests}, indent=2))
            return
        write = self.stdout.write
        write(f"{entry.name}: {entry.known.description if entry.known else 'a pack that is not in the catalogue'}")
        write(f"  state       {entry.state}{', FACE_PACK' if entry.is_active else ''}")
        write(f"  folder      {entry.folder}")
        if entry.known:
            self._write_known(entry.known)
        for file, digest in digests.items():
            write(f"  sha256      {digest}  {file}")
        if entry.known and len(digests) == len(entry.known.files) > 0:
            write("  The files match the published checksums.")
        if entry.known and entry.known.carriers and digests:
            write("  The graphs match their manifest, and were made from the published files by this release.")

    def _write_known(self, known: KnownPack) -> None:
        write = self.stdout.write
        write(f"  licence     {known.licence.sentence}")
        write(f"  embeddings  {known.dimension} values")
        source = "measured by benchmarks.accuracy" if known.thresholds else "not measured here"
        write(f"  threshold   a match at a similarity of {known.match_similarity:.3g} or more ({source})")
        self._write_thresholds(known.thresholds)
        for file in known.files:
            write(f"  file        {file.name} ({file.size_bytes:,} bytes)")
        for carrier in known.carriers:
            wheel = carrier.wheel
            write(f"  package     {carrier.package} {carrier.version}, from a package index, by pip")
            write(f"    wheel       {wheel.name} ({wheel.size_bytes:,} bytes)")
            write(f"    sha256      {wheel.sha256}")
            write(f"    licence     {carrier.licence.sentence}")
            write(f"    provenance  {carrier.provenance}")
            for file in carrier.files:
                write(f"    taken       {file.name} ({file.size_bytes:,} bytes)")
                write(f"    sha256      {file.sha256}")
        if known.graphs:
            write(f"  converted   to {known.file_names}")
        for download in known.downloads:
            if download.url:
                write(f"  published   {download.url} ({_megabytes(download.size_bytes)})")

    def _write_thresholds(self, thresholds: Sequence[Threshold]) -> None:
        if not thresholds:
            return
        row = "    {:<12}{:<17}{:<14}{}"
        self.stdout.write(
            row.format("similarity", "false matches", "true matches", "absent people who are shown a stranger")
        )
        for each in thresholds:
            absent = (f"{share:.1%} among {count:,} photos" for count, share in each.absent_matched.items())
            self.stdout.write(
                row.format(
                    f"{each.similarity:.3f}",
                    f"1 in {1 / each.false_match_rate:,.0f}",
                    f"{each.true_match_rate:.1%}",
                    ", ".join(absent),
                )
            )

    def _fetch(self, name: str, sources: list[str], *, replace: bool, as_json: bool) -> None:
        known = known_pack(name)
        if known and known.shares_folder_of and not replace and self._is_there(known, as_json=as_json):
            return
        if known and not known.licence.allows_commercial_use:
            # Not on stdout: a program may read that.
            self.stderr.write(known.licence.sentence, self.style.WARNING)
        total_bytes = sum(download.size_bytes for download in known.downloads) if known and not sources else None
        with _one_sentence(), _bar(self.stderr, total_bytes, name) as bar:
            folder = install(name, _packs_dir(), sources=sources, replace=replace, advance=bar.update)
        self._write_installed(name, folder, f"Installed in {folder}.", as_json=as_json)

    def _is_there(self, known: KnownPack, *, as_json: bool) -> bool:
        """Say so if the files of a pack without a folder of its own are installed already."""
        entry = pack_entry(_packs_dir(), _active(), known.name)
        if entry is None or entry.state != "installed":
            return False
        with _one_sentence():
            _digests(entry)
        shared = f"{known.name} is there already: it has the files of {known.shares_folder_of}, in {entry.folder}."
        self._write_installed(known.name, entry.folder, shared, as_json=as_json)
        return True

    def _write_installed(self, name: str, folder: Path, sentence: str, *, as_json: bool) -> None:
        if as_json:
            summary = {"name": name, "folder": str(folder), "sha256": _digests_in(folder)}
            self.stdout.write(json.dumps(summary, indent=2))
        else:
            change = f"`manage.py reindex start --pack {name}`"
            self.stdout.write(f"{sentence} Start with FACE_PACK={name}, or switch to it with {change}.")


@contextmanager
def _one_sentence() -> Iterator[None]:
    try:
        yield
    except PackError as error:
        raise CommandError(str(error)) from error


def _packs_dir() -> Path:
    return face_config().packs_dir


def _active() -> str:
    return face_config().pack


def _described(entry: PackEntry) -> dict[str, Any]:
    return asdict(entry) | {"folder": str(entry.folder)}


def _digests(entry: PackEntry) -> dict[str, str]:
    """Return the SHA-256 of each file of the pack. Raises PackDamaged when one differs from the published file."""
    if not entry.is_here:
        return {}
    if entry.known is None:
        return _digests_in(entry.folder)
    if entry.known.carriers:
        return verified_manifest(entry.folder, entry.known).graphs
    wanted = (entry.folder / file.name for file in entry.known.files)
    return verified_digests(file for file in wanted if file.exists())


def _digests_in(folder: Path) -> dict[str, str]:
    return {path: file_digests([file])[file.name] for path, file in models_in(folder).items()}


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.1f} MB" if size_bytes else "-"


def _bar(stderr: Any, total_bytes: int | None, title: str) -> "tqdm[Any]":
    """Return a progress bar; it shows on a terminal only."""
    is_terminal = False
    with suppress(AttributeError):
        is_terminal = stderr.isatty()
    stream: TextIO = stderr
    return tqdm(total=total_bytes, desc=title, unit="B", unit_scale=True, file=stream, disable=not is_terminal)
