"""From an image to the faces in it, not embedded yet; at a reduced scale where that is allowed and enough."""

from collections.abc import Callable, Sequence
from functools import cache

from worker.config import ImageLimits
from worker.images.decoding import REDUCED_FORMATS, DecodedImage, ImageInfo, bytes_to_decode, decode
from worker.images.halving import halved_to
from worker.metrics import NO_STAGES, Stages, timed
from worker.recognition.interfaces import DetectedFaces, Detection, Engine, Image, Reduction


def detect_faces(
    engine: Engine,
    data: bytes,
    *,
    limits: ImageLimits,
    located: Sequence[Detection] = (),
    stages: Stages = NO_STAGES,
    check_wanted: Callable[[], None] = lambda: None,
    least_pixels: int = 0,
    look: Callable[[DecodedImage, DetectedFaces], None] = lambda picture, faces: None,
) -> tuple[ImageInfo, DetectedFaces]:
    """Return what the image is and the faces in it, in pixels of the whole upright picture, which is not kept.

    With `reduced_decoding` a large JPEG is decoded at a fraction of its size, and decoded whole only for faces that are
    then too small; its longer side keeps at least `least_pixels`. `located` are faces that the same detector found in
    the picture before: with them it does not run. `look` is called once with the picture and its faces.
    Blocks while the pictures of other threads take as much memory as the engine allows (`engine.gate`). `check_wanted`
    is called after each wait, before the picture is decoded and before the model runs, and may raise. Raises what
    `decode` and `Engine.detect` raise.
    """
    enough_pixels = max(engine.pack.enough_pixels, least_pixels) if engine.config.reduced_decoding else None
    # A reduced picture passes as the whole one, because it may have to be decoded whole.
    with engine.gate.admit(bytes_to_decode(data, limits=limits)):
        check_wanted()
        with timed(stages, "decode"):
            picture = decode(data, limits=limits, enough_pixels=enough_pixels)
        check_wanted()
        whole = cache(lambda: picture.pixels if picture.scale == 1 else decode(data, limits=limits).pixels)
        seen = halved_to(picture, engine.pack.enough_pixels) if _is_larger_than_needed(picture, engine) else picture
        reduction = _reduction(seen, whole=whole)
        if located:
            faces = engine.align(seen.pixels, located, reduction=reduction)
        else:
            with timed(stages, "detect"):
                faces = engine.detect(seen.pixels, reduction=reduction)
        look(picture, faces)
        return picture.info, faces


def _is_larger_than_needed(picture: DecodedImage, engine: Engine) -> bool:
    """Tell whether renditions need more of the picture than detecting: without them, it would be decoded smaller."""
    return engine.config.reduced_decoding and picture.format in REDUCED_FORMATS


def _reduction(picture: DecodedImage, *, whole: Callable[[], Image]) -> Reduction | None:
    """Return how the picture was reduced; None when it is whole."""
    if picture.scale == 1:
        return None
    return Reduction(
        scale=picture.scale, origin=picture.origin, width=picture.width, height=picture.height, whole=whole
    )
