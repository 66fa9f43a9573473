"""Renditions of photos that were indexed before: read, decoded and rendered without a model.

They are the same, byte for byte, as those that indexing the photo would make.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from worker.config import ImageLimits
from worker.errors import ImageError, PhotoMissing, PhotoStorageUnavailable, PhotoWithdrawn
from worker.images.decoding import bytes_to_decode, decode
from worker.metrics import NO_STAGES, Stages, timed
from worker.prefetch import prefetched
from worker.reading import photo_bytes
from worker.recognition.interfaces import Box, Engine
from worker.renditions import PREVIEW_SIDE_PIXELS, RenditionNames, Renditions, renditions_of

_NO_CROPS: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoToRender:
    """One photo with the boxes of its faces by their ids, in pixels of the upright picture.

    `read` is called as PhotoToIndex.read is. `save` is called with the renditions, may be called from any thread, and
    returns their names; it raises OSError when the storage is in trouble.
    """

    photo_id: str
    read: Callable[[], bytes]
    save: Callable[[Renditions], RenditionNames]
    boxes: Mapping[str, Box] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoRendering:
    """What became of one photo: what its renditions are called, `crops` by face id; or why there are none."""

    photo_id: str
    renditions: str = ""
    crops: Mapping[str, str] = field(default_factory=lambda: _NO_CROPS)
    code: str = ""
    message: str = ""


def renderings(
    engine: Engine, photos: Sequence[PhotoToRender], *, limits: ImageLimits, stages: Stages = NO_STAGES
) -> list[PhotoRendering]:
    """Return what became of each photo, in the order given. A photo that cannot be read as a picture fails alone.

    Blocks as `detect_faces` does. Raises NotOpen, PhotoStorageUnavailable.
    """
    threads = engine.config.decode_threads
    return list(prefetched(lambda photo: _rendering(engine, photo, limits, stages), photos, threads=threads))


def _rendering(engine: Engine, photo: PhotoToRender, limits: ImageLimits, stages: Stages) -> PhotoRendering:
    try:
        made = _made(engine, photo, limits, stages)
    except (PhotoWithdrawn, PhotoMissing, ImageError) as error:
        return PhotoRendering(photo_id=photo.photo_id, code=error.code, message=str(error))
    try:
        with timed(stages, "save"):
            names = photo.save(made)
    except OSError as error:
        raise PhotoStorageUnavailable("The storage of the photos cannot be written at the moment.") from error
    crops = dict(zip(photo.boxes, names.faces, strict=True))
    return PhotoRendering(photo_id=photo.photo_id, renditions=names.pictures, crops=crops)


def _made(engine: Engine, photo: PhotoToRender, limits: ImageLimits, stages: Stages) -> Renditions:
    # As `detect_faces` decodes a photo without renditions.
    enough_pixels = max(engine.pack.enough_pixels, PREVIEW_SIDE_PIXELS) if engine.config.reduced_decoding else None
    data = photo_bytes(photo.read)
    with engine.gate.admit(bytes_to_decode(data, limits=limits)):
        with timed(stages, "decode"):
            picture = decode(data, limits=limits, enough_pixels=enough_pixels)
        with timed(stages, "render"):
            return renditions_of(picture, list(photo.boxes.values()))
