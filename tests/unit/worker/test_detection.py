"""With the default pack, whatever can be decoded can be looked at: depth, colours, shape and size do not matter."""

import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from PIL import Image as Pillow

from tests import pictures
from tests.unit.worker.recognition.sample_faces import opened
from worker import detection
from worker.config import ImageLimits
from worker.detection import detect_faces
from worker.recognition.engine import FaceEngine
from worker.recognition.interfaces import AlignedFace, Box, Image

#: The astronaut's face in her picture.
FACE = Box(left=182, top=68, right=267, bottom=180)


@pytest.fixture(scope="module")
def engine() -> Iterator[FaceEngine]:
    engine = opened("dlib", threads_per_run=1, runs_at_once=1)
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def reducing() -> Iterator[FaceEngine]:
    engine = opened("dlib", threads_per_run=1, runs_at_once=1, reduced_decoding=True)
    yield engine
    engine.close()


def faces_in(engine: FaceEngine, data: bytes) -> tuple[AlignedFace, ...]:
    _, found = detect_faces(engine, data, limits=ImageLimits())
    return found.faces


def astronaut() -> Pillow.Image:
    return Pillow.open(pictures.sample_file("astronaut")).convert("RGB")


def grey_of_16_bits() -> bytes:
    return pictures.png_16_bit(np.asarray(astronaut().convert("L")).astype(np.uint16) * 257)


def transparent() -> bytes:
    picture = astronaut()
    picture.putalpha(Pillow.new("L", picture.size, 255))
    return pictures.pillow_bytes(picture, "PNG")


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(grey_of_16_bits(), id="16 bits"),
        pytest.param(pictures.pillow_bytes(astronaut().convert("L"), "PNG"), id="grey"),
        pytest.param(pictures.pillow_bytes(astronaut().convert("LA"), "PNG"), id="grey with transparency"),
        pytest.param(transparent(), id="transparency"),
        pytest.param(pictures.pillow_bytes(astronaut().quantize(64), "PNG"), id="palette"),
        pytest.param(pictures.pillow_bytes(astronaut().quantize(64), "GIF"), id="GIF"),
        pytest.param(pictures.pillow_bytes(astronaut().convert("CMYK"), "JPEG"), id="CMYK"),
        pytest.param(pictures.pillow_bytes(astronaut(), "WEBP", quality=60), id="WebP"),
        pytest.param(pictures.pillow_bytes(astronaut(), "JPEG", quality=12), id="hardly any quality"),
    ],
)
def test_a_face_is_found_whatever_the_colours(data: bytes, engine: FaceEngine) -> None:
    [face] = faces_in(engine, data)

    assert face.detection.box.overlap(FACE) > 0.8


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (11, 11), (1, 5000), (5000, 1), (60_000, 20), (20, 60_000)])
@pytest.mark.parametrize("grey", [0, 128, 255])
def test_a_picture_of_any_shape_without_a_face_has_none(size: tuple[int, int], grey: int, engine: FaceEngine) -> None:
    assert faces_in(engine, pictures.pillow_bytes(Pillow.new("L", size, grey), "PNG")) == ()


@pytest.mark.parametrize("is_tall", [False, True])
def test_a_face_at_the_far_end_of_a_long_picture_is_cut_from_there(is_tall: bool, engine: FaceEngine) -> None:
    portrait = cv2.resize(pictures.sample("astronaut")[20:320, 75:375], (900, 900))
    size = (12_000, 900) if is_tall else (900, 12_000)
    long: Image = np.full((*size, 3), 90, np.uint8)
    long[-900:, -900:] = portrait

    [face] = faces_in(engine, pictures.saved(long, "PNG", compress_level=1))

    [[far]] = engine.embed([[face]])
    [[[near]]] = [engine.embed([engine.detect(portrait).faces])]
    assert min(face.detection.box.left, face.detection.box.top) >= 0
    assert max(face.detection.box.right, face.detection.box.bottom) > 11_400
    assert float(far.embedding @ near.embedding) > engine.pack.match_cosine


def test_a_large_picture_is_read_at_a_reduced_scale_and_gives_the_same_face(
    engine: FaceEngine, reducing: FaceEngine
) -> None:
    large = cv2.resize(pictures.sample("astronaut"), (3072, 3072), interpolation=cv2.INTER_CUBIC)
    data = pictures.saved(large, "JPEG", quality=90)

    [whole], [reduced] = faces_in(engine, data), faces_in(reducing, data)

    assert reduced.detection.box.overlap(whole.detection.box) > 0.95
    [[one, other]] = engine.embed([[whole, reduced]])
    assert float(one.embedding @ other.embedding) > 0.99


def test_the_largest_picture_takes_little_more_memory_than_its_pixels(engine: FaceEngine) -> None:
    picture: Image = np.full((6000, 6600, 3), 128, np.uint8)
    tracemalloc.start()
    try:
        assert engine.detect(picture).faces == ()
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak_bytes < picture.nbytes / 2


def test_a_picture_passes_the_gate_from_before_it_is_decoded_until_its_faces_are_cut_out(
    engine: FaceEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[object] = []

    @contextmanager
    def admit(pixels: int) -> Iterator[None]:
        events.append(pixels)
        yield
        events.append("left")

    def noted(name: str, function: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **options: object) -> object:
            events.append(name)
            return function(*args, **options)

        return call

    monkeypatch.setattr(engine, "gate", SimpleNamespace(admit=admit))
    monkeypatch.setattr(detection, "decode", noted("decoded", detection.decode))
    monkeypatch.setattr(engine, "detect", noted("detected", engine.detect))
    assert len(faces_in(engine, pictures.sample_bytes("astronaut"))) == 1
    assert events == [7 * 512 * 512, "decoded", "detected", "left"]


def test_a_picture_that_nobody_wants_any_more_is_not_looked_at(
    engine: FaceEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Unwanted(Exception):
        pass

    def check() -> None:
        raise Unwanted

    monkeypatch.setattr(engine, "detect", lambda *_, **__: pytest.fail("the model ran"))
    with pytest.raises(Unwanted):
        detect_faces(engine, pictures.edited_portrait(), limits=ImageLimits(), check_wanted=check)
