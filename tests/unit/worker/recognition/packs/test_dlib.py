"""The packs `dlib` and `dlib-plain` as they were fetched: what they find, what they are, and what is refused."""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest

from tests import pictures
from tests.packs import PACKS_DIR, dlib_config, make_wide_pack
from worker.errors import ConfigError, PackDamaged, PackMissing
from worker.recognition.alignment import aligned_crop
from worker.recognition.interfaces import Box, Crop, Detection, Embeddings, Image, Pack
from worker.recognition.packs.loading import load_pack

FINGERPRINT = "c0a78fc680ab927d8aab3e896fac6f32f86e0486e0d3f78fe1379a75c47d0bcf"
PLAIN_FINGERPRINT = "16b35e1cc50d4ac4b1cf86db2699ac1dbc77c4c3f1a0b23b779a6bcd68ff2ca3"
DETECTOR_FINGERPRINT = "a32ba8972af3e512c1a70002616c83703bf277f51d4dbb72c1afd0cd3158ebe4"

#: The astronaut's face in her picture, in whole pixels.
ASTRONAUT = Box(left=180, top=58, right=267, bottom=175)


def loaded(**changes: Any) -> Iterator[Pack]:
    pack = load_pack(dlib_config(**changes))
    yield pack
    close(pack)


def close(pack: Pack) -> None:
    for model in pack.models:
        model.close()


@pytest.fixture(scope="module")
def pack() -> Iterator[Pack]:
    yield from loaded()


@pytest.fixture(scope="module")
def plain() -> Iterator[Pack]:
    yield from loaded(pack="dlib-plain")


def faces(pack: Pack, image: Image) -> list[Detection]:
    [found] = pack.detector.detect([image])
    return [face for face in found if face.score >= pack.face_score]


def crops(pack: Pack, image: Image) -> list[Crop]:
    return [aligned_crop(image, face.landmarks, pack.alignment) for face in faces(pack, image)]


def embeddings(pack: Pack, image: Image) -> Embeddings:
    return pack.recognizer.embed(crops(pack, image))


def portrait(**changes: Any) -> Image:
    """Return the astronaut's portrait, cut out."""
    return pictures.varied(pictures.sample("astronaut")[:300, 60:380], **changes)


def corners(boxes: Sequence[Box]) -> list[tuple[float, ...]]:
    return [(box.left, box.top, box.right, box.bottom) for box in boxes]


# -- what they are --


def test_their_fingerprints_are_the_same_on_every_machine(pack: Pack, plain: Pack) -> None:
    # Other sources, another conversion, detector or way to crop changes what galleries must be filled with: then this
    # test is changed, too, on purpose.
    assert (pack.name, pack.fingerprint) == ("dlib", FINGERPRINT)
    assert (plain.name, plain.fingerprint) == ("dlib-plain", PLAIN_FINGERPRINT)
    assert pack.detector_fingerprint == plain.detector_fingerprint == DETECTOR_FINGERPRINT
    assert pack.dimension == plain.dimension == 128
    assert pack.warning == plain.warning == ""


def test_the_sizes_that_faces_are_looked_for_in_are_part_of_the_detector(pack: Pack) -> None:
    changed = set()
    for size in ({"smallest_face_pixels": 60}, {"longest_side_pixels": 640}):
        [other] = loaded(**size)
        assert other.fingerprint == pack.fingerprint
        changed.add(other.detector_fingerprint)
    [same] = loaded(smallest_face_pixels=40, longest_side_pixels=1280)

    assert len(changed - {pack.detector_fingerprint}) == 2
    assert same.detector_fingerprint == pack.detector_fingerprint


def test_the_same_files_in_another_folder_are_the_same_model(tmp_path: Path, pack: Pack) -> None:
    [mine] = loaded(pack=str(linked(tmp_path / "mine")))

    assert mine.name == "mine"
    assert (mine.fingerprint, mine.detector_fingerprint) == (pack.fingerprint, pack.detector_fingerprint)


def test_the_wide_pack_of_other_tests_is_another_model_with_the_same_cosines(tmp_path: Path, pack: Pack) -> None:
    image = pictures.sample("six_people")
    for wide in loaded(pack=str(make_wide_pack(tmp_path / "wide"))):
        assert (wide.name, wide.dimension) == ("wide", 256)
        assert wide.fingerprint != pack.fingerprint
        assert wide.detector_fingerprint == pack.detector_fingerprint
        narrow, twice = embeddings(pack, image), embeddings(wide, image)

    np.testing.assert_allclose(twice @ twice.T, narrow @ narrow.T, atol=1e-5)


# -- the detector --


@pytest.mark.parametrize("name", ["chelsea", "coffee", "rocket"])
def test_a_picture_without_a_face_has_none(pack: Pack, name: str) -> None:
    assert faces(pack, pictures.sample(name)) == []


