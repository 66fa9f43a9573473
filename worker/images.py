"""Untrusted bytes -> an upright picture of bounded size, in BGR.

Everything that Pillow can throw at damaged or hostile bytes becomes an ImageError here, and nothing else in facequeue
sees bytes that have not been decoded: OpenCV's own decoders trust the header and would allocate what it says.

The order matters: the number of bytes, then the size that the header tells, and only then pixels. So a small
file that claims to be huge costs nothing. Safe to call from many threads at once: no state is kept or changed.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, UnidentifiedImageError, features
from PIL import Image as Pillow

from worker.config import ImageLimits
from worker.errors import (
    EmptyImage,
    ImageError,
    ImageTooLarge,
    NotAnImage,
    TruncatedImage,
    UnsupportedImage,
)
from worker.recognition.interfaces import Image

__all__ = ["DecodedImage", "ImageLimits", "decode"]

#: The formats that are taken. Everything else that Pillow could open (EPS starts Ghostscript) stays closed.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", *(("AVIF",) if features.check("avif") else ()))
_TAKEN = f"{', '.join(FORMATS[:-1])} and {FORMATS[-1]}"

#: How files of those formats begin: a file that begins so and yet has no readable header was cut short.
_BEGINNINGS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
#: ISO media files (HEIC, AVIF, videos) have their brand at byte 8, after "ftyp".
_HEIC_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")

#: What each value of the EXIF orientation asks for (CIPA DC-008, table "Orientation").
_UPRIGHT = {
    2: Pillow.Transpose.FLIP_LEFT_RIGHT,
    3: Pillow.Transpose.ROTATE_180,
    4: Pillow.Transpose.FLIP_TOP_BOTTOM,
    5: Pillow.Transpose.TRANSPOSE,
    6: Pillow.Transpose.ROTATE_270,
    7: Pillow.Transpose.TRANSVERSE,
    8: Pillow.Transpose.ROTATE_90,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedImage:
    """A picture as a viewer would show it: `pixels` upright BGR uint8, `format` in capitals ("JPEG")."""

    pixels: Image
    format: str


def decode(data: bytes, *, limits: ImageLimits) -> DecodedImage:
    """Decode a JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF; the first frame of an animated one.

    The EXIF orientation is applied, transparency is laid over white, 16 bits are scaled to 8, and any colour
    space becomes BGR. Raises EmptyImage, NotAnImage, UnsupportedImage, TruncatedImage or ImageTooLarge.
    """
    if not data:
        raise EmptyImage("The file is empty.")
    if len(data) > limits.max_bytes:
        raise ImageTooLarge(f"The file has {len(data):,} bytes; at most {limits.max_bytes:,} bytes are taken.")
    with _opened(data) as picture:
        _check_size(picture, limits)
        with _coded(TruncatedImage("The picture is cut short or damaged: it cannot be read to its end.")):
            picture.load()
            orientation = picture.getexif().get(ExifTags.Base.Orientation, 1)
        with _coded(UnsupportedImage(f"Pictures in the colour mode {picture.mode} are not supported.")):
            rgb = _rgb(picture)
            if orientation in _UPRIGHT:
                rgb = rgb.transpose(_UPRIGHT[orientation])
            pixels = np.ascontiguousarray(np.asarray(rgb)[:, :, ::-1])
    # A phone's JPEG with a second picture inside (a depth map, a preview) calls itself MPO.
    return DecodedImage(pixels=pixels, format="JPEG" if picture.format == "MPO" else str(picture.format))


@contextmanager
def _coded(meaning: ImageError) -> Iterator[None]:
    """Raise `meaning` for whatever Pillow raises inside."""
    try:
        yield
    except (MemoryError, Pillow.DecompressionBombError, Pillow.DecompressionBombWarning) as error:
        raise ImageTooLarge("The picture is too large to be decoded.") from error
    except Exception as error:  # Pillow has no root: struct.error, SyntaxError, zlib.error, KeyError ...
        raise meaning from error


def _opened(data: bytes) -> Pillow.Image:
    """Read the header only."""
    with _coded(TruncatedImage("The picture is cut short or damaged: its header cannot be read.")):
        try:
            return Pillow.open(BytesIO(data), formats=FORMATS)
        except UnidentifiedImageError as error:
            reason, cause = _why_unidentified(data), error
    raise reason from cause


def _why_unidentified(data: bytes) -> ImageError:
    """Return the error that tells a person what the bytes are, as far as their beginning says."""
    beginning = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n")
    is_riff_webp = data[:4] == b"RIFF" and data[8:12] in (b"", b"WEBP")
    if data.startswith(_BEGINNINGS) or is_riff_webp or (data[4:8] == b"ftyp" and data[8:12] == b"avif"):
        return TruncatedImage("The picture is cut short or damaged: its header cannot be read.")
    other = ""
    if b"<svg" in beginning.lower():
        other = "SVG drawings"
    elif b"%PDF-" in beginning:
        other = "PDF documents"
    elif beginning.startswith((b"%!PS", b"\xc5\xd0\xd3\xc6")):
        other = "EPS and PostScript files"
    elif data[4:8] == b"ftyp" and data[8:12] in _HEIC_BRANDS:
        other = "HEIC pictures"
    if other:
        return UnsupportedImage(f"{other} are not supported; send one of {_TAKEN}.")
    return NotAnImage(f"The file is not a picture that can be read; send one of {_TAKEN}.")


def _check_size(picture: Pillow.Image, limits: ImageLimits) -> None:
    width, height = picture.size
    if width < 1 or height < 1:
        raise TruncatedImage("The picture is cut short or damaged: it has no pixels.")
    if width * height > limits.max_pixels:
        raise ImageTooLarge(
            f"The picture has {width} x {height} pixels; at most {limits.max_pixels:,} pixels are taken."
        )


def _rgb(picture: Pillow.Image) -> Pillow.Image:
    """Return the picture in 8-bit RGB, whatever its mode."""
    if picture.mode.startswith("I;16"):
        # 65535 / 255 = 257 exactly. Pillow's own conversion would clip at 255 instead of scaling.
        wide = np.asarray(picture).astype(np.uint32)
        return Pillow.fromarray(((wide + 128) // 257).astype(np.uint8)).convert("RGB")
    if picture.mode in ("I", "F"):
        return Pillow.fromarray(_stretched(np.asarray(picture))).convert("RGB")
    if picture.has_transparency_data:
        colour = picture.convert("RGBA")
        return Pillow.alpha_composite(Pillow.new("RGBA", colour.size, "white"), colour).convert("RGB")
    return picture.convert("RGB")


def _stretched(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Return values that have no agreed white (32-bit integers, floats) with their own range as 0..255."""
    finite = np.nan_to_num(values.astype(np.float64), posinf=0.0, neginf=0.0)
    low, high = float(finite.min()), float(finite.max())
    scale = 255.0 / (high - low) if high > low else 0.0
    return np.asarray(np.rint((finite - low) * scale), np.uint8)
