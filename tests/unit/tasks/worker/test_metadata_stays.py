"""Of a photo's metadata, its outcome has when and with what it was taken, and its renditions have nothing."""

import uuid
from collections.abc import Iterator

import pytest
from PIL import Image as Pillow

from tasks.worker.photos import indexing
from tests import pictures
from tests.packs import dlib_config
from worker.bulk import PhotoToIndex, outcomes
from worker.config import ImageLimits
from worker.recognition.engine import FaceEngine
from worker.renditions import RenditionNames, Renditions

PLANTED = "planted-5b1e"
_EXIF, _GPS = 0x8769, 0x8825


def photo_with_everything(file_format: str) -> bytes:
    """Return the portrait with a position, names, a serial number and a description in its EXIF."""
    exif = Pillow.Exif()
    exif.update({0x010F: "Canon", 0x0110: "Canon EOS 5D", 0x010E: PLANTED, 0x013B: PLANTED})
    exif.get_ifd(_EXIF).update({0x9003: "2024:06:01 14:30:59", 0xA430: PLANTED, 0xA431: PLANTED, 0x9286: PLANTED})
    exif.get_ifd(_GPS).update({1: "N", 2: (48.0, 51.0, 29.6), 3: "E", 4: (2.0, 17.0, 40.2), 27: PLANTED})
    portrait = Pillow.fromarray(pictures.sample("astronaut")[:300, 60:380, ::-1].copy())
    if file_format == "HEIC":
        return pictures.heic(portrait, exif=exif.tobytes())
    return pictures.pillow_bytes(portrait, file_format, exif=exif.tobytes())


@pytest.fixture(scope="module")
def engine() -> Iterator[FaceEngine]:
    engine = FaceEngine(dlib_config())
    engine.open()
    yield engine
    engine.close()


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "AVIF", "HEIC"])
def test_nothing_else_of_the_metadata_leaves_the_original(engine: FaceEngine, file_format: str) -> None:
    data, saved = photo_with_everything(file_format), []
    assert PLANTED.encode() in data

    def save(renditions: Renditions) -> RenditionNames:
        assert renditions.pictures is not None
        saved.extend([renditions.pictures.thumbnail, renditions.pictures.preview, *renditions.faces])
        return RenditionNames(pictures="0" * 16, faces=("1" * 16,) * len(renditions.faces))

    photo = PhotoToIndex(photo_id=str(uuid.uuid4()), gallery_id=str(uuid.uuid4()), read=lambda: data, save=save)
    [outcome] = outcomes(engine, [photo], limits=ImageLimits())
    message = indexing._outcome_info(outcome, "d" * 64).model_dump_json()

    assert outcome.state == "indexed"
    assert '"capture":{"taken_at":"2024-06-01T14:30:59","utc_offset_minutes":null,"camera":"Canon EOS 5D"}' in message
    assert PLANTED not in message
    assert len(saved) == 3
    for rendition in saved:
        assert PLANTED.encode() not in rendition
        assert b"Exif" not in rendition
        assert not any(bytes([0xFF, marker]) in rendition.partition(b"\xff\xda")[0] for marker in range(0xE1, 0xF0))