@pytest.mark.parametrize("name", ["mask_black", "mask_blue", "mask_green", "mask_white"])
def test_a_face_behind_a_mask_is_not_found(pack: Pack, name: str) -> None:
    """A known limit, which docs/models.md tells; whoever lifts it changes this test."""
    assert faces(pack, pictures.sample(name)) == []


def test_a_tightly_cut_portrait_is_found(pack: Pack) -> None:
    [face] = faces(pack, pictures.sample("astronaut")[60:180, 165:285])

    assert face.box.overlap(Box(left=15, top=0, right=102, bottom=115)) > 0.8


@pytest.mark.parametrize("degrees", [-15, -8, 8, 15])
def test_landmarks_turn_with_a_tilted_head(pack: Pack, degrees: float) -> None:
    def roll(image: Image) -> float:
        [face] = faces(pack, image)
        across, down = face.landmarks[1] - face.landmarks[0]
        return -float(np.rad2deg(np.arctan2(down, across)))

    assert roll(portrait(degrees=degrees)) - roll(portrait()) == pytest.approx(degrees, abs=2)


@pytest.mark.parametrize("factor", [0.5, 2.0, 4.0])
def test_the_box_is_in_pixels_of_the_picture_whatever_its_size(pack: Pack, factor: float) -> None:
    image = cv2.resize(pictures.sample("astronaut"), None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    [face] = faces(pack, image)
    wanted = Box(**{side: getattr(ASTRONAUT, side) * factor for side in ("left", "top", "right", "bottom")})

    assert face.box.overlap(wanted) > 0.85


def test_faces_smaller_than_those_that_are_looked_for_are_not_found(pack: Pack) -> None:
    small = cv2.resize(pictures.sample("astronaut"), None, fx=0.125, fy=0.125, interpolation=cv2.INTER_AREA)
    for patient in loaded(smallest_face_pixels=20):
        [face] = faces(patient, small)

    assert faces(pack, small) == []
    assert face.box.overlap(Box(left=22, top=7, right=33, bottom=22)) > 0.7


def test_a_picture_is_not_looked_at_in_more_detail_than_its_longest_side_says(pack: Pack) -> None:
    for hasty in loaded(longest_side_pixels=320):
        assert hasty.enough_pixels == 320
        assert len(faces(hasty, pictures.sample("six_people"))) < 6

    assert pack.enough_pixels == 1280


# -- the recognizer --


def test_a_portrait_is_known_again_and_two_people_are_told_apart(pack: Pack, plain: Pack) -> None:
    for each in (pack, plain):
        [astronaut] = embeddings(each, pictures.sample("astronaut"))
        [again] = embeddings(each, portrait(degrees=4, light=0.8, contrast=1.2, jpeg_quality=60))
        [tom] = embeddings(each, pictures.sample("tom_hanks"))

        assert astronaut @ again > 0.985 > each.match_cosine > 0.9 > astronaut @ tom


# -- however the models are run --


@pytest.mark.parametrize(
    "running",
    [
        pytest.param({"runs_at_once": 1, "threads_per_run": 1}, id="one thread"),
        pytest.param({"runs_at_once": 16, "threads_per_run": 1}, id="sixteen runs"),
    ],
)
def test_faces_do_not_depend_on_how_the_models_are_run(pack: Pack, running: dict[str, Any]) -> None:
    images = [pictures.sample(name) for name in ("astronaut", "tom_hanks", "six_people")]
    alone = [faces(pack, image) for image in images]
    known = [embeddings(pack, image) for image in images]

    for other in loaded(**running):
        together = other.detector.detect(images)
        again = [embeddings(other, image) for image in images]

    for one, found in zip(alone, together, strict=True):
        sure = [face for face in found if face.score >= pack.face_score]
        np.testing.assert_allclose(corners([f.box for f in sure]), corners([f.box for f in one]), atol=0.1)
        np.testing.assert_allclose([f.score for f in sure], [f.score for f in one], atol=1e-4)
    for one_rows, rows in zip(known, again, strict=True):
        assert float(np.sum(one_rows * rows, axis=1).min()) > 0.9999


# -- what is refused --


def linked(folder: Path) -> Path:
    """Make a folder with the fetched pack's files, of which a test may replace some."""
    folder.mkdir()
    for file in (PACKS_DIR / "dlib").iterdir():
        (folder / file.name).symlink_to(file)
    return folder


def replaced(file: Path, content: bytes) -> None:
    file.unlink()
    file.write_bytes(content)


def restated(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    change(manifest)
    replaced(folder / "manifest.json", json.dumps(manifest).encode())


def refusal(folder: Path, error: type[Exception] = PackDamaged, **changes: Any) -> str:
    with pytest.raises(error) as caught:
        load_pack(dlib_config(packs_dir=folder.parent, pack=folder.name, **changes))
    return str(caught.value)


@pytest.mark.parametrize("graph", ["p_net.onnx", "r_net.onnx", "o_net.onnx", "resnet.onnx"])
def test_a_changed_graph_is_refused_and_both_checksums_are_told(tmp_path: Path, graph: str) -> None:
    folder = linked(tmp_path / "dlib")
    published = hashlib.sha256((folder / graph).read_bytes()).hexdigest()
    replaced(folder / graph, (folder / graph).read_bytes()[:-1] + b"\0")
    changed = hashlib.sha256((folder / graph).read_bytes()).hexdigest()

    assert refusal(folder) == (
        f"{folder / graph} was changed, or cut short: its SHA-256 is {changed}, and manifest.json says {published}. "
        "`manage.py packs fetch dlib --force` makes the pack again."
    )


@pytest.mark.parametrize("name", ["dlib", "dlib-plain"])
@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        pytest.param(
            lambda manifest: manifest["sources"].update({"onet.lz4": "0" * 64}),
            r"\S+/dlib was made from another onet\.lz4: its SHA-256 is 0{64}, expected is 94f6ea\w{58}\.",
            id="other weights",
        ),
        pytest.param(
            lambda manifest: manifest.update(conversion=0),
            r"\S+/dlib was made by version 0 of the conversion; this release has version \d+\.",
            id="another conversion",
        ),
        pytest.param(
            lambda manifest: manifest.pop("graphs"),
            r"\S+/dlib/manifest\.json is not the manifest of a converted pack\.",
            id="no graphs",
        ),
    ],
)
def test_a_pack_that_was_made_in_another_way_is_refused(
    tmp_path: Path, name: str, change: Callable[[dict[str, Any]], object], sentence: str
) -> None:
    restated(linked(tmp_path / "dlib"), change)

    said = refusal(tmp_path / name)

    assert re.fullmatch(rf"{sentence} `manage\.py packs fetch dlib --force` makes the pack again\.", said)


