"""Colour profiles made by hand (ICC.1:2010), small and exact."""

import struct

#: Red, green and blue as XYZ columns adapted to D50, and each channel's gamma.
Matrix = tuple[tuple[float, float, float], tuple[float, float, float], tuple[float, float, float]]
SRGB: Matrix = ((0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141))
DISPLAY_P3: Matrix = ((0.5151, 0.2412, -0.0011), (0.2920, 0.6922, 0.0419), (0.1571, 0.0666, 0.7841))
ADOBE_RGB: Matrix = ((0.6097, 0.3111, 0.0195), (0.2053, 0.6257, 0.0609), (0.1492, 0.0632, 0.7446))
#: Green and red are exchanged: whoever ignores the profile is far off.
SWAPPED: Matrix = (SRGB[1], SRGB[0], SRGB[2])


def rgb_profile(matrix: Matrix, *, gamma: float = 2.2) -> bytes:
    colours = {name: _xyz(*column) for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), matrix, strict=True)}
    curves = {name: _curve(gamma) for name in (b"rTRC", b"gTRC", b"bTRC")}
    return _profile(b"RGB ", colours | curves)


def grey_profile(*, gamma: float) -> bytes:
    return _profile(b"GRAY", {b"kTRC": _curve(gamma)})


def _profile(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    tags = {b"desc": _description(), b"wtpt": _xyz(0.9642, 1.0, 0.8249), **tags}
    start = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for name, value in tags.items():
        table += name + struct.pack(">II", start + len(body), len(value))
        body += value + bytes(-len(value) % 4)
    head = struct.pack(">I4sI4s4s4s", start + len(body), bytes(4), 0x02400000, b"mntr", space, b"XYZ ")
    head += struct.pack(">6H4s", 2024, 1, 1, 0, 0, 0, b"acsp") + bytes(28) + _fixed(0.9642, 1.0, 0.8249)
    return head.ljust(128, b"\0") + table + body


def _fixed(*values: float) -> bytes:
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def _xyz(*values: float) -> bytes:
    return b"XYZ " + bytes(4) + _fixed(*values)


def _curve(gamma: float) -> bytes:
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)


def _description() -> bytes:
    return b"desc" + bytes(4) + struct.pack(">I", 5) + b"test\0" + bytes(4 + 4 + 2 + 1 + 67)
