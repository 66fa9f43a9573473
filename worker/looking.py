"""From a file's bytes to the faces in it, not described yet; at a reduced scale where that is allowed and enough."""

from functools import cache

from worker.config import ImageLimits
from worker.images import DecodedImage, decode
from worker.metrics import NO_STAGES, Stages, timed
from worker.recognition.interfaces import Engine, Findings, Reduction

#: Every pack's detector letterboxes pictures to this side: it sees no more of a larger one.
ENOUGH_PIXELS = 640


def look_at(
    engine: Engine, data: bytes, *, limits: ImageLimits, stages: Stages = NO_STAGES
) -> tuple[DecodedImage, Findings]:
    """Return the picture and the faces in it, in pixels of the whole upright picture.

    With `reduced_decoding` a large JPEG is decoded at a fraction of its size, and whole only for faces that are too
    small then. Raises what `decode` and `Engine.find` raise.
    """
    enough_pixels = ENOUGH_PIXELS if engine.config.reduced_decoding else None
    with timed(stages, "decode"):
        picture = decode(data, limits=limits, enough_pixels=enough_pixels)
    if picture.scale == 1:
        with timed(stages, "detect"):
            return picture, engine.find(picture.pixels)
    reduction = Reduction(
        scale=picture.scale,
        origin=picture.origin,
        width=picture.width,
        height=picture.height,
        whole=cache(lambda: decode(data, limits=limits).pixels),
    )
    with timed(stages, "detect"):
        return picture, engine.find(picture.pixels, reduction=reduction)