def test_a_pack_without_its_manifest_is_refused(tmp_path: Path) -> None:
    folder = linked(tmp_path / "dlib")
    (folder / "manifest.json").unlink()

    assert "has no manifest.json" in refusal(folder, PackMissing)


@pytest.mark.parametrize(
    ("graph", "content", "sentence"),
    [
        ("p_net.onnx", b"no graph", "p_net.onnx"),
        ("resnet.onnx", b"no graph", "resnet.onnx"),
        ("resnet.onnx", "r_net.onnx", "resnet.onnx cannot be run on an aligned face."),
        ("p_net.onnx", "r_net.onnx", "p_net.onnx cannot be run on 12 x 12 pixels."),
        ("r_net.onnx", "p_net.onnx", "r_net.onnx is another network than its name says"),
        ("o_net.onnx", "p_net.onnx", "o_net.onnx is another network than its name says"),
    ],
)
@pytest.mark.parametrize("repairs", [True, False])
def test_a_graph_that_is_none_is_refused_even_if_the_manifest_agrees(
    tmp_path: Path, graph: str, content: bytes | str, sentence: str, repairs: bool
) -> None:
    folder = linked(tmp_path / "mine")
    if isinstance(content, str):
        content = (folder / content).read_bytes()
    replaced(folder / graph, content)
    restated(folder, lambda manifest: manifest["graphs"].update({graph: hashlib.sha256(content).hexdigest()}))

    assert sentence in refusal(folder, repair_graphs=repairs)


@pytest.mark.parametrize("graph", ["o_net.onnx", "resnet.onnx"])
def test_a_graph_whose_weights_lie_in_another_file_is_refused(tmp_path: Path, graph: str) -> None:
    folder = linked(tmp_path / "mine")
    model = onnx.load_model(str(folder / graph))
    weights = model.graph.initializer[0]
    weights.ClearField("raw_data")
    weights.data_location = onnx.TensorProto.EXTERNAL
    weights.external_data.add(key="location", value="../../secret")
    replaced(folder / graph, model.SerializeToString())
    stated = hashlib.sha256((folder / graph).read_bytes()).hexdigest()
    restated(folder, lambda manifest: manifest["graphs"].update({graph: stated}))

    for repairs in (True, False):
        assert graph in refusal(folder, repair_graphs=repairs)


@pytest.mark.parametrize(
    ("sizes", "longest"),
    [
        ({"smallest_face_pixels": 12, "longest_side_pixels": 2561}, 2560),
        ({"smallest_face_pixels": 20, "longest_side_pixels": 20_000}, 4266),
        ({"longest_side_pixels": 8534}, 8533),
    ],
)
def test_sizes_with_which_one_photo_would_take_all_memory_are_refused(sizes: dict[str, int], longest: int) -> None:
    with pytest.raises(ConfigError, match=rf"FACE_CONFIG LONGEST_SIDE_PIXELS is \d+; .*it must be at most {longest},"):
        load_pack(dlib_config(**sizes))

    close(load_pack(dlib_config(**sizes | {"longest_side_pixels": longest})))
