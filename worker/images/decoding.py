"""Untrusted bytes -> an upright picture of bounded size, in BGR.

Every exception that Pillow raises on damaged or hostile bytes becomes an ImageError here, and nothing else in
facequeue handles undecoded bytes: OpenCV's decoders trust the header and would allocate what it says.

The order of the checks matters: the number of bytes, then the size in the header, and only then pixels. So a small
file that claims to be huge costs nothing. Safe to call from many threads at once: no state is kept or changed.

`cost.py` says how much memory a decoded pixel takes; whoever holds several pictures at a time passes `gates.py` with
what `bytes_to_decode` returns. One format may use more than its header says before it is refused, as much as its
library allows: a GIF with a huge frame 179 MB (Pillow's limit, one byte per pixel).
"""

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, fields
from io import BytesIO

from PIL import ExifTags, JpegImagePlugin, TiffImagePlugin, UnidentifiedImageError
from PIL import Image as Pillow
from pillow_heif import HeifImageFile

from worker.config import ImageLimits
from worker.errors import (
    EmptyImage,
    ImageError,
    ImageTooLarge,
    NotAnImage,
    TruncatedImage,
    UnsupportedImage,
)
from worker.images.avif import UNBOUNDED, largest_coded_pixels
from worker.images.capture import NO_CAPTURE, Capture, capture_of
from worker.images.cleaning.jpeg import has_more_scans
from worker.images.cleaning.result import MOST_PROFILE_BYTES, Cleaned, bounded, too_many_parts
from worker.images.containers import cleaned_photo, is_whole_tiff
from worker.images.cost import decoded_bytes
from worker.images.damage import (
    ImageWarning,
    jpeg_warning,
    may_lack_rows,
    missing_rows_warning,
    png_from_its_rows,
    with_end,
)
from worker.images.gifs import screen_of
from worker.images.pixels import SIDEWAYS, mirrored_axes, upright_bgr
from worker.recognition.interfaces import Image

__all__ = ["DecodedImage", "ImageInfo", "ImageLimits", "bytes_to_decode", "decode"]

#: The formats that Pillow may open. It could open others (EPS starts Ghostscript), which stay closed.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
#: Formats that Pillow names differently: a JPEG with a second picture inside (depth map, preview), and HEIC.
_NAMES_OF_PILLOW = {"MPO": "JPEG", "HEIF": "HEIC"}
_TAKEN = f"{', '.join(FORMATS)} and HEIC"

#: The first bytes of those formats: a file that starts with them but has no readable header was cut short.
_BEGINNINGS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
#: ISO media files (HEIC, AVIF, videos) have their brand at byte 8, after "ftyp".
_HEIC_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")

#: The longest side, whatever the number of pixels: the maximum of JPEG and GIF. A PNG of one row and forty million
#: columns is not a photo, and later code should not have to consider it.
MAX_SIDE_PIXELS = 65_535
#: Pillow warns of pictures of more than half of what it takes; ours is the limit that counts.
warnings.filterwarnings("ignore", category=Pillow.DecompressionBombWarning)

# A file that is small and has few pixels, yet keeps a decoder busy for minutes, has far too many parts. Real ones have
# a few dozen.
#: Reads per file: a header is read part by part, and Pillow reads a run-length encoded BMP byte by byte.
_MAX_READS = 200_000
#: Scans of a progressive JPEG: each covers the whole picture, even an empty one of ten bytes.
_MAX_SCANS = 64

_DAMAGED_PIXELS = "The picture is cut short or damaged: it cannot be read to its end."
_DAMAGED_HEADER = "The picture is cut short or damaged: its header cannot be read."

#: Held while the header of a GIF is read: only one at a time takes memory for a frame that is far too large.
_ONE_GIF = threading.Lock()


#: The formats that can be decoded at a fraction of their size.
REDUCED_FORMATS = ("JPEG", "MPO")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageInfo:
    """What is known of an image once it is decoded: `format` in capitals ("JPEG").

    `width` and `height` are those of the whole upright picture. `scale` is the number of decoded pixels per pixel of it
    along a side: 1, or 1/2, 1/4, 1/8. `warning` says what is wrong with a picture that could be decoded even so.
    """

    format: str
    width: int
    height: int
    scale: float = 1.0
    warning: ImageWarning | None = None
    capture: Capture = NO_CAPTURE


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedImage(ImageInfo):
    """A picture as a viewer would show it: `pixels` upright BGR uint8.

    The point (x, y) of `pixels` is the point `origin + (x, y) / scale` of the whole picture. The last column and row of
    a reduced picture may reach beyond the whole one, and become its first when it is turned; so `origin` is (0, 0), or
    negative by less than one reduced pixel.
    """

    pixels: Image
    origin: tuple[int, int] = (0, 0)

    @property
    def info(self) -> ImageInfo:
        """The same without the pixels."""
        return ImageInfo(**{each.name: getattr(self, each.name) for each in fields(ImageInfo)})


