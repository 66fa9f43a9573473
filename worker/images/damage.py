"""Files that are cut short or damaged: which of them are pictures even so.

The rule: what a file says about its pixels is taken as far as it goes. JPEG and PNG are written from the top to the
bottom, so of a file that ends too early the first rows are there. It is a picture, with a warning, if at most
MOST_MISSING of its rows are missing, and refused otherwise. A JPEG that lacks only its end marker, and a PNG that
lacks only its checksum, lack nothing. Any other damage is refused: what it changes cannot be told.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from PIL import Image as Pillow

from worker.errors import TruncatedImage
from worker.images.cleaning.jpeg import MARKER
from worker.images.cleaning.png import chunk

#: The largest share of a picture's rows that may be missing. Of less than half of a photo, nobody can say what it was.
MOST_MISSING: Final = 0.5

_END: Final = b"\xff\xd9"
_EOI: Final = 0xD9
#: What libjpeg makes of blocks that it has no coefficients for (jdhuff.c), in any colour space; inverted: 127.
_UNKNOWN: Final = (127, 128)
#: The rows of a JPEG's blocks.
_BLOCK_ROWS: Final = 8

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_CHANNELS: Final = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
#: What is unpacked at a time: of a damaged piece, nothing is known.
_PIECE_BYTES: Final = 4096


@dataclass(frozen=True, slots=True)
class ImageWarning:
    """What is wrong with a picture that could be decoded: a stable code, and one sentence for a person."""

    code: str
    message: str


def missing_rows_warning(missing_share: float) -> ImageWarning | None:
    """Return the warning for a picture that lacks this share of its rows (0..1), at its end; None if it lacks none.

    Raises TruncatedImage when too much of it is missing.
    """
    if missing_share > MOST_MISSING:
        raise TruncatedImage(f"The picture is cut short or damaged: {missing_share:.0%} of it is missing.")
    if not missing_share:
        return None
    share = f"{max(missing_share, 0.01):.0%}"
    return ImageWarning("image_incomplete", f"The file is cut short or damaged: the last {share} of it is missing.")


# JPEG


def with_end(jpeg: bytes) -> bytes | None:
    """Return a JPEG that ends too early with an end marker, so that decoders show what is there; None if it has one.

    Of a segment between two scans that is cut short, nothing is kept.
    """
    if jpeg.rstrip(b"\0").endswith(_END):
        return None
    place = jpeg.find(b"\xff\xda")
    while place >= 0:
        marker = jpeg[place + 1]
        if marker == _EOI:
            return None
        end = place + 2 + max(2, int.from_bytes(jpeg[place + 2 : place + 4], "big"))
        if end > len(jpeg):
            return jpeg[:place] + _END
        found = MARKER.search(jpeg, end)
        place = found.start() if found else -1
    return jpeg + _END


def jpeg_warning(picture: Pillow.Image) -> ImageWarning | None:
    """Return the warning for the loaded picture of a JPEG that ended too early. Raises TruncatedImage.

    A progressive JPEG is coded several times over, ever more finely: it may lack details rather than rows.
    """
    height = picture.height
    rows = _rows_before(picture, _UNKNOWN)
    if rows == height:  # then at most the end of the last row of blocks is missing
        rows = max(_rows_before(picture, _UNKNOWN, left=max(0, picture.width - _BLOCK_ROWS)), height - 2 * _BLOCK_ROWS)
    warning = missing_rows_warning((height - rows) / height)
    if warning is None and picture.info.get("progressive"):
        return ImageWarning("image_incomplete", "The file is cut short: the picture may lack details.")
    return warning


def _rows_before(picture: Pillow.Image, filling: tuple[int, ...], *, left: int = 0) -> int:
    """Return the rows above those at the bottom that have no other values than these, from the column `left` on."""
    bottom = picture.height
    while bottom > 0:
        top = max(0, bottom - _BLOCK_ROWS)
        extremes = picture.crop((left, top, picture.width, bottom)).getextrema()
        ranges = extremes if isinstance(extremes[0], tuple) else (extremes,)
        if not all(low in filling and high in filling for low, high in ranges):
            break
        bottom = top
    return bottom


# PNG


def png_from_its_rows(png: bytes) -> tuple[bytes, float] | None:
    """Return a whole PNG with the rows that are left of a damaged one, and the share of them that is missing (0..1).

    `png` has no chunks but critical ones and tRNS. None if nothing can be said of its rows, as of an interlaced one.
    Takes little memory, however large the picture.
    """
    header = png[16:29]
    if len(header) < 13 or png[:8] != _SIGNATURE:
        return None
    width, height, bits, colour_type, _, _, interlaced = struct.unpack(">IIBBBBB", header)
    row_bytes = 1 + (width * bits * _CHANNELS.get(colour_type, 0) + 7) // 8
    if interlaced or row_bytes == 1 or not height:
        return None
    expected, found, packer = row_bytes * height, 0, zlib.compressobj(1)
    packed: list[bytes] = []
    before: list[bytes] = []
    for piece in _unpacked(_pixel_parts(png, before)):
        piece = piece[: expected - found]
        found += len(piece)
        packed.append(packer.compress(piece))
    rows = found // row_bytes
    missing = expected - found
    while missing:
        zeros = bytes(min(missing, 2**20))
        missing -= len(zeros)
        packed.append(packer.compress(zeros))
    packed.append(packer.flush())
    whole = b"".join((_SIGNATURE, *before, chunk(b"IDAT", b"".join(packed)), chunk(b"IEND", b"")))
    return whole, (height - rows) / height


def may_lack_rows(picture: Pillow.Image) -> bool:
    """Whether the last rows of a loaded PNG are as those that are missing: nothing but zeros."""
    return picture.format == "PNG" and _rows_before(picture, (0,)) < picture.height


def _pixel_parts(png: bytes, before: list[bytes]) -> Iterator[bytes]:
    """Yield what the IDAT chunks hold, up to the first damaged one; the last may be cut short. Collect the others."""
    place = len(_SIGNATURE)
    while place + 8 <= len(png):
        length, kind = struct.unpack_from(">I4s", png, place)
        end = place + 8 + length
        content = png[place + 8 : end]
        is_whole = end + 4 <= len(png)
        if is_whole and zlib.crc32(content, zlib.crc32(kind)) != int.from_bytes(png[end : end + 4], "big"):
            return
        if kind == b"IDAT":
            yield content
        elif kind != b"IEND" and is_whole:
            before.append(png[place : end + 4])
        place = end + 4


def _unpacked(parts: Iterator[bytes]) -> Iterator[bytes]:
    """Yield what zlib has packed into the parts, piece by piece, as far as it can be read; without its checksum."""
    unpacker, skipped = zlib.decompressobj(-zlib.MAX_WBITS), 0
    for part in parts:
        start = min(len(part), 2 - skipped)  # zlib's header
        skipped += start
        for place in range(start, len(part), _PIECE_BYTES):
            left = part[place : place + _PIECE_BYTES]
            while left and not unpacker.eof:
                try:
                    yield unpacker.decompress(left, 2**20)
                except zlib.error:
                    return
                left = unpacker.unconsumed_tail
    while True:
        try:
            piece = unpacker.decompress(unpacker.unconsumed_tail, 2**20)
        except zlib.error:
            return
        if not piece:
            return
        yield piece
