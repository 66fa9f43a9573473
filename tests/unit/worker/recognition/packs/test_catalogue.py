"""The catalogue is true to the loaders and to itself, and light enough for a web process."""

import re
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
from django.conf import settings

from tests import pictures
from tests.packs import PACKS_DIR
from tests.unit.worker.recognition.synthetic_packs import make_pack
from tests.unit.worker.recognition.zoo_graphs import make_zoo_pack
from worker.config import FaceConfig
from worker.errors import PackDamaged
from worker.face_index import FaceIndex
from worker.recognition.engine import FaceEngine
from worker.recognition.interfaces import Image
from worker.recognition.packs import catalogue
from worker.recognition.packs.catalogue import KNOWN_PACKS, known_pack, pack_of_kind
from worker.recognition.packs.dlib_conversion import SOURCES
from worker.recognition.packs.entries import KnownFile, KnownPack, PackKind
from worker.recognition.packs.inventory import pack_entries, pack_entry
from worker.recognition.packs.loading import load_pack
from worker.recognition.similarity import SimilarityScale
from worker.vector_search.interfaces import FaceRecord, Match
from worker.vector_search.memory import InMemoryVectorStore


def tile(colour: tuple[int, int, int]) -> Image:
    """Return a black picture with one tile that the synthetic detectors take for a face."""
    picture = np.zeros((640, 640, 3), np.uint8)
    picture[160:224, 320:384] = colour
    return picture


FETCHED = [pack for pack in KNOWN_PACKS if pack.files]


def test_every_pack_of_the_documentation_is_known() -> None:
    names = [
        "dlib",
        "dlib-plain",
        "opencv_zoo",
        "buffalo_l",
        "buffalo_m",
        "buffalo_s",
        "buffalo_sc",
        "antelopev2",
    ]

    assert [pack.name for pack in KNOWN_PACKS] == names
    assert known_pack("buffalo_l") is KNOWN_PACKS[3]
    assert known_pack("mine") is None


@pytest.mark.parametrize("pack", FETCHED, ids=lambda pack: pack.name)
def test_a_fetched_pack_says_what_is_needed_to_fetch_and_to_verify_it(pack: KnownPack) -> None:
    assert len(pack.files) == 2
    assert len({file.name for file in pack.files}) == 2
    for file in (*pack.files, *pack.downloads):
        assert file.size_bytes > 100_000
        assert file.sha256 is None or re.fullmatch("[0-9a-f]{64}", file.sha256)
    for download in pack.downloads:
        assert re.fullmatch(r"https://github\.com/\S+/(\S+)", download.url)
        assert download.url.endswith(f"/{download.name}")


def test_the_pack_dlib_is_pinned_to_two_wheels_and_four_files_in_them() -> None:
    dlib, plain = known_pack("dlib"), known_pack("dlib-plain")
    assert dlib is not None
    assert plain is not None

    assert sorted(dlib.sources) == sorted(SOURCES)
    assert not any("68_face_landmarks" in name for name in dlib.sources)  # not for commercial use
    for carrier in dlib.carriers:
        assert carrier.wheel.name.endswith("-py3-none-any.whl")
        assert carrier.provenance
        for file in (carrier.wheel, carrier.licence_file, *carrier.files):
            assert re.fullmatch("[0-9a-f]{64}", file.sha256 or "")
    assert (dlib.folder, plain.folder) == ("dlib", "dlib")
    assert (dlib.mirrors, plain.mirrors) == (True, False)
    assert plain.carriers == dlib.carriers


def test_the_list_of_carriers_pins_what_the_catalogue_pins() -> None:
    lines = (settings.BASE_DIR / "requirements" / "carriers.txt").read_text().splitlines()
    dlib = known_pack("dlib")
    assert dlib is not None

    assert [line for line in lines if not line.startswith("#")] == [carrier.requirement for carrier in dlib.carriers]


def test_a_file_of_one_sum_has_one_size() -> None:
    files = [file for pack in FETCHED for file in pack.files]

    assert len({file.sha256 for file in files}) == len({(file.sha256, file.size_bytes) for file in files})


def test_only_insightface_forbids_commercial_use() -> None:
    allowed = {pack.name for pack in KNOWN_PACKS if pack.licence.allows_commercial_use}

    assert allowed == {"dlib", "dlib-plain", "opencv_zoo"}


def test_only_the_thresholds_of_the_dlib_packs_were_measured_here() -> None:
    measured = [pack for pack in KNOWN_PACKS if pack.thresholds]

    assert [pack.name for pack in measured] == ["dlib", "dlib-plain"]
    assert not pack_of_kind("dlib").thresholds
    for pack in measured:
        assert [each.false_match_rate for each in pack.thresholds] == [1e-2, 1e-3, 1e-4, 1e-5]
        for looser, stricter in pairwise(pack.thresholds):
            assert looser.similarity < stricter.similarity
            assert looser.true_match_rate > stricter.true_match_rate
            assert all(looser.absent_matched[count] > share for count, share in stricter.absent_matched.items())
        at_1_in_1000 = pack.thresholds[1].similarity
        assert at_1_in_1000 <= pack.match_similarity < at_1_in_1000 + 0.01