def bytes_to_decode(data: bytes, *, limits: ImageLimits) -> int:
    """Return how much memory `decode` takes beside the file. Reads the header only. Raises what `decode` raises."""
    file = _cleaned(data, limits)
    with _ONE_GIF if data.startswith(b"GIF8") else nullcontext(), _opened(file.data) as picture:
        return _checked_bytes(picture, file.data, limits)


def decode(data: bytes, *, limits: ImageLimits, enough_pixels: int | None = None) -> DecodedImage:
    """Decode a JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF or HEIC; the first frame of an animated one.

    The decoder is given the pixels alone, so nothing else in a file changes them. The orientation is applied,
    transparency is laid over white, 16 bits are scaled to 8, and any colour space becomes sRGB. With `enough_pixels`
    (1 or more) a JPEG is decoded at the smallest scale at which its longer side still has that many pixels; the limits
    still apply to the whole picture.
    Raises EmptyImage, NotAnImage, UnsupportedImage, TruncatedImage or ImageTooLarge.
    """
    file = _cleaned(data, limits)
    completed = with_end(file.data) if file.data.startswith(b"\xff\xd8") else None
    with _opened(completed or file.data) as opened:
        _checked_bytes(opened, file.data, limits)
        stored_width, stored_height = opened.size
        reduction = 1 if enough_pixels is None else _reduced(opened, enough_pixels)
        picture, warning = _loaded(opened, file.data)
        if completed:
            warning = jpeg_warning(picture)
        orientation = _orientation(picture, file)
        profile = _profile(picture) or file.profile
        with _coded(UnsupportedImage(f"Pictures in the colour mode {picture.mode} are not supported.")):
            pixels = upright_bgr(screen_of(picture), orientation, profile)
    is_sideways = orientation in SIDEWAYS
    width, height = (stored_height, stored_width) if is_sideways else (stored_width, stored_height)
    mirrored_x, mirrored_y = mirrored_axes(orientation)
    return DecodedImage(
        pixels=pixels,
        format=_NAMES_OF_PILLOW.get(str(picture.format), str(picture.format)),
        width=width,
        height=height,
        scale=1 / reduction,
        warning=warning,
        capture=capture_of(file.exif),
        origin=(
            width - pixels.shape[1] * reduction if mirrored_x else 0,
            height - pixels.shape[0] * reduction if mirrored_y else 0,
        ),
    )


def _loaded(picture: Pillow.Image, data: bytes) -> tuple[Pillow.Image, ImageWarning | None]:
    """Decode the pixels; of a damaged PNG, those that are left, in another picture. Raises TruncatedImage."""
    expected = picture.size
    try:
        with _coded(TruncatedImage(_DAMAGED_PIXELS)):
            picture.load()
    except TruncatedImage:
        if picture.format != "PNG":
            raise
        return _from_its_rows(picture, data)
    if picture.size != expected:
        raise TruncatedImage("The picture is damaged: its size differs from the size in its header.")
    return _from_its_rows(picture, data) if may_lack_rows(picture) else (picture, None)


def _from_its_rows(damaged: Pillow.Image, data: bytes) -> tuple[Pillow.Image, ImageWarning | None]:
    damaged.close()  # two at a time would take more memory than a picture may
    found = png_from_its_rows(data)
    if found is None:
        raise TruncatedImage(_DAMAGED_PIXELS)
    whole, missing_share = found
    warning = missing_rows_warning(missing_share)
    with _coded(TruncatedImage(_DAMAGED_PIXELS)):
        picture = _opened(whole)
        picture.load()
    return picture, warning


@contextmanager
def _coded(meaning: ImageError) -> Iterator[None]:
    """Raise `meaning` for whatever Pillow raises inside."""
    try:
        yield
    except ImageError:
        raise
    except (MemoryError, Pillow.DecompressionBombError, Pillow.DecompressionBombWarning) as error:
        raise ImageTooLarge("The picture is too large to be decoded.") from error
    except Exception as error:  # Pillow has no root: struct.error, SyntaxError, zlib.error, KeyError ...
        raise meaning from error


def _opened(data: bytes) -> Pillow.Image:
    """Read the header only."""
    with _coded(TruncatedImage(_DAMAGED_HEADER)):
        try:
            return Pillow.open(_CountedReads(data), formats=FORMATS)
        except UnidentifiedImageError as error:
            if _is_heic(data):  # its plugin is not registered with Pillow: only we use it
                heic: Pillow.Image = HeifImageFile(_CountedReads(data))  # type: ignore[no-untyped-call]
                return heic
            reason, cause = _why_unidentified(data), error
    raise reason from cause


