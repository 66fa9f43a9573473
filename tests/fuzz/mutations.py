"""Damaged pictures, each made from a number. `python -m tests.fuzz.mutations SEED > file` makes one again."""

import random
import re
import struct
import sys
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from itertools import pairwise

from PIL import Image as Pillow
from PIL import ImageCms, PngImagePlugin

from tests.pictures import gradient_picture, heic, pillow_bytes

_PNG = b"\x89PNG\r\n\x1a\n"
#: Numbers at which sizes, counts and offsets go wrong, by the bytes that they are written in.
_EXTREMES = {2: (0, 1, 0x7FFF, 0x8000, 0xFFFF), 4: (0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x00010000, 65_535)}
#: Width and height in the headers: what stands before them, how far behind its start they are, and how written.
_SIZES = (
    (re.compile(rb"^\x89PNG"), (16, 20), ">I"),
    (re.compile(rb"^GIF8"), (6, 8), "<H"),
    (re.compile(rb"\x2c(?=.{8}[\x00\x40])", re.DOTALL), (5, 7), "<H"),
    (re.compile(rb"^BM"), (18, 22), "<I"),
    (re.compile(rb"\xff[\xc0-\xc2]\x00[\x0b\x11\x14]"), (5, 7), ">H"),
    (re.compile(rb"VP8X"), (12, 15), "<H"),
    (re.compile(rb"VP8 "), (14, 16), "<H"),
    (re.compile(rb"[\x00\x01]\x01[\x03\x04]\x00"), (8,), "<I"),
    (re.compile(rb"ispe"), (8, 12), ">I"),
)


def mutated(seed: int) -> bytes:
    """Return the damaged picture of that number: always the same with the same libraries."""
    dice = random.Random(seed)
    data = bytearray(dice.choice(originals()))
    for _ in range(dice.choice((1, 1, 2, 3, 6))):
        data = dice.choice(_MUTATIONS)(data, dice)
    return bytes(_with_right_checksums(data) if data.startswith(_PNG) and dice.random() < 0.8 else data)


@cache
def originals() -> tuple[bytes, ...]:
    """Return good pictures of every format that is taken, in many modes and with all that can hang on them."""
    return (*_jpegs(), *_pngs(), *_animations(), *_tiffs(), *_others())


def _picture(mode: str, width: int = 48, height: int = 32) -> Pillow.Image:
    return Pillow.fromarray(gradient_picture(width, height)).convert(mode)


def _exif(orientation: int) -> Pillow.Exif:
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "a camera"
    exif.get_ifd(0x8769)[0x9003] = "2001:01:01 00:00:00"
    return exif


def _jpegs() -> Iterator[bytes]:
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for mode in ("RGB", "L", "CMYK"):
        for progressive in (False, True):
            yield pillow_bytes(_picture(mode), "JPEG", progressive=progressive, quality=80)
    yield pillow_bytes(_picture("RGB", 1301, 75), "JPEG", subsampling=0, restart_marker_blocks=7)
    yield pillow_bytes(_picture("RGB", 93, 2567), "JPEG", exif=_exif(6), quality=40)
    yield pillow_bytes(_picture("RGB"), "JPEG", exif=_exif(5), icc_profile=icc, comment=b"a comment", dpi=(72, 72))
    frames = [_picture("RGB", 64, 48), _picture("RGB", 32, 24)]
    yield pillow_bytes(frames[0], "MPO", save_all=True, append_images=frames[1:], exif=_exif(3))


def _pngs() -> Iterator[bytes]:
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"):
        picture = _picture("I").convert("I;16") if mode == "I;16" else _picture(mode)
        yield pillow_bytes(picture, "PNG")
    text = PngImagePlugin.PngInfo()
    text.add_text("Title", "words " * 50)
    text.add_text("Packed", "words " * 500, zip=True)
    text.add_itxt("XML:com.adobe.xmp", '<x tiff:Orientation="6"/>')
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    yield pillow_bytes(_picture("RGB"), "PNG", pnginfo=text, exif=_exif(8), icc_profile=icc, dpi=(300, 300))
    yield pillow_bytes(_picture("P"), "PNG", transparency=bytes(range(256)))
    yield pillow_bytes(_picture("RGB"), "PNG", transparency=(0, 0, 255))


def _animations() -> Iterator[bytes]:
    frames = [_picture("RGB").rotate(angle) for angle in (0, 90, 180)]
    for file_format in ("GIF", "WEBP", "PNG"):
        yield pillow_bytes(frames[0], file_format, save_all=True, append_images=frames[1:], duration=50, disposal=2)
    yield pillow_bytes(_picture("P"), "GIF", interlace=True, transparency=3, comment=b"a comment")
    yield pillow_bytes(_picture("L", 7, 5), "GIF")


def _tiffs() -> Iterator[bytes]:
    for mode in ("1", "L", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "I", "F"):
        picture = (
            ImageCms.profileToProfile(
                _picture("RGB"), ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
            )
            if mode == "LAB"
            else _picture(mode)
        )
        assert picture is not None
        yield pillow_bytes(picture, "TIFF")
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"):
        yield pillow_bytes(_picture("RGB", 64, 64), "TIFF", compression=compression, exif=_exif(7))
    yield pillow_bytes(_picture("1"), "TIFF", compression="group4")
    yield pillow_bytes(_picture("L"), "TIFF", save_all=True, append_images=[_picture("RGB", 20, 20)])
    yield pillow_bytes(_picture("RGB"), "TIFF", big_tiff=True)


