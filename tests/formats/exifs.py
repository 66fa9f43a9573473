"""EXIF blocks made by hand, so that they can be as odd as those of the world."""

import struct

ORIENTATION = 0x0112
BYTE, ASCII, SHORT, LONG, RATIONAL = 1, 2, 3, 4, 5


def block(value: bytes, *, kind: int = SHORT, count: int = 1, order: str = "<") -> bytes:
    """Return a TIFF block whose one tag is the orientation, with these four bytes as its value."""
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    tag = struct.pack(order + "HHI", ORIENTATION, kind, count) + value.ljust(4, b"\0")
    return head + struct.pack(order + "H", 1) + tag + bytes(4)


def orientation(number: int, *, order: str = "<") -> bytes:
    """Return a block as cameras write it."""
    return block(struct.pack(order + "H", number), order=order)


#: Orientations that are not as cameras write them, by what is odd about them.
ODD = {
    "orientation 0": orientation(0),
    "orientation 9": orientation(9),
    "orientation as LONG": block(struct.pack("<I", 6), kind=LONG),
    "orientation as BYTE": block(b"\6", kind=BYTE),
    "orientation as ASCII": block(b"6\0", kind=ASCII, count=2),
    "orientation as RATIONAL": block(struct.pack("<I", 8), kind=RATIONAL),
    "orientation of two values": block(struct.pack("<HH", 6, 1), count=2),
    "orientation in a big-endian block": orientation(6, order=">"),
    "EXIF that ends in its directory": orientation(6)[:14],
    "EXIF that is no EXIF": b"this is not EXIF at all",
    "empty EXIF": b"",
}
XMP_ORIENTATION = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
)