def _why_unidentified(data: bytes) -> ImageError:
    """Return the error that says what the bytes are, as far as their beginning shows."""
    if is_whole_tiff(data):
        return UnsupportedImage(f"TIFF pictures of this kind are not supported; send one of {_TAKEN}.")
    beginning = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n")
    is_riff_webp = data[:4] == b"RIFF" and data[8:12] in (b"", b"WEBP")
    if data.startswith(_BEGINNINGS) or is_riff_webp or (data[4:8] == b"ftyp" and data[8:12] == b"avif"):
        return TruncatedImage(_DAMAGED_HEADER)
    other = ""
    if b"<svg" in beginning.lower():
        other = "SVG drawings"
    elif b"%PDF-" in beginning:
        other = "PDF documents"
    elif beginning.startswith((b"%!PS", b"\xc5\xd0\xd3\xc6")):
        other = "EPS and PostScript files"
    if other:
        return UnsupportedImage(f"{other} are not supported; send one of {_TAKEN}.")
    return NotAnImage(f"The file is not a picture that can be read; send one of {_TAKEN}.")


def _is_heic(data: bytes) -> bool:
    return data[4:8] == b"ftyp" and data[8:12] in _HEIC_BRANDS


def _cleaned(data: bytes, limits: ImageLimits) -> Cleaned:
    """Return what the decoder is given of the file. Raises EmptyImage, ImageTooLarge or UnsupportedImage."""
    if not data:
        raise EmptyImage
    if len(data) > limits.max_bytes:
        raise ImageTooLarge(f"The file has {len(data):,} bytes; at most {limits.max_bytes:,} bytes are accepted.")
    file = cleaned_photo(data)
    if file.data.startswith(b"\xff\xd8") and has_more_scans(file.data, _MAX_SCANS):
        raise too_many_parts()
    return file


class _CountedReads(BytesIO):
    """A file in memory that allows a limited number of reads."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._reads_left = _MAX_READS

    def read(self, size: int | None = -1, /) -> bytes:
        self._reads_left -= 1
        if self._reads_left < 0:
            raise too_many_parts()
        return super().read(size)


def _checked_bytes(picture: Pillow.Image, data: bytes, limits: ImageLimits) -> int:
    """Return how much memory decoding takes. Raises TruncatedImage, UnsupportedImage or ImageTooLarge."""
    width, height = picture.size
    if width < 1 or height < 1:
        raise TruncatedImage("The picture is cut short or damaged: it has no pixels.")
    if width * height > limits.max_pixels:
        raise ImageTooLarge(
            f"The picture has {width} x {height} pixels; at most {limits.max_pixels:,} pixels are accepted."
        )
    if max(width, height) > MAX_SIDE_PIXELS:
        raise ImageTooLarge(
            f"The picture has {width} x {height} pixels; at most {MAX_SIDE_PIXELS:,} pixels per side are accepted."
        )
    inside = _pixels_inside(picture, data)
    if inside == UNBOUNDED:
        raise too_many_parts()
    if not 0 <= inside <= limits.max_pixels:
        raise ImageTooLarge(f"The picture has {inside:,} pixels inside; at most {limits.max_pixels:,} are accepted.")
    needed = decoded_bytes(picture, data, pixels=max(width * height, inside))
    if needed > limits.max_decoded_bytes:
        raise ImageTooLarge(
            f"The picture has {width} x {height} pixels, and one of its kind takes {needed / 2**20:,.0f} MB to be "
            f"decoded; at most {limits.max_decoded_bytes / 2**20:,.0f} MB are allowed."
        )
    return needed


def _pixels_inside(picture: Pillow.Image, data: bytes) -> int:
    """Return the pixels that are decoded whole, however few of them the picture shows; 0 if these are its own.

    They are those of a TIFF's tile, and what an AVIF has coded.
    """
    if picture.format == "AVIF":
        return largest_coded_pixels(data)
    if not isinstance(picture, TiffImagePlugin.TiffImageFile):
        return 0
    with _coded(TruncatedImage(_DAMAGED_HEADER)):
        tags = picture.tag_v2
        return int(tags.get(TiffImagePlugin.TILEWIDTH, 0)) * int(tags.get(TiffImagePlugin.TILELENGTH, 0))


def _reduced(picture: Pillow.Image, enough_pixels: int) -> int:
    """Have a JPEG decoded at a fraction of its size; return the factor by which its sides shrink: 1, 2, 4 or 8."""
    if not isinstance(picture, JpegImagePlugin.JpegImageFile):
        return 1
    width, height = picture.size
    drafted = picture.draft(picture.mode, (enough_pixels, 1) if width >= height else (1, enough_pixels))
    # The box is the whole picture in reduced pixels, not rounded.
    return 1 if drafted is None else round(width / drafted[1][2])


def _orientation(picture: Pillow.Image, file: Cleaned) -> int:
    """Return how the stored picture must be turned, as an EXIF number; 1: not at all."""
    if picture.format != "AVIF":
        return file.orientation  # that of a HEIC is applied by its decoder
    return int(picture.getexif().get(ExifTags.Base.Orientation, 1))  # made by Pillow from the picture's properties


def _profile(picture: Pillow.Image) -> bytes:
    """Return the ICC profile of a HEIC or AVIF, which is a property of one of its pictures."""
    return bounded(picture.info.get("icc_profile") or b"", MOST_PROFILE_BYTES)
