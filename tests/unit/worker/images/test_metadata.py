"""2,000 changes to what is not pixels: the same pixels every time.

Each has a number and is always the same: `changed(FORMATS[name], number)` makes it again. A change adds, repeats,
moves, damages or removes parts of a file that are not its pixels, one to four times. The part with the orientation
stays as it is, and no profile becomes another that is valid: those are meant to change the picture.
"""

import random
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import ImageCms, PngImagePlugin

from tests import pictures
from tests.pictures import jpeg_segment, png_chunk
from worker.config import ImageLimits
from worker.errors import ImageError
from worker.images.cleaning.result import Cleaned
from worker.images.decoding import decode
from worker.recognition.interfaces import Image

CHANGES = 500
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@dataclass
class Parts:
    """A file in pieces: `parts` are metadata, and may come in any order; the rest stays what and where it is."""

    head: bytes
    parts: list[bytes]
    tail: bytes
    join: Callable[["Parts"], bytes] = field(default=lambda self: self.head + b"".join(self.parts) + self.tail)


def _exif() -> bytes:
    exif = pictures.exif_orientation(6)
    exif[0x010F] = "a camera"
    exif.get_ifd(0x8769)[0x9003] = "2001:01:01 00:00:00"
    exif.get_ifd(0x8825)[1] = "N"
    return exif.tobytes()


@cache
def jpeg_original() -> Parts:
    data = pictures.saved(
        pictures.wavy_picture(48, 32), "JPEG", exif=_exif(), icc_profile=SRGB, comment=b"a comment", dpi=(72, 72)
    )
    start = data.index(b"\xff\xdb")  # the first table
    return Parts(data[:20], _segments(data[20:start]), data[start:])


def _segments(data: bytes) -> list[bytes]:
    segments = []
    while data:
        end = 2 + int.from_bytes(data[2:4], "big")
        segments.append(data[:end])
        data = data[end:]
    return segments


def jpeg_part(dice: random.Random) -> bytes:
    names = (b"JFIF\0", b"JFXX\0", b"Adobe", b"http://ns.adobe.com/xap/1.0/\0", b"ICC_PROFILE\0", b"MPF\0", b"FPXR\0")
    name = dice.choice((*names, b"Photoshop 3.0\x008BIM\3\xed", b""))
    if dice.random() < 0.1:
        return b"\xff" + bytes([dice.choice((0xE1, 0xE2, 0xED, 0xFE))]) + dice.choice((b"\0\0", b"\0\1"))
    # Not whole Adobe and JFIF segments: these say which colours the components are.
    content = name + dice.randbytes(dice.choice((0, 1, 5) if name in names[:3] else (0, 1, 30, 60_000)))
    return jpeg_segment(dice.choice((*range(0xE0, 0xF0), 0xFE)), content)


@cache
def png_original() -> Parts:
    text = PngImagePlugin.PngInfo()
    text.add_text("Title", "words " * 50)
    text.add_text("Packed", "words " * 500, zip=True)
    text.add_itxt("XML:com.adobe.xmp", '<x tiff:Orientation="8"/>', zip=True)
    data = pictures.saved(
        pictures.wavy_picture(48, 32), "PNG", pnginfo=text, exif=_exif(), icc_profile=SRGB, dpi=(72, 72)
    )
    start, end = data.index(b"IDAT") - 4, data.index(b"IEND") - 4
    chunks = _chunks(data[33:start])
    assert len(chunks) > 4
    return Parts(data[:33], chunks, data[start:end] + data[end:])


def _chunks(data: bytes) -> list[bytes]:
    chunks = []
    while data:
        end = 12 + int.from_bytes(data[:4], "big")
        chunks.append(data[:end])
        data = data[end:]
    return chunks