def test_the_documentation_tells_the_thresholds_of_the_catalogue() -> None:
    text = (settings.BASE_DIR / "docs" / "models.md").read_text()
    [choice] = re.findall(r"^\| pack [^\n]*\| threshold .*?\n\n", text, re.MULTILINE | re.DOTALL)
    percent = r"([\d.]+) %"
    measured = re.findall(
        rf"^\| (0\.\d+)[^|]* \| (0\.\d+) \| 1 in ([\d,]+) \| {percent} \| {percent} / {percent} \|", text, re.MULTILINE
    )
    dlib = known_pack("dlib")
    assert dlib is not None

    for pack in KNOWN_PACKS:
        [row] = [line.split("|") for line in choice.split("\n|") if f"`{pack.name}`" in line.split("|")[0]]
        assert float(row[4]) == pack.match_similarity
    for (similarity, cosine, pairs, found, *absent), stated in zip(measured, dlib.thresholds, strict=True):
        assert float(similarity) == stated.similarity
        assert float(cosine) == round(SimilarityScale(dlib.similarity_spread).cosine_of(stated.similarity), 3)
        assert 1 / int(pairs.replace(",", "")) == pytest.approx(stated.false_match_rate)
        assert float(found) == round(100 * stated.true_match_rate, 1)
        for told, share in zip(absent, stated.absent_matched.values(), strict=True):
            assert float(told) == pytest.approx(100 * share, rel=0.02, abs=0.05)


@pytest.mark.parametrize("name", ["dlib", "dlib-plain", "opencv_zoo"])
def test_a_loaded_pack_is_what_the_catalogue_says(name: str, tmp_path: Path) -> None:
    make_zoo_pack(tmp_path / "mine")
    (tmp_path / "dlib").symlink_to(PACKS_DIR / "dlib")
    pack = load_pack(FaceConfig(packs_dir=tmp_path, pack="mine" if name == "opencv_zoo" else name))
    known = known_pack(name)
    for model in pack.models:
        model.close()

    assert known is not None
    assert (pack.dimension, pack.match_similarity) == (known.dimension, known.match_similarity)
    assert (pack.face_score, pack.similarity) == (known.face_score, SimilarityScale(known.similarity_spread))
    assert pack.licence == known.licence.sentence


PICTURES = {
    "dlib": pictures.sample("tom_hanks"),
    "opencv_zoo": tile((230, 100, 100)),
    "insightface": tile((255, 255, 255)),
}


def config_of_mine(kind: PackKind, folder: Path) -> FaceConfig:
    """Return the configuration of a pack of that kind that has no entry of its own."""
    mine = folder / "mine"
    if kind == "dlib":
        mine.symlink_to(PACKS_DIR / "dlib")
    else:
        (make_zoo_pack if kind == "opencv_zoo" else make_pack)(mine)
    return FaceConfig(packs_dir=folder, pack=mine.name)


