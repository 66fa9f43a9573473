"""WebP files, lossy and lossless, still and moving (WebP container specification)."""

import struct
from collections.abc import Iterator

import numpy as np
from PIL import Image as Pillow

from tests import pictures
from tests.formats import exifs, profiles
from tests.formats.corpus import File

RGB = pictures.wavy_picture(120, 88)
PICTURE = Pillow.fromarray(RGB)
#: Less and less transparent from left to right.
CLEAR = Pillow.fromarray(
    np.concatenate([RGB, np.linspace(0, 255, 120).astype(np.uint8)[None, :, None].repeat(88, axis=0)], axis=2)
)


def files() -> Iterator[File]:
    for variant, data in {**_encoded(), **_turned(), **_with_metadata(), **_animated(), **_damaged()}.items():
        yield File("WebP", variant, data)


def _webp(picture: Pillow.Image = PICTURE, **options: object) -> bytes:
    return pictures.pillow_bytes(picture, "WEBP", **{"quality": 90, **options})


def chunk(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)


def _riff(body: bytes) -> bytes:
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def _extended(*chunks: bytes, flags: int, size: tuple[int, int] = (120, 88)) -> bytes:
    """Return the lossy picture among more chunks: all of them behind it, but for a profile."""
    width, height = (struct.pack("<I", side - 1)[:3] for side in size)
    header = chunk(b"VP8X", bytes([flags, 0, 0, 0]) + width + height)
    before = b"".join(each for each in chunks if each.startswith(b"ICCP"))
    after = b"".join(each for each in chunks if not each.startswith(b"ICCP"))
    return _riff(header + before + _webp()[12:] + after)


_HAS_XMP, _HAS_EXIF, _HAS_PROFILE = 4, 8, 32


def _encoded() -> dict[str, bytes]:
    made = {"lossless": _webp(lossless=True), "RGBA": _webp(CLEAR), "RGBA, lossless": _webp(CLEAR, lossless=True)}
    made["grey"] = _webp(PICTURE.convert("L"))
    for quality in (10, 50, 100):
        made[f"quality {quality}"] = _webp(quality=quality)
    for size in ((1, 1), (7, 5), (33, 95), (121, 89)):
        made[f"{size[0]} x {size[1]}"] = _webp(Pillow.fromarray(pictures.wavy_picture(*size)))
    return made


def _turned() -> dict[str, bytes]:
    made = {
        f"EXIF orientation {number}": _extended(chunk(b"EXIF", exifs.orientation(number)), flags=_HAS_EXIF)
        for number in range(1, 9)
    }
    made["orientation in EXIF with JPEG's prefix"] = _extended(
        chunk(b"EXIF", b"Exif\0\0" + exifs.orientation(6)), flags=_HAS_EXIF
    )
    made["EXIF that its header does not announce"] = _extended(chunk(b"EXIF", exifs.orientation(6)), flags=0)
    made["EXIF that its header announces and that is not there"] = _extended(flags=_HAS_EXIF)
    made["orientation in XMP only"] = _extended(chunk(b"XMP ", exifs.XMP_ORIENTATION), flags=_HAS_XMP)
    made |= {
        variant: _extended(chunk(b"EXIF", block), flags=_HAS_EXIF) for variant, block in exifs.ODD.items() if block
    }
    made["RGBA with orientation 8"] = _webp(CLEAR, exif=exifs.orientation(8))
    return made


def _with_metadata() -> dict[str, bytes]:
    swapped = profiles.rgb_profile(profiles.SWAPPED)
    return {
        "Display P3 profile": _webp(icc_profile=profiles.rgb_profile(profiles.DISPLAY_P3)),
        "profile that exchanges red and green": _webp(icc_profile=swapped),
        "the same, lossless": _webp(icc_profile=swapped, lossless=True),
        "profile that is no profile": _extended(chunk(b"ICCP", b"no profile" * 20), flags=_HAS_PROFILE),
        "profile for grey": _webp(icc_profile=profiles.grey_profile(gamma=1.0)),
        "profile that its header does not announce": _extended(chunk(b"ICCP", swapped), flags=0),
        "chunk of no known name": _extended(chunk(b"QUIZ", b"what"), flags=0),
        "XMP of 2 MB": _extended(chunk(b"XMP ", b" " * 2_000_000), flags=_HAS_XMP),
        "bytes behind its end": _webp() + b"and more" * 100,
    }


def _animated() -> dict[str, bytes]:
    frames = [Pillow.fromarray(np.roll(RGB, shift, axis=1)) for shift in (0, 40)]
    blank = Pillow.new("RGBA", (120, 88), (0, 0, 0, 0))
    return {
        "animated": _webp(frames[0], save_all=True, append_images=frames[1:], duration=60_000),
        "animated, lossless": _webp(frames[0], save_all=True, append_images=frames[1:], duration=60_000, lossless=True),
        "animated, transparent": _webp(CLEAR, save_all=True, append_images=frames[1:], duration=60_000),
        "animated, its first frame blank": _webp(blank, save_all=True, append_images=frames, duration=60_000),
    }


def _damaged() -> dict[str, bytes]:
    whole = _webp()
    made = {
        "a size that is too small in its header": whole[:4] + struct.pack("<I", 100) + whole[8:],
        "a size that is too large in its header": whole[:4] + struct.pack("<I", len(whole) * 2) + whole[8:],
        "a canvas of another size than its picture": _extended(flags=0, size=(64, 64)),
        "a byte of its pixels changed": whole[:-200] + bytes([whole[-200] ^ 0x10]) + whole[-199:],
        "cut in its header": whole[:20],
    }
    for share in (99, 75, 50, 5):
        made[f"cut at {share} %"] = whole[: len(whole) * share // 100]
        lossless = _webp(lossless=True)
        made[f"lossless cut at {share} %"] = lossless[: len(lossless) * share // 100]
    return made
