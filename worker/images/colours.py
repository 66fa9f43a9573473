"""Colours that a profile describes -> sRGB.

A profile is applied if it is for the colours that the picture has, and changes something; one that is damaged or for
other colours is as none, as in browsers. Time is bounded: of a profile, only the curves, matrices and tables that
ICC.1:2022 has for all devices are kept. Its processing elements ("mpet"), of which a small file may name a million,
never get to the colour library.
"""

import struct
from collections.abc import Callable
from io import BytesIO
from typing import Final, cast

import numpy as np
from PIL import Image as Pillow
from PIL import ImageCms

from worker.images.profiles import HEADER_BYTES, is_profile

__all__ = ["Recolouring", "recolouring"]

#: From 8-bit RGB (or CMYK, for a picture in CMYK) to sRGB.
Recolouring = Callable[[Pillow.Image], Pillow.Image]

_MOST_TAGS, _TAG = 100, struct.Struct(">4sII")
_CLASSES: Final = (b"mntr", b"scnr", b"prtr", b"spac")
#: The types that each tag may have which is needed to go from the device's colours to others.
_CURVES, _TABLES, _XYZ = (b"curv", b"para"), (b"mft1", b"mft2", b"mAB "), (b"XYZ ",)
_NEEDED: Final = {
    **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC", b"kTRC"), _CURVES),
    **dict.fromkeys((b"rXYZ", b"gXYZ", b"bXYZ", b"wtpt"), _XYZ),
    **dict.fromkeys((b"A2B0", b"A2B1"), _TABLES),
}
#: A colour that changes by so much looks the same: sRGB's own profile comes in versions that differ by that.
_NO_CHANGE: Final = 1
_GREY_MODES: Final = ("1", "L", "LA", "La")


def recolouring(profile: bytes, mode: str) -> Recolouring | None:
    """Return how pictures of this Pillow mode become sRGB; None if they are, as far as this profile says."""
    space, plain = profile[16:20], _plain(profile)
    if not plain:
        return None
    try:
        if mode == "CMYK":
            return _transform(plain, "CMYK") if space == b"CMYK" else None
        if space == b"GRAY":
            return _from_grey(_transform(plain, "L")) if mode in _GREY_MODES or mode.startswith("I;16") else None
        transform = _transform(plain, "RGB") if space == b"RGB " else None
    except (OSError, ImageCms.PyCMSError):  # the colour library cannot read it
        return None
    return transform if transform is not None and _changes(transform) else None


def _plain(profile: bytes) -> bytes:
    """Return the profile with the needed tags alone; nothing if it is none, or not for colours of a device."""
    if not is_profile(profile) or profile[12:16] not in _CLASSES:
        return b""
    (count,) = struct.unpack_from(">I", profile, HEADER_BYTES)
    start = HEADER_BYTES + 4
    if count > _MOST_TAGS or start + count * _TAG.size > len(profile):
        return b""
    tags = [_TAG.unpack_from(profile, start + index * _TAG.size) for index in range(count)]
    needed = [tag for tag in tags if profile[tag[1] : tag[1] + 4] in _NEEDED.get(tag[0], ())]
    table = b"".join(_TAG.pack(*tag) for tag in needed).ljust(count * _TAG.size, b"\0")
    return (
        struct.pack(">I", len(profile))
        + profile[4:HEADER_BYTES]
        + struct.pack(">I", len(needed))
        + table
        + profile[start + len(table) :]
    )


def _transform(profile: bytes, mode: str) -> Recolouring:
    transform = ImageCms.buildTransform(
        ImageCms.ImageCmsProfile(BytesIO(profile)), ImageCms.createProfile("sRGB"), mode, "RGB"
    )
    return cast(Recolouring, transform.apply)


def _from_grey(transform: Recolouring) -> Recolouring:
    return lambda picture: transform(picture.getchannel(0))


def _changes(transform: Recolouring) -> bool:
    """Return whether any of 729 colours all over the cube becomes another one."""
    steps = np.linspace(0, 255, 9).round().astype(np.uint8)
    colours = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(27, 27, 3)
    changed = np.asarray(transform(Pillow.fromarray(colours)))
    return bool(np.abs(changed.astype(np.int16) - colours).max() > _NO_CHANGE)
