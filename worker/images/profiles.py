"""ICC profiles made from the few numbers with which a file says what its colours mean.

A matrix and a curve are all that ICC.1:2022 wants of an RGB profile (8.3.3). Colours are adapted to the profile's own
white (D50) by the Bradford transform (annex E there), as other programs do that read these numbers.
"""

import struct
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

HEADER_BYTES: Final = 128
_BRADFORD: Final = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_D50: Final = np.array([0.9642, 1.0, 0.8249])
_D65: Final = (0.3127, 0.329)


class Chromaticities(NamedTuple):
    """Where white, red, green and blue are in CIE 1931 xy."""

    white: tuple[float, float]
    red: tuple[float, float]
    green: tuple[float, float]
    blue: tuple[float, float]


class Curve(NamedTuple):
    """From a stored value X to light, both 0 to 1: (a X + b)^g where X >= d, else c X (ICC's parametric curve 3)."""

    g: float
    a: float = 1.0
    b: float = 0.0
    c: float = 0.0
    d: float = 0.0


SRGB: Final = Chromaticities(_D65, (0.64, 0.33), (0.3, 0.6), (0.15, 0.06))
_NTSC: Final = Chromaticities((0.31, 0.316), (0.67, 0.33), (0.21, 0.71), (0.14, 0.08))
_PAL: Final = Chromaticities(_D65, (0.64, 0.33), (0.29, 0.6), (0.15, 0.06))
_SMPTE_C: Final = Chromaticities(_D65, (0.63, 0.34), (0.31, 0.595), (0.155, 0.07))
_BT_2020: Final = Chromaticities(_D65, (0.708, 0.292), (0.17, 0.797), (0.131, 0.046))
_DCI_P3: Final = Chromaticities((0.314, 0.351), (0.68, 0.32), (0.265, 0.69), (0.15, 0.06))
_DISPLAY_P3: Final = _DCI_P3._replace(white=_D65)
#: What displays make of video (ITU-R BT.1886), which is not the inverse of what cameras do.
_VIDEO: Final = Curve(2.4)
SRGB_CURVE: Final = Curve(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)

#: By their numbers in ITU-T H.273, tables 2 and 3. PQ and HLG are missing on purpose: they need a viewer's judgement of
#: how bright white is, so such pictures are shown as they are stored.
_PRIMARIES: Final = {
    1: SRGB,
    4: _NTSC,
    5: _PAL,
    6: _SMPTE_C,
    7: _SMPTE_C,
    9: _BT_2020,
    11: _DCI_P3,
    12: _DISPLAY_P3,
}
VIDEO_TRANSFERS: Final = (1, 6, 14, 15)
SRGB_TRANSFER: Final = 13
_CURVES: Final = {
    **dict.fromkeys(VIDEO_TRANSFERS, _VIDEO),
    4: Curve(2.2),
    5: Curve(2.8),
    8: Curve(1.0),
    SRGB_TRANSFER: SRGB_CURVE,
}


def is_profile(data: bytes) -> bool:
    """Return whether the data begins as an ICC profile does (ICC.1:2022, 7.2)."""
    return len(data) >= HEADER_BYTES + 4 and data[36:40] == b"acsp"


def coded_profile(primaries: int, transfer: int) -> bytes:
    """Return the profile of colours with these numbers of ITU-T H.273; nothing for those that none is made of."""
    chromaticities, curve = _PRIMARIES.get(primaries), _CURVES.get(transfer)
    return b"" if chromaticities is None or curve is None else matrix_profile(chromaticities, curve)


def matrix_profile(chromaticities: Chromaticities, curve: Curve) -> bytes:
    """Return a profile of RGB colours; nothing if the numbers make no sense."""
    matrix = _to_d50(chromaticities)
    if matrix is None:
        return b""
    xyz = [b"XYZ \0\0\0\0" + _fixed(column) for column in (_D50, *matrix.T)]
    curves = struct.pack(">4s4xHH", b"para", 3, 0) + _fixed(curve)
    contents = (*xyz, curves)
    starts = [HEADER_BYTES + 4 + 7 * 12 + sum(map(len, contents[:index])) for index in range(len(contents))]
    tags = zip((b"wtpt", b"rXYZ", b"gXYZ", b"bXYZ", b"rTRC", b"gTRC", b"bTRC"), (0, 1, 2, 3, 4, 4, 4), strict=True)
    table = b"".join(struct.pack(">4sII", name, starts[index], len(contents[index])) for name, index in tags)
    body = struct.pack(">I", 7) + table + b"".join(contents)
    head = struct.pack(">I4xI4s4s4s12x4s28x", HEADER_BYTES + len(body), 0x04300000, b"mntr", b"RGB ", b"XYZ ", b"acsp")
    return (head + _fixed(_D50)).ljust(HEADER_BYTES, b"\0") + body


def _to_d50(chromaticities: Chromaticities) -> NDArray[np.float64] | None:
    """Return the matrix from linear RGB to XYZ under D50."""
    if any(y <= 0 for _, y in chromaticities):
        return None
    white, *primaries = (np.array([x / y, 1.0, (1 - x - y) / y]) for x, y in chromaticities)
    columns = np.stack(primaries, axis=1)
    try:
        columns = columns * np.linalg.solve(columns, white)
        cone = _BRADFORD @ white
        adapted = np.linalg.solve(_BRADFORD, np.diag((_BRADFORD @ _D50) / cone) @ _BRADFORD @ columns)
    except np.linalg.LinAlgError:
        return None
    return adapted if np.isfinite(adapted).all() and np.abs(adapted).max() < 100 else None


def _fixed(numbers: "NDArray[np.float64] | Curve") -> bytes:
    """Return ICC's s15Fixed16Numbers."""
    return b"".join(struct.pack(">i", round(float(number) * 65536)) for number in numbers)
