"""JPEG files as cameras, programs and accidents make them."""

import struct
from collections.abc import Iterator

from PIL import Image as Pillow

from tests import pictures
from tests.formats import exifs, profiles
from tests.formats.corpus import MODES, File

PICTURE = Pillow.fromarray(pictures.wavy_picture(120, 88))
_APP0, _APP1, _APP2, _APP14, _COMMENT = 0xE0, 0xE1, 0xE2, 0xEE, 0xFE


def files() -> Iterator[File]:
    for variant, data in {**_encoded(), **_turned(), **_coloured(), **_with_metadata(), **_damaged()}.items():
        yield File("JPEG", variant, data)


def _jpeg(picture: Pillow.Image = PICTURE, **options: object) -> bytes:
    return pictures.pillow_bytes(picture, "JPEG", **{"quality": 92, **options})


def _encoded() -> dict[str, bytes]:
    made = {}
    for mode in ("RGB", "L", "CMYK"):
        for progressive in (False, True):
            kind = "progressive" if progressive else "baseline"
            made[f"{MODES[mode]}, {kind}"] = _jpeg(PICTURE.convert(mode), progressive=progressive)
    for subsampling in ("4:4:4", "4:2:2", "4:2:0"):
        for size in ((1, 1), (7, 5), (17, 16), (33, 95), (121, 89)):
            picture = Pillow.fromarray(pictures.wavy_picture(*size))
            made[f"{subsampling}, {size[0]} x {size[1]}"] = _jpeg(picture, subsampling=subsampling)
    for quality in (10, 50, 100):
        made[f"quality {quality}"] = _jpeg(quality=quality)
    made["optimized"] = _jpeg(optimize=True)
    made["restart markers"] = _jpeg(restart_marker_blocks=3)
    made["restart markers, progressive"] = _jpeg(restart_marker_rows=1, progressive=True)
    made["RGB that is not YCbCr"] = _jpeg(keep_rgb=True)
    frames = [PICTURE, PICTURE.resize((60, 44))]
    made["with a second picture (MPO)"] = pictures.pillow_bytes(
        frames[0], "MPO", save_all=True, append_images=frames[1:], quality=92
    )
    return made


def _turned() -> dict[str, bytes]:
    made = {f"EXIF orientation {number}": _with_exif(exifs.orientation(number)) for number in range(1, 9)}
    made |= {variant: _with_exif(block) for variant, block in exifs.ODD.items()}
    made["orientation in a second APP1 segment"] = _with(
        (_APP1, b"http://ns.adobe.com/xap/1.0/\0<x/>"), (_APP1, b"Exif\0\0" + exifs.orientation(6))
    )
    made["two EXIF segments that differ"] = _with(
        (_APP1, b"Exif\0\0" + exifs.orientation(6)), (_APP1, b"Exif\0\0" + exifs.orientation(3))
    )
    made["orientation in XMP only"] = _with((_APP1, b"http://ns.adobe.com/xap/1.0/\0" + exifs.XMP_ORIENTATION))
    made["EXIF before JFIF"] = _before_jfif((_APP1, b"Exif\0\0" + exifs.orientation(6)))
    made["CMYK with orientation 8"] = _jpeg(PICTURE.convert("CMYK"), exif=b"Exif\0\0" + exifs.orientation(8))
    return made


def _coloured() -> dict[str, bytes]:
    swapped, grey = profiles.rgb_profile(profiles.SWAPPED), profiles.grey_profile(gamma=1.0)
    made = {
        "sRGB profile": _jpeg(icc_profile=profiles.rgb_profile(profiles.SRGB)),
        "Display P3 profile": _jpeg(icc_profile=profiles.rgb_profile(profiles.DISPLAY_P3)),
        "Adobe RGB profile": _jpeg(icc_profile=profiles.rgb_profile(profiles.ADOBE_RGB)),
        "profile that exchanges red and green": _jpeg(icc_profile=swapped),
        "the same, progressive": _jpeg(icc_profile=swapped, progressive=True),
        "linear profile": _jpeg(icc_profile=profiles.rgb_profile(profiles.SRGB, gamma=1.0)),
        "grey with a grey profile": _jpeg(PICTURE.convert("L"), icc_profile=grey),
        "grey with a profile for RGB": _jpeg(PICTURE.convert("L"), icc_profile=swapped),
        "RGB with a profile for grey": _jpeg(icc_profile=grey),
        "CMYK with a profile for RGB": _jpeg(PICTURE.convert("CMYK"), icc_profile=swapped),
        "profile that is no profile": _jpeg(icc_profile=b"this is not a profile" * 10),
        "profile that is cut short": _jpeg(icc_profile=swapped[:200]),
        "profile in two segments": _with(*_profile_parts(swapped, 2)),
        "profile in two segments, the second first": _with(*reversed(_profile_parts(swapped, 2))),
        "profile whose second segment is missing": _with(_profile_parts(swapped, 2)[0]),
        "empty profile segment": _with((_APP2, b"ICC_PROFILE\0\1\1")),
    }
    made["profile and orientation"] = _jpeg(icc_profile=swapped, exif=b"Exif\0\0" + exifs.orientation(6))
    made["CMYK without Adobe's segment"] = _without(_jpeg(PICTURE.convert("CMYK")), _APP14)
    made["RGB without Adobe's segment"] = _without(_jpeg(keep_rgb=True), _APP14)
    made["Adobe's segment on YCbCr"] = _with((_APP14, b"Adobe\0\x64\0\0\0\0\1"))
    made["without JFIF"] = _without(_jpeg(), _APP0)
    return made