def png_part(dice: random.Random) -> bytes:
    kinds = (b"tEXt", b"zTXt", b"iTXt", b"pHYs", b"tIME", b"bKGD", b"hIST", b"sBIT", b"sPLT", b"acTL", b"fcTL", b"fdAT")
    # Of these, only what is too short or too long: what is right would change the picture.
    kind = dice.choice((*kinds, b"gAMA", b"cHRM", b"cICP", b"tRNS", b"eXIf", b"iCCP", b"sRGB", b"vpAg", b"caNv"))
    chunk = png_chunk(kind, dice.randbytes(dice.choice((0, 1, 2, 3, 5) if kind not in kinds else (0, 1, 30, 60_000))))
    return chunk if dice.random() < 0.5 else chunk[:-4] + dice.randbytes(4)


@cache
def webp_original() -> Parts:
    data = pictures.saved(
        pictures.wavy_picture(48, 32), "WEBP", lossless=True, exif=_exif(), icc_profile=SRGB, xmp=b"<x:xmpmeta/>"
    )
    chunks = _riff_chunks(data[12:])
    pixels = b"".join(chunk for chunk in chunks if chunk.startswith((b"VP8X", b"VP8L")))
    return Parts(pixels, [chunk for chunk in chunks if not chunk.startswith(b"VP8")], b"", join=_riff)


def _riff(parts: Parts) -> bytes:
    body = b"WEBP" + parts.head + b"".join(parts.parts) + parts.tail
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _riff_chunks(data: bytes) -> list[bytes]:
    chunks = []
    while data:
        length = int.from_bytes(data[4:8], "little")
        chunks.append(data[: 8 + length + length % 2])
        data = data[8 + length + length % 2 :]
    return chunks


def webp_part(dice: random.Random) -> bytes:
    content = dice.randbytes(dice.choice((0, 1, 4, 30, 60_000)))
    kind = dice.choice((b"EXIF", b"XMP ", b"ICCP", b"what", b"\0\0\0\0", b"JUNK"))
    return kind + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)


#: Tags that are pixels': see worker/images/cleaning/tiff.py. The rest is fair game, private ones too.
_TIFF_METADATA = (254, 255, 263, 269, 270, 271, 272, 274, 280, 281, 282, 283, 285, 296, 297, 305, 306, 315, 316, 700)
_TIFF_PRIVATE = (33432, 33723, 34377, 34665, 34675, 34853, 37724, 40965, 48129, 65000)


@cache
def tiff_original() -> Parts:
    data = pictures.saved(
        pictures.wavy_picture(48, 32), "TIFF", exif=_tiff_exif(), icc_profile=SRGB, software="a program", dpi=(72, 72)
    )
    (start,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, start)
    entries = [data[start + 2 + 12 * index : start + 14 + 12 * index] for index in range(count)]
    metadata = [entry for entry in entries if int.from_bytes(entry[:2], "little") in (*_TIFF_METADATA, *_TIFF_PRIVATE)]
    assert len(metadata) > 4
    pixels = b"".join(entry for entry in entries if entry not in metadata)
    return Parts(pixels, metadata, data, join=_tiff)


def _tiff_exif() -> Pillow.Exif:
    exif = pictures.exif_orientation(6)
    exif[0x010F] = "a camera"
    return exif


