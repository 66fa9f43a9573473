"""TIFF and HEIC files, which Chromium does not show, and BMP: what becomes of them is checked here alone."""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache

from PIL import Image as Pillow
from PIL import ImageCms

from tests import pictures, tiffs
from tests.formats import exifs
from tests.formats.corpus import MODES, File
from tests.formats.webps import CLEAR, PICTURE


@cache
def files() -> tuple[File, ...]:
    return tuple(_files())


def _files() -> Iterator[File]:
    for kind, group in (("TIFF", _tiffs()), ("HEIC", _heics()), ("BMP", _bmps())):
        for variant, data in group.items():
            yield File(kind, variant, data)


def _tiff(picture: Pillow.Image = PICTURE, **options: object) -> bytes:
    return pictures.pillow_bytes(picture, "TIFF", **options)


def _tiffs() -> dict[str, bytes]:
    made = {name: _tiff(PICTURE.convert(mode)) for mode, name in MODES.items()}
    made["16-bit grey"] = _tiff(PICTURE.convert("I").convert("I;16"))
    lab = ImageCms.profileToProfile(
        PICTURE, ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    assert lab is not None
    made["LAB"] = _tiff(lab)
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"):
        made[f"RGB, {compression.removeprefix('tiff_')}"] = _tiff(compression=compression)
    made["black and white, group 4 fax"] = _tiff(PICTURE.convert("1"), compression="group4")
    made["BigTIFF"] = _tiff(big_tiff=True)
    made["several pages"] = _tiff(save_all=True, append_images=[PICTURE.resize((60, 44))])
    made |= {f"orientation {number}": _tiff(exif=pictures.exif_orientation(number)) for number in range(1, 9)}
    made |= _tiffs_of_several_pictures()
    whole = _tiff(compression="tiff_lzw")
    made |= {f"cut at {share} %": whole[: len(whole) * share // 100] for share in (99, 75, 50, 5)}
    return made


def _tiffs_of_several_pictures() -> dict[str, bytes]:
    photo, small = pictures.from_pillow(PICTURE), pictures.from_pillow(PICTURE.resize((40, 30)))
    height, width = photo.shape[:2]
    jpeg = pictures.pillow_bytes(PICTURE, "JPEG", quality=95)
    preview = tiffs.picture(small, is_reduced=True)
    dng = tiffs.picture(small, is_reduced=True, DNG_VERSION=0x01040000)
    sensor = tiffs.sensor(width + 8, height + 4)
    whole = tiffs.jpeg_strip(width, height, jpeg)
    part = tiffs.jpeg_strip(40, 30, pictures.saved(small, "JPEG"))
    return {
        "preview before the photo": tiffs.tiff(preview, tiffs.picture(photo)),
        "preview above the photo": tiffs.tiff(replace(preview, below=[tiffs.picture(photo)])),
        "smaller copy below the photo": tiffs.tiff(replace(tiffs.picture(photo), below=[preview])),
        "camera raw (DNG) with a JPEG of full size": tiffs.tiff(replace(dng, below=[sensor, part, whole])),
        "camera raw (DNG) with a small JPEG": tiffs.tiff(replace(dng, below=[sensor, part])),
        "packed with JPEG 2000": tiffs.tiff(tiffs.picture(photo, COMPRESSION=34712)),
    }


def _heics() -> dict[str, bytes]:
    made = {"RGB": pictures.heic(PICTURE), "RGBA": pictures.heic(CLEAR), "grey": pictures.heic(PICTURE.convert("L"))}
    made |= {
        f"orientation {number}": pictures.heic(PICTURE, exif=b"Exif\0\0" + exifs.orientation(number))
        for number in range(1, 9)
    }
    made["several pictures, the second primary"] = pictures.heics(PICTURE.resize((60, 44)), PICTURE, primary=1)
    made |= {f"cut at {share} %": made["RGB"][: len(made["RGB"]) * share // 100] for share in (99, 75, 50, 5)}
    return made


def _bmps() -> dict[str, bytes]:
    made = {MODES[mode]: pictures.pillow_bytes(PICTURE.convert(mode), "BMP") for mode in ("1", "L", "P", "RGB", "RGBA")}
    made |= {f"cut at {share} %": made["RGB"][: len(made["RGB"]) * share // 100] for share in (99, 75, 50, 5)}
    return made