def _with_metadata() -> dict[str, bytes]:
    return {
        "comment": _jpeg(comment=b"a comment"),
        "JFIF of no length": _replaced_jfif(b""),
        "JFIF cut short": _replaced_jfif(b"JFIF\0\1"),
        "JFIF of no known version": _replaced_jfif(b"JFIF\0\x09\x09\0\0\0\0\0\0\0"),
        "JFIF that claims a thumbnail": _replaced_jfif(b"JFIF\0\1\1\0\0\1\0\1\xff\xff"),
        "JFXX with nothing in it": _with((_APP0, b"JFXX\0")),
        "Adobe's segment cut short": _with((_APP14, b"Adobe\0")),
        "many unknown segments": _with(*((0xE0 + number % 16, b"garbage" * 40) for number in range(3, 13))),
        "photoshop segment that is damaged": _with((0xED, b"Photoshop 3.0\0008BIM\x04\x04\0\0\xff\xff\xff\xff")),
        "MPF segment that is damaged": _with((_APP2, b"MPF\0II*\0\xff\xff\xff\xff")),
        "fill bytes before a marker": _jpeg()[:2] + b"\xff\xff\xff" + _jpeg()[2:],
        "bytes behind its end": _jpeg() + b"and more" * 100,
        "a whole second JPEG behind its end": _jpeg() + _jpeg(PICTURE.resize((30, 22))),
    }


def _damaged() -> dict[str, bytes]:
    whole, progressive = _jpeg(), _jpeg(progressive=True)
    made = {"without its end marker": whole[:-2], "progressive without its end marker": progressive[:-2]}
    for share in (99, 97, 90, 75, 50, 25, 5):
        made[f"cut at {share} %"] = _cut(whole, share)
        made[f"progressive cut at {share} %"] = _cut(progressive, share)
    scan = whole.index(b"\xff\xda") + 14
    middle = (scan + len(whole)) // 2
    made["a byte of its pixels changed"] = whole[:middle] + bytes([whole[middle] ^ 0x10]) + whole[middle + 1 :]
    made["zeros among its pixels"] = whole[:middle] + bytes(20) + whole[middle + 20 :]
    made["a marker among its pixels"] = whole[:middle] + b"\xff\xe5" + whole[middle + 2 :]
    made["cut in its header"] = whole[: scan - 20]
    return made


def _cut(data: bytes, share: int) -> bytes:
    """Return the file with this share (per cent) of its pixels' bytes."""
    scan = data.index(b"\xff\xda")
    return data[: scan + (len(data) - scan) * share // 100]


def segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def _with(*segments: tuple[int, bytes]) -> bytes:
    """Return the picture with these segments behind JFIF's."""
    data = _jpeg()
    end = 4 + int.from_bytes(data[4:6], "big")
    return data[:end] + b"".join(segment(*each) for each in segments) + data[end:]


def _before_jfif(*segments: tuple[int, bytes]) -> bytes:
    return _jpeg()[:2] + b"".join(segment(*each) for each in segments) + _jpeg()[2:]


def _with_exif(block: bytes) -> bytes:
    return _with((_APP1, b"Exif\0\0" + block))


def _replaced_jfif(content: bytes) -> bytes:
    data = _without(_jpeg(), _APP0)
    return data[:2] + segment(_APP0, content) + data[2:]


def _without(data: bytes, marker: int) -> bytes:
    start = data.index(bytes([0xFF, marker]))
    return data[:start] + data[start + 2 + int.from_bytes(data[start + 2 : start + 4], "big") :]


def _profile_parts(profile: bytes, count: int) -> list[tuple[int, bytes]]:
    size = -(-len(profile) // count)
    return [
        (_APP2, b"ICC_PROFILE\0" + bytes([number + 1, count]) + profile[number * size : (number + 1) * size])
        for number in range(count)
    ]
