"""What becomes of each file of the corpus here, and in Chromium."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from playwright.sync_api import Page

from tests.formats.chromium import Shown, shown
from tests.formats.corpus import File
from worker.config import ImageLimits
from worker.errors import ImageError
from worker.images.decoding import DecodedImage, decode
from worker.recognition.interfaces import Image
from worker.renditions import renditions_of

#: How much two renderings may differ, of 255: on average, and at 99 of 100 places. Lossy decoders round differently.
MOST: Final = (1.0, 6.0)
#: The same for a preview, a JPEG of quality 85 with halved colours, and for averages over 8 x 8 pixels: such a JPEG
#: blurs the dots by which a picture of few colours shows more of them.
MOST_IN_PREVIEW: Final = (2.5, 12.0)
AVERAGED_PIXELS: Final = 8


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A file, what it is decoded to or why it is refused, and what Chromium shows of it and of its preview."""

    file: File
    decoded: DecodedImage | ImageError
    chromium: Shown | None
    preview: Shown | None = None

    @property
    def is_shown(self) -> bool:
        """Whether a person sees anything of it in Chromium."""
        return self.chromium is not None and bool(self.chromium.opaque.any() or (self.chromium.pixels < 250).any())

    @property
    def is_shown_whole(self) -> bool:
        return self.chromium is not None and bool(self.chromium.opaque.all())

    @property
    def is_picture(self) -> bool:
        return isinstance(self.decoded, DecodedImage)

    def beside(self, chromium: Shown | None) -> "Comparison":
        """Return the same with something else that Chromium shows."""
        return replace(self, chromium=chromium)

    def is_alike(self) -> bool:
        """Whether Chromium shows the same, and so does the preview; of one that is incomplete, what Chromium shows."""
        assert self.chromium is not None
        assert self.preview is not None
        assert isinstance(self.decoded, DecodedImage)
        seen, where = self.chromium.pixels, np.ones_like(self.chromium.opaque)
        if self.decoded.warning:
            where = cv2.erode(self.chromium.opaque.astype(np.uint8), np.ones((2 * AVERAGED_PIXELS,) * 2)) > 0
        return (
            self.decoded.pixels.shape == seen.shape
            and _are_alike(seen, self.decoded.pixels, where, most=MOST)
            and _are_alike(_averaged(seen), _averaged(self.preview.pixels), where, most=MOST_IN_PREVIEW)
        )


def compare(page: Page, files: Sequence[File]) -> list[Comparison]:
    """Decode the files, make their previews, and let Chromium show both."""
    found = decode_all(files, shown(page, [(file.format, file.data) for file in files]))
    previews = shown(page, [("JPEG", _preview(each.decoded)) for each in found if each.is_picture])
    return [replace(each, preview=next(previews)) if each.is_picture else each for each in found]


def decode_all(files: Sequence[File], drawn: Iterable[Shown | None] = repeat(None)) -> list[Comparison]:
    """Decode the files; `drawn` is what Chromium shows of each."""
    return [
        Comparison(file=file, decoded=_decoded(file.data), chromium=seen)
        for file, seen in zip(files, drawn, strict=False)
    ]


def _decoded(data: bytes) -> DecodedImage | ImageError:
    try:
        return decode(data, limits=ImageLimits())
    except ImageError as error:
        return error


def _preview(picture: DecodedImage | ImageError) -> bytes:
    assert isinstance(picture, DecodedImage)
    made = renditions_of(picture, []).pictures
    assert made is not None
    return made.preview


def difference(one: Image, other: Image) -> tuple[float, float]:
    """Return by how much two pictures of one size differ: on average, and at most at 99 of 100 places."""
    apart = np.abs(one.astype(np.int16) - other)
    return float(apart.mean()), float(np.percentile(apart, 99))


def _are_alike(whole: Image, other: Image, where: NDArray[np.bool_], *, most: tuple[float, float]) -> bool:
    """Compare a picture with another one, which may be smaller."""
    height, width = other.shape[:2]
    if min(height, width) < AVERAGED_PIXELS < min(whole.shape[:2]):
        return True  # a preview of a strip: too narrow to tell
    if whole.shape != other.shape:
        if abs(whole.shape[0] / whole.shape[1] - height / width) > 0.1 * height / width:
            return False
        whole = cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA)
        where = cv2.resize(where.astype(np.uint8), (width, height)).astype(bool)
    if not where.any():
        return False
    average, percentile = difference(whole[where], other[where])
    return average <= most[0] and percentile <= most[1]


def _averaged(picture: Image) -> Image:
    return cv2.blur(picture, (AVERAGED_PIXELS, AVERAGED_PIXELS))
