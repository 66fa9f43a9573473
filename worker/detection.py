"""From a file's bytes to the faces in it, not described yet; at a reduced scale where that is allowed and enough."""

from collections.abc import Callable, Sequence
from functools import cache

from worker.config import ImageLimits
from worker.images import DecodedImage, decode
from worker.metrics import NO_STAGES, Stages, timed
from worker.recognition.interfaces import Detection, Engine, Findings, Image, Reduction

#: Every pack's detector letterboxes pictures to this side: it sees no more of a larger one.
ENOUGH_PIXELS = 640


def look_at(
    engine: Engine,
    data: bytes,
    *,
    limits: ImageLimits,
    located: Sequence[Detection] = (),
    stages: Stages = NO_STAGES,
) -> tuple[DecodedImage, Findings]:
    """Return the picture and the faces in it, in pixels of the whole upright picture.

    With `reduced_decoding` a large JPEG is decoded at a fraction of its size, and whole only for faces that are too
    small then. `located` are the faces that the same detector has found in the picture before: then it does not run.
    Raises what `decode` and `Engine.find` raise.
    """
    enough_pixels = ENOUGH_PIXELS if engine.config.reduced_decoding else None
    with timed(stages, "decode"):
        picture = decode(data, limits=limits, enough_pixels=enough_pixels)
    reduction = _reduction(picture, whole=cache(lambda: decode(data, limits=limits).pixels))
    if located:
        return picture, engine.cut(picture.pixels, located, reduction=reduction)
    with timed(stages, "detect"):
        return picture, engine.find(picture.pixels, reduction=reduction)


def _reduction(picture: DecodedImage, *, whole: Callable[[], Image]) -> Reduction | None:
    """Return how the picture was reduced; None when it is whole."""
    if picture.scale == 1:
        return None
    return Reduction(
        scale=picture.scale, origin=picture.origin, width=picture.width, height=picture.height, whole=whole
    )
