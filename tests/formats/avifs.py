"""AVIF files, still and moving."""

from collections.abc import Iterator

import numpy as np
from PIL import Image as Pillow

from tests import pictures
from tests.formats import exifs, profiles
from tests.formats.corpus import File
from tests.formats.webps import CLEAR, PICTURE, RGB


def files() -> Iterator[File]:
    for variant, data in {**_encoded(), **_turned(), **_with_metadata(), **_damaged()}.items():
        yield File("AVIF", variant, data)


def _avif(picture: Pillow.Image = PICTURE, **options: object) -> bytes:
    return pictures.pillow_bytes(picture, "AVIF", **{"quality": 90, "speed": 10, **options})


def _encoded() -> dict[str, bytes]:
    made = {f"sampled {way}": _avif(subsampling=way) for way in ("4:2:0", "4:2:2", "4:4:4", "4:0:0")}
    made |= {f"{way} range": _avif(range=way) for way in ("full", "limited")}
    made |= {f"quality {quality}": _avif(quality=quality) for quality in (30, 60, 90, 100)}
    made["RGBA"] = _avif(CLEAR)
    made["RGBA, premultiplied"] = _avif(CLEAR, alpha_premultiplied=True)
    made["grey"] = _avif(PICTURE.convert("L"))
    made["of tiles"] = _avif(PICTURE.resize((600, 440)), tile_rows=1, tile_cols=1)
    for size in ((1, 1), (7, 5), (33, 95), (121, 89)):
        made[f"{size[0]} x {size[1]}"] = _avif(Pillow.fromarray(pictures.wavy_picture(*size)), subsampling="4:4:4")
    frames = [Pillow.fromarray(np.roll(RGB, shift, axis=1)) for shift in (0, 40)]
    made["animated"] = _avif(frames[0], save_all=True, append_images=frames[1:], duration=60_000)
    return made


def _turned() -> dict[str, bytes]:
    return {f"orientation {number}": _avif(exif=exifs.orientation(number)) for number in range(1, 9)}


def _with_metadata() -> dict[str, bytes]:
    swapped = profiles.rgb_profile(profiles.SWAPPED)
    return {
        "sRGB profile": _avif(icc_profile=profiles.rgb_profile(profiles.SRGB)),
        "Display P3 profile": _avif(icc_profile=profiles.rgb_profile(profiles.DISPLAY_P3)),
        "profile that exchanges red and green": _avif(icc_profile=swapped),
        "profile that is no profile": _avif(icc_profile=b"no profile" * 20),
        "XMP": _avif(xmp=exifs.XMP_ORIENTATION),
        "bytes behind its end": _avif() + b"and more" * 100,
        "a box of no known kind behind its end": _avif() + b"\0\0\0\x0cquizwhat",
    }


def _damaged() -> dict[str, bytes]:
    whole = _avif()
    made = {f"cut at {share} %": whole[: len(whole) * share // 100] for share in (99, 75, 50, 5)}
    made["a byte of its pixels changed"] = whole[:-200] + bytes([whole[-200] ^ 0x10]) + whole[-199:]
    return made