def _others() -> Iterator[bytes]:
    for mode in ("1", "L", "P", "RGB", "RGBA"):
        yield pillow_bytes(_picture(mode), "BMP")
    yield pillow_bytes(_picture("RGB"), "WEBP", exif=_exif(2))
    yield pillow_bytes(_picture("RGBA"), "WEBP", lossless=True)
    yield pillow_bytes(_picture("RGBA"), "AVIF", speed=10, exif=_exif(6))
    yield pillow_bytes(_picture("RGB", 300, 200), "AVIF", speed=10)
    for mode in ("RGB", "RGBA"):
        yield heic(_picture(mode, 64, 64), quality=50)


def _flip_bits(data: bytearray, dice: random.Random) -> bytearray:
    for _ in range(dice.randint(1, 8) if data else 0):
        data[_place(data, dice)] ^= 1 << dice.randrange(8)
    return data


def _fill(data: bytearray, dice: random.Random) -> bytearray:
    start = _place(data, dice)
    length = min(dice.choice((1, 2, 4, 40)), len(data) - start)
    data[start : start + length] = dice.choice((b"\0", b"\xff")) * length
    return data


def _random_bytes(data: bytearray, dice: random.Random) -> bytearray:
    start = _place(data, dice)
    length = min(dice.randint(1, 64), len(data) - start)
    data[start : start + length] = dice.randbytes(length)
    return data


def _truncate(data: bytearray, dice: random.Random) -> bytearray:
    return data[: dice.randint(0, len(data))]


def _extreme_word(data: bytearray, dice: random.Random) -> bytearray:
    size = dice.choice((2, 4))
    word = dice.choice(_EXTREMES[size]).to_bytes(size, dice.choice(("big", "little")))
    start = _place(data, dice)
    data[start : start + size] = word[: len(data) - start]
    return data


def _other_size(data: bytearray, dice: random.Random) -> bytearray:
    """Write another width or height into the header."""
    places = [
        (match.start() + offset, layout)
        for pattern, offsets, layout in _SIZES
        for match in pattern.finditer(data)
        for offset in offsets
    ]
    if places:
        offset, layout = dice.choice(places)
        limit = 0xFFFF if layout.endswith("H") else 0xFFFFFFFF
        word = struct.pack(layout, min(limit, dice.choice((0, 1, 2, 17, 49, 1999, 40_000, 65_535, 4_000_000, limit))))
        data[offset : offset + len(word)] = word
    return data


def _splice(data: bytearray, dice: random.Random) -> bytearray:
    other = dice.choice(originals())
    return data[: dice.randint(0, len(data))] + other[dice.randint(0, len(other)) :]


def _delete_part(data: bytearray, dice: random.Random) -> bytearray:
    parts = _parts(data, dice)
    del parts[dice.randrange(len(parts))]
    return bytearray().join(parts)


def _repeat_part(data: bytearray, dice: random.Random) -> bytearray:
    parts = _parts(data, dice)
    index = dice.randrange(len(parts))
    parts[index] = parts[index] * dice.choice((2, 3, 100 if len(parts[index]) < 1000 else 2))
    return bytearray().join(parts)


def _swap_parts(data: bytearray, dice: random.Random) -> bytearray:
    parts = _parts(data, dice)
    here, there = dice.randrange(len(parts)), dice.randrange(len(parts))
    parts[here], parts[there] = parts[there], parts[here]
    return bytearray().join(parts)


_MUTATIONS: tuple[Callable[[bytearray, random.Random], bytearray], ...] = (
    _flip_bits,
    _flip_bits,
    _fill,
    _random_bytes,
    _truncate,
    _extreme_word,
    _extreme_word,
    _other_size,
    _other_size,
    _splice,
    _delete_part,
    _repeat_part,
    _swap_parts,
)


def _place(data: bytearray, dice: random.Random) -> int:
    """Return a place in the data, half of the time near its start, where the header is."""
    return dice.randrange(max(1, min(len(data), 256) if dice.random() < 0.5 else len(data)))


def _parts(data: bytearray, dice: random.Random) -> list[bytearray]:
    """Cut into the format's own parts (PNG's and RIFF's chunks, JPEG's segments, ISO boxes), or anywhere."""
    if data.startswith(_PNG):
        cuts = list(_cuts(data, start=8, layout=">I", extra=12))
    elif data.startswith(b"RIFF"):
        cuts = list(_cuts(data, start=12, layout="<4xI", extra=8))
    elif data[4:8] == b"ftyp":
        cuts = list(_cuts(data, start=0, layout=">I", extra=0))
    elif data.startswith(b"\xff\xd8"):
        cuts = [match.start() for match in re.finditer(rb"\xff[\xc0-\xcf\xda-\xfe]", data)]
    else:
        cuts = [dice.randint(0, len(data)) for _ in range(6)]
    edges = sorted({0, *cuts, len(data)})
    return [data[start:end] for start, end in pairwise(edges)] or [data]


def _cuts(data: bytearray, *, start: int, layout: str, extra: int) -> Iterator[int]:
    """Follow the lengths that stand in the parts."""
    while start + struct.calcsize(layout) <= len(data):
        yield start
        (length,) = struct.unpack_from(layout, data, start)
        start += max(1, length + extra)


def _with_right_checksums(data: bytearray) -> bytearray:
    """Give a PNG's chunks their checksums, so that a reader looks at what is in them."""
    for start in _cuts(data, start=8, layout=">I", extra=12):
        end = start + 8 + int.from_bytes(data[start : start + 4], "big")
        if end + 4 <= len(data):
            data[end : end + 4] = zlib.crc32(data[start + 4 : end]).to_bytes(4, "big")
    return data


if __name__ == "__main__":
    sys.stdout.buffer.write(mutated(int(sys.argv[1])))