def _tiff(parts: Parts) -> bytes:
    data, entries = parts.tail, parts.head + b"".join(parts.parts)
    count = struct.pack("<H", len(entries) // 12)
    return data[:4] + struct.pack("<I", len(data)) + data[8:] + count + entries + struct.pack("<I", len(data) // 2)


def tiff_part(dice: random.Random) -> bytes:
    tag, kind = dice.choice((*_TIFF_METADATA, *_TIFF_PRIVATE, 0xBC01)), dice.choice((*range(20), 99))
    if (tag, kind) == (274, 3):
        kind = 4
    count = dice.choice((0, 1, 2, 4, 5, 100, 2**31, 2**32 - 1))
    return struct.pack("<HHI", tag, kind, count) + dice.randbytes(4)


TIFF_ORIENTATION = b"\x12\x01\x03\0"


class Format(NamedTuple):
    """A good file, a maker of metadata of any kind, and how many bytes of a part are its kind and its length."""

    original: Callable[[], Parts]
    new_part: Callable[[random.Random], bytes]
    head_bytes: int


FORMATS = {
    "JPEG": Format(jpeg_original, jpeg_part, 4),
    "PNG": Format(png_original, png_part, 8),
    "WebP": Format(webp_original, webp_part, 8),
    "TIFF": Format(tiff_original, tiff_part, 2),
}


def changed(made: Format, number: int) -> bytes:
    """Return the file with the change of that number."""
    original, new_part, head_bytes = made
    dice = random.Random(number)
    before = original()
    turns = next(part for part in before.parts if _may_turn(part))
    parts = [part for part in before.parts if part != turns]
    for _ in range(dice.randint(1, 4)):
        place = dice.randint(0, len(parts))
        how = dice.choice(("add", "add", "repeat", "shuffle", "remove", "damage"))
        if how == "add":
            parts.insert(place, new_part(dice))
        elif how == "repeat":
            parts[place:place] = [dice.choice(before.parts)] * dice.choice((1, 1, 70))
        elif how == "shuffle":
            dice.shuffle(parts)
        elif place < len(parts):
            parts[place : place + 1] = [] if how == "remove" else [_damaged(parts[place], head_bytes, dice)]
    # The first counts, so it goes before all that are of its kind.
    first_alike = next((place for place, part in enumerate(parts) if _may_turn(part)), len(parts))
    parts.insert(dice.randint(0, first_alike), turns)
    return before.join(Parts(before.head, parts, before.tail)) + dice.choice((b"", b"", dice.randbytes(9)))


def _may_turn(part: bytes) -> bool:
    return b"exif" in part[:12].lower() or part.startswith(TIFF_ORIENTATION)


def _damaged(part: bytes, start: int, dice: random.Random) -> bytes:
    """Return a part with other bytes in its content; its kind and its length stay, and a profile does."""
    if len(part) <= start or b"ICC" in part[:20]:
        return part
    content = bytearray(part)
    for _ in range(dice.choice((1, 3, 20))):
        content[dice.randrange(start, len(part))] = dice.randrange(256)
    return bytes(content)


def pixels(data: bytes) -> Image:
    return decode(data, limits=ImageLimits()).pixels


@pytest.mark.parametrize("name", FORMATS)
def test_whatever_becomes_of_a_files_metadata_its_pixels_stay_the_same(name: str) -> None:
    original = FORMATS[name].original()
    expected = pixels(original.join(original))
    assert expected.shape == (48, 32, 3), "the original lies on its side, and is turned"

    for number in range(CHANGES):
        data = changed(FORMATS[name], number)
        try:
            same = np.array_equal(pixels(data), expected)
        except ImageError as error:
            pytest.fail(f"{name} {number} is refused: {error}: {error.__cause__}")
        assert same, f"{name} {number} has other pixels"


@pytest.mark.parametrize("name", FORMATS)
def test_the_changes_are_many_and_always_the_same(name: str) -> None:
    files = [changed(FORMATS[name], number) for number in range(60)]

    assert len(set(files)) > 50
    assert files == [changed(FORMATS[name], number) for number in range(60)]


@pytest.mark.parametrize("name", ["JPEG", "PNG", "TIFF"])  # WebP's library takes all of them
def test_without_cleaning_the_changes_would_be_seen(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test above could fail: Pillow alone refuses some of these files, or shows them otherwise."""
    monkeypatch.setattr("worker.images.decoding.cleaned_photo", lambda data: Cleaned(data=data))
    original = FORMATS[name].original()
    expected = pixels(original.join(original))

    def is_the_same(number: int) -> bool:
        try:
            return np.array_equal(pixels(changed(FORMATS[name], number)), expected)
        except ImageError:
            return False

    assert not all(is_the_same(number) for number in range(CHANGES))