@pytest.mark.parametrize("kind", PICTURES)
def test_an_entry_decides_from_which_similarity_on_a_search_finds_a_face(
    kind: PackKind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of_mine(kind, tmp_path)

    # With a spread of 0.5, a cosine of 0.6 is a similarity of 0.2.
    for spread, match_similarity, shown in ((1, 0.55, 0.6), (1, 0.65, None), (0.5, 0.15, 0.2), (0.5, 0.25, None)):
        entry = replace(pack_of_kind(kind), match_similarity=match_similarity, similarity_spread=spread)
        monkeypatch.setitem(catalogue._BY_KIND, kind, entry)

        found = search_with_a_face_that_is_alike_by(0.6, config, PICTURES[kind])

        assert [match.similarity for match in found] == ([pytest.approx(shown, abs=0.001)] if shown else [])


@pytest.mark.parametrize("kind", PICTURES)
def test_an_entry_decides_which_score_is_a_face(
    kind: PackKind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of_mine(kind, tmp_path)
    fingerprints = set()

    for face_score, is_face in ((0.5, True), (1.0, False)):
        entry = replace(pack_of_kind(kind), face_score=face_score)
        monkeypatch.setitem(catalogue._BY_KIND, kind, entry)
        engine = FaceEngine(config)
        engine.open()

        seen = engine.detect(PICTURES[kind])

        assert (bool(seen.faces), {each.reason for each in seen.rejected} >= {"no_face"}) == (is_face, not is_face)
        fingerprints.add(engine.pack.detector_fingerprint)
        engine.close()
    assert len(fingerprints) == 2


def search_with_a_face_that_is_alike_by(cosine: float, config: FaceConfig, picture: Image) -> list[Match]:
    """Return what a search for the picture's first face finds where the only face has this cosine to it."""
    engine = FaceEngine(config)
    engine.open()
    try:
        [[face, *_]] = engine.faces([picture])
        across = np.zeros_like(face.embedding)
        across[np.abs(face.embedding).argmin()] = 1
        across -= face.embedding * (face.embedding @ across)
        other = cosine * face.embedding + np.sqrt(1 - cosine**2) * across / np.linalg.norm(across)
        store = InMemoryVectorStore(name="faces", dimension=engine.pack.dimension, fingerprint=engine.pack.fingerprint)
        index = FaceIndex(engine, store)
        index.open()
        face_id, photo_id, gallery_id = (str(uuid4()) for _ in range(3))
        store.upsert([FaceRecord(face_id=face_id, photo_id=photo_id, gallery_id=gallery_id, embedding=other)])
        answer = index.search(pictures.saved(picture, "PNG"), gallery_ids=(gallery_id,), limit=5, min_similarity=None)
        return list(answer.faces[0].matches)
    finally:
        engine.close()


@pytest.mark.parametrize("name", ["dlib", "opencv_zoo"])
def test_a_pack_of_another_dimension_than_its_entry_states_is_damaged(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_zoo_pack(tmp_path / "opencv_zoo")
    (tmp_path / "dlib").symlink_to(PACKS_DIR / "dlib")
    known = known_pack(name)
    assert known is not None
    files = tuple(replace(file, sha256=None) for file in known.files)
    monkeypatch.setitem(catalogue._BY_NAME, name, replace(known, dimension=7, files=files))

    with pytest.raises(PackDamaged, match=f"'{name}' produces {known.dimension} values per face, not the 7"):
        load_pack(FaceConfig(packs_dir=tmp_path, pack=name))


def test_the_catalogue_and_the_installer_import_no_model_library() -> None:
    code = (
        "import sys, worker.recognition.packs.inventory, worker.recognition.packs.installing\n"
        "heavy = {'onnxruntime', 'onnx', 'numpy', 'insightface', 'cv2', 'skimage', 'celery', 'django', 'pymilvus'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )

    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert answer.stdout.strip() == "[]"


# -- what is on this machine --


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> KnownPack:
    """A known pack of two small files."""
    files = tuple(KnownFile(name=name, size_bytes=5, sha256=None) for name in ("a.onnx", "b.onnx"))
    pack = replace(pack_of_kind("insightface"), name="small", files=files)
    monkeypatch.setitem(catalogue._BY_NAME, "small", pack)
    return pack


def test_nothing_is_installed_where_there_is_no_folder_of_packs(tmp_path: Path) -> None:
    entries = pack_entries(tmp_path / "nowhere", "dlib")

    assert [entry.state for entry in entries] == ["not installed"] * 8
    assert [entry.name for entry in entries if entry.is_active] == ["dlib"]


def test_a_folder_that_is_not_in_the_catalogue_is_listed_after_it(tmp_path: Path) -> None:
    make_zoo_pack(tmp_path / "mine")
    (tmp_path / "empty").mkdir()
    (tmp_path / ".fetch-x").mkdir()
    (tmp_path / "mine" / ".facequeue").mkdir()
    (tmp_path / "mine" / ".facequeue" / "repaired.onnx").write_bytes(b"made here")

    others = pack_entries(tmp_path, "mine")[len(KNOWN_PACKS) :]

    assert [(entry.name, entry.state, entry.is_active) for entry in others] == [
        ("empty", "incomplete", False),
        ("mine", "installed", True),
    ]
    assert others[1].size_bytes == sum(file.stat().st_size for file in (tmp_path / "mine").glob("*.onnx"))


def test_a_folder_given_by_its_path_is_listed_and_active(tmp_path: Path) -> None:
    folder = make_zoo_pack(tmp_path / "elsewhere" / "buffalo_l")

    entry = pack_entry(tmp_path / "packs", str(folder), str(folder))

    assert entry is not None
    assert (entry.folder, entry.is_active, entry.state) == (folder, True, "incomplete")
    named = pack_entry(tmp_path / "packs", str(folder), "buffalo_l")
    assert named is not None
    assert not named.is_active


@pytest.mark.parametrize(
    ("files", "state"),
    [
        pytest.param({"a.onnx": b"aaaaa", "b.onnx": b"bbbbb", "c.onnx": b"c"}, "installed", id="with another file"),
        pytest.param({"a.onnx": b"aaaaa"}, "incomplete", id="one file"),
        pytest.param({"a.onnx": b"aaaaa", "b.onnx": b"bb"}, "incomplete", id="a short file"),
    ],
)
def test_a_known_pack_is_installed_when_its_files_are_there_at_their_size(
    tmp_path: Path, small: KnownPack, files: dict[str, bytes], state: str
) -> None:
    (tmp_path / "small").mkdir()
    for name, content in files.items():
        (tmp_path / "small" / name).write_bytes(content)

    entry = pack_entry(tmp_path / "packs", str(tmp_path / "small"), "small")

    assert entry is not None
    assert (entry.known, entry.state) == (small, state)
