"""GIF files, still and moving (GIF89a specification)."""

import struct
from collections.abc import Iterator

import numpy as np
from PIL import Image as Pillow

from tests import pictures
from tests.formats.corpus import File

RGB = pictures.wavy_picture(120, 88)
PICTURE = Pillow.fromarray(RGB)


def files() -> Iterator[File]:
    for variant, data in {**_encoded(), **_animated(), **_with_metadata(), **_damaged()}.items():
        yield File("GIF", variant, data)


def _gif(picture: Pillow.Image = PICTURE, **options: object) -> bytes:
    return pictures.pillow_bytes(picture, "GIF", **options)


def _encoded() -> dict[str, bytes]:
    made = {f"{count} colours": _gif(PICTURE.quantize(count)) for count in (2, 3, 16, 100, 256)}
    made["grey"] = _gif(PICTURE.convert("L"))
    made["interlaced"] = _gif(interlace=True)
    made["not interlaced"] = _gif(interlace=False)
    made["a transparent colour"] = _gif(PICTURE.quantize(16), transparency=3)
    made["a transparent colour, interlaced"] = _gif(PICTURE.quantize(16), transparency=3, interlace=True)
    for size in ((1, 1), (7, 5), (33, 95), (121, 89)):
        made[f"{size[0]} x {size[1]}"] = _gif(Pillow.fromarray(pictures.wavy_picture(*size)))
    made["of 1987"] = b"GIF87a" + _gif()[6:]
    made["a palette of its frame's own"] = _with_local_palette(_gif(PICTURE.quantize(256)))
    made["no palette at all"] = _without_palette(_gif(PICTURE.quantize(256)))
    return made


def _animated() -> dict[str, bytes]:
    frames = [Pillow.fromarray(np.roll(RGB, shift, axis=1)) for shift in (0, 40)]
    moving = {"save_all": True, "duration": 60_000}
    blank = Pillow.new("RGBA", (120, 88), (0, 0, 0, 0))
    whole = _gif(PICTURE.quantize(16))
    return {
        "animated": _gif(frames[0], append_images=frames[1:], **moving),
        "animated, its first frame blank": _gif(blank, append_images=frames, **moving, disposal=2),
        "a screen larger than its frame": whole[:6] + struct.pack("<HH", 200, 150) + whole[10:],
        "a screen smaller than its frame": whole[:6] + struct.pack("<HH", 60, 50) + whole[10:],
        "a screen of no size": whole[:6] + bytes(4) + whole[10:],
        "a frame that does not begin at the corner": _moved(whole, 30, 20),
    }


def _moved(data: bytes, left: int, top: int) -> bytes:
    """Return the file with its frame elsewhere on a larger screen."""
    start = _frame(data)
    moved = data[: start + 1] + struct.pack("<HH", left, top) + data[start + 5 :]
    return moved[:6] + struct.pack("<HH", 200, 150) + moved[10:]


def _frame(data: bytes) -> int:
    """Return where the frame's descriptor begins."""
    return data.index(b"\x2c" + bytes(4) + struct.pack("<HH", 120, 88))


def _with_local_palette(data: bytes) -> bytes:
    palette, start = data[13 : 13 + 768], _frame(data)
    without = data[:10] + b"\0" + data[11:13] + data[13 + 768 : start + 9]
    return without + bytes([data[start + 9] | 0x87]) + palette + data[start + 10 :]


def _without_palette(data: bytes) -> bytes:
    return data[:10] + b"\0" + data[11:13] + data[13 + 768 :]


def _with_metadata() -> dict[str, bytes]:
    whole = _gif(PICTURE.quantize(16))
    end = 13 + 3 * 16

    def with_extension(extension: bytes) -> bytes:
        return whole[:end] + extension + whole[end:]

    return {
        "comment": _gif(comment=b"a comment"),
        "comment of 100 KB": with_extension(b"!\xfe" + (b"\xff" + b"c" * 255) * 400 + b"\0"),
        "extension of no known kind": with_extension(b"!\x77\4what\0"),
        "extension of an application": with_extension(b"!\xff\x0bXMP DataXMP\4what\0"),
        "control extension of the wrong length": with_extension(b"!\xf9\2\0\0\0"),
        "plain text extension": with_extension(b"!\x01\x0c" + bytes(12) + b"\4what\0"),
        "bytes behind its end": whole + b"and more" * 100,
    }


def _damaged() -> dict[str, bytes]:
    whole = _gif(PICTURE.quantize(16))
    made = {
        "without its end": whole[:-1],
        "without the end of its frame": whole[:-2],
        "a byte of its pixels changed": whole[:-900] + bytes([whole[-900] ^ 0x10]) + whole[-899:],
        "cut in its header": whole[:9],
    }
    for share in (99, 90, 75, 50, 5):
        made[f"cut at {share} %"] = whole[: len(whole) * share // 100]
    return made
