"""PNG files of every colour type, and with all that can hang on them (PNG specification, third edition)."""

import struct
import zlib
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from tests import pictures
from tests.formats import exifs, profiles
from tests.formats.corpus import File

SIGNATURE = b"\x89PNG\r\n\x1a\n"
RGB = pictures.wavy_picture(120, 88)
_GREY, _TRUE, _PALETTE, _GREY_ALPHA, _TRUE_ALPHA = 0, 2, 3, 4, 6
#: First column and row of Adam7's passes, and how far apart their columns and rows are.
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_KINDS = (
    *((_GREY, depth) for depth in (1, 2, 4, 8, 16)),
    *((_PALETTE, depth) for depth in (1, 2, 4, 8)),
    *((kind, depth) for kind in (_TRUE, _GREY_ALPHA, _TRUE_ALPHA) for depth in (8, 16)),
)
_NAMES = {_GREY: "grey", _TRUE: "RGB", _PALETTE: "palette", _GREY_ALPHA: "grey with alpha", _TRUE_ALPHA: "RGBA"}
Chunk = tuple[bytes, bytes]


def files() -> Iterator[File]:
    for variant, data in {**_encoded(), **_transparent(), **_described(), **_coloured(), **_damaged()}.items():
        yield File("PNG", variant, data)


def chunk(kind: bytes, body: bytes, *, checksum: int | None = None) -> bytes:
    crc = zlib.crc32(kind + body) if checksum is None else checksum
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", crc)


def png(
    kind: int = _TRUE,
    depth: int = 8,
    *,
    interlaced: bool = False,
    before: bytes = b"",
    between: bytes = b"",
    after: bytes = b"",
    packed: Callable[[bytes], bytes] = zlib.compress,
) -> bytes:
    """Return a PNG of that colour type and depth, with more chunks before the palette, the pixels, and the end."""
    samples = _samples(kind, depth)
    height, width = samples.shape[:2]
    passes = _PASSES if interlaced else ((0, 0, 1, 1),)
    rows = b"".join(
        b"\0" + _packed_row(row, depth)
        for left, top, across, down in passes
        for row in samples[top::down, left::across]
        if row.size
    )
    palette = chunk(b"PLTE", _palette(depth)) if kind == _PALETTE else b""
    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, interlaced)
    pixels = chunk(b"IDAT", packed(rows))
    return SIGNATURE + chunk(b"IHDR", header) + before + palette + between + pixels + after + chunk(b"IEND", b"")


def _samples(kind: int, depth: int) -> NDArray[np.uint16]:
    """Return samples (height, width, channels) of this depth."""
    scale = (1 << depth) - 1
    grey = RGB.mean(axis=2, keepdims=True)
    alpha = np.linspace(0, 255, RGB.shape[1])[None, :, None].repeat(RGB.shape[0], axis=0)
    values = {
        _GREY: grey,
        _TRUE: RGB,
        _PALETTE: grey,
        _GREY_ALPHA: np.concatenate([grey, alpha], axis=2),
        _TRUE_ALPHA: np.concatenate([RGB, alpha], axis=2),
    }[kind]
    return np.rint(values / 255 * scale).astype(np.uint16)


def _packed_row(row: NDArray[np.uint16], depth: int) -> bytes:
    if depth == 16:
        return row.astype(">u2").tobytes()
    if depth == 8:
        return row.astype(np.uint8).tobytes()
    bits = np.unpackbits(row.astype(np.uint8).reshape(-1, 1), axis=1)[:, 8 - depth :]
    return np.packbits(bits.reshape(-1)).tobytes()


def _palette(depth: int) -> bytes:
    count = 1 << depth
    return b"".join(bytes((index * 255 // (count - 1), 200 - index * 200 // count, 90)) for index in range(count))


def _encoded() -> dict[str, bytes]:
    made = {}
    for kind, depth in _KINDS:
        for interlaced in (False, True):
            variant = f"{_NAMES[kind]}, {depth} bits{', interlaced' if interlaced else ''}"
            made[variant] = png(kind, depth, interlaced=interlaced)
    made["pixels in many chunks"] = _in_chunks(png(), 50)
    made["empty chunks of pixels"] = _in_chunks(png(), 5000, empty=3)
    made["not compressed"] = png(packed=lambda rows: zlib.compress(rows, 0))
    frames = [Pillow.fromarray(np.roll(RGB, shift, axis=1)) for shift in (0, 40)]
    options = {"save_all": True, "append_images": frames[1:], "duration": 60_000}
    made["animated"] = pictures.pillow_bytes(frames[0], "PNG", **options)
    made["animated, with a picture before the animation"] = pictures.pillow_bytes(
        frames[1], "PNG", **options, default_image=True
    )
    made["animation of no frames"] = png(before=chunk(b"acTL", bytes(8)))
    made["animation whose frames are damaged"] = png(
        before=chunk(b"acTL", struct.pack(">II", 2, 0)), after=chunk(b"fcTL", bytes(26)) + chunk(b"fdAT", bytes(9))
    )
    return made


def _in_chunks(data: bytes, size: int, *, empty: int = 0) -> bytes:
    start = data.index(b"IDAT") - 4
    (length,) = struct.unpack_from(">I", data, start)
    body, rest = data[start + 8 : start + 8 + length], data[start + 12 + length :]
    parts = [chunk(b"IDAT", b"")] * empty + [chunk(b"IDAT", body[at : at + size]) for at in range(0, length, size)]
    return data[:start] + b"".join(parts) + rest


def _transparent() -> dict[str, bytes]:
    return {
        "grey with a transparent value": png(between=chunk(b"tRNS", struct.pack(">H", 128)), kind=_GREY),
        "1-bit grey with a transparent value": png(_GREY, 1, between=chunk(b"tRNS", b"\0\1")),
        "16-bit grey with a transparent value": png(_GREY, 16, between=chunk(b"tRNS", struct.pack(">H", 0x8080))),
        "RGB with a transparent colour": png(between=chunk(b"tRNS", struct.pack(">3H", *map(int, RGB[0, 0])))),
        "palette with transparency": png(_PALETTE, 8, between=chunk(b"tRNS", bytes(range(256)))),
        "palette with transparency for its first colours": png(_PALETTE, 4, between=chunk(b"tRNS", b"\0\x80")),
        "transparency longer than its palette": png(_PALETTE, 2, between=chunk(b"tRNS", bytes(range(0, 200, 10)))),
        "transparency of no length": png(between=chunk(b"tRNS", b"")),
        "transparency beside alpha": png(_TRUE_ALPHA, between=chunk(b"tRNS", bytes(6))),
        "interlaced palette with transparency": png(
            _PALETTE, 8, interlaced=True, between=chunk(b"tRNS", bytes(range(256)))
        ),
    }


def _described() -> dict[str, bytes]:
    blocks = {f"EXIF orientation {number}": exifs.orientation(number) for number in range(1, 9)} | exifs.ODD
    made = {variant: png(before=chunk(b"eXIf", block)) for variant, block in blocks.items()}
    made["orientation in EXIF behind the pixels"] = png(after=chunk(b"eXIf", exifs.orientation(6)))
    made["orientation in XMP only"] = png(before=chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + exifs.XMP_ORIENTATION))
    raw = b"Exif\0\0" + exifs.orientation(6)
    raw_profile = f"Raw profile type exif\0\nexif\n{len(raw):8}\n{raw.hex()}".encode()
    made["orientation in a text chunk of ImageMagick"] = png(before=chunk(b"tEXt", raw_profile))
    made["1.5 MB of packed text"] = png(before=chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(1_500_000))))
    made["2 MB of XMP"] = png(before=chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + b" " * 2_000_000))
    made["text that is not packed as it says"] = png(before=chunk(b"zTXt", b"Comment\0\0garbage"))
    made["a wrong checksum in a text chunk"] = png(before=chunk(b"tEXt", b"Title\0words", checksum=1))
    made["a wrong checksum in a chunk of no known name"] = png(before=chunk(b"quIz", b"what", checksum=1))
    made["text without a name"] = png(before=chunk(b"tEXt", b"no zero byte in here"))
    made["physical size of no length"] = png(before=chunk(b"pHYs", b""))
    made["significant bits, background, time"] = png(
        before=chunk(b"sBIT", b"\5\6\5") + chunk(b"bKGD", bytes(6)) + chunk(b"tIME", bytes(7))
    )
    made["suggested palette"] = png(before=chunk(b"PLTE", _palette(8)))
    return made


def _coloured() -> dict[str, bytes]:
    def gamma(value: float) -> bytes:
        return chunk(b"gAMA", struct.pack(">I", round(value * 100_000)))

    def profile(data: bytes) -> bytes:
        return chunk(b"iCCP", b"profile\0\0" + zlib.compress(data))

    swapped = profiles.rgb_profile(profiles.SWAPPED)
    primaries = struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)
    return {
        "sRGB": png(before=chunk(b"sRGB", b"\0")),
        "gamma 1/2.2": png(before=gamma(0.45455)),
        "gamma 1": png(before=gamma(1.0)),
        "gamma 1 beside sRGB": png(before=gamma(1.0) + chunk(b"sRGB", b"\0")),
        "gamma 0": png(before=gamma(0)),
        "gamma cut short": png(before=chunk(b"gAMA", b"\0\1")),
        "gamma and the primaries of Display P3": png(before=gamma(0.45455) + chunk(b"cHRM", primaries)),
        "primaries of Display P3 alone": png(before=chunk(b"cHRM", primaries)),
        "primaries cut short": png(before=chunk(b"cHRM", primaries[:10])),
        "Display P3 by code (cICP)": png(before=chunk(b"cICP", bytes([12, 13, 0, 1]))),
        "sRGB by code (cICP)": png(before=chunk(b"cICP", bytes([1, 13, 0, 1]))),
        "sRGB profile": png(before=profile(profiles.rgb_profile(profiles.SRGB))),
        "Display P3 profile": png(before=profile(profiles.rgb_profile(profiles.DISPLAY_P3))),
        "profile that exchanges red and green": png(before=profile(swapped)),
        "the same, 16 bits": png(_TRUE, 16, before=profile(swapped)),
        "the same, with alpha": png(_TRUE_ALPHA, before=profile(swapped)),
        "the same, palette": png(_PALETTE, 8, before=profile(swapped)),
        "grey with a grey profile": png(_GREY, before=profile(profiles.grey_profile(gamma=1.0))),
        "grey with a profile for RGB": png(_GREY, before=profile(swapped)),
        "profile that is no profile": png(before=profile(b"this is not a profile" * 10)),
        "profile of 1.5 MB": png(before=profile(swapped + bytes(1_500_000))),
        "profile that is not packed": png(before=chunk(b"iCCP", b"profile\0\0" + swapped)),
        "profile with a wrong checksum": png(
            before=chunk(b"iCCP", b"profile\0\0" + zlib.compress(swapped), checksum=1)
        ),
        "profile and orientation": png(before=profile(swapped) + chunk(b"eXIf", exifs.orientation(6))),
    }


def _damaged() -> dict[str, bytes]:
    whole = png()
    start = whole.index(b"IDAT") + 4
    made = {
        "without its end chunk": whole[:-12],
        "bytes behind its end": whole + b"and more" * 100,
        "without the checksum of its pixels": whole[:-16],
        "a wrong checksum in its end chunk": whole[:-4] + bytes(4),
        "a wrong checksum in its pixels": whole[:-16] + bytes(4) + whole[-12:],
        "a wrong checksum in its header": whole[:29] + bytes(4) + whole[33:],
        "a wrong sum at the end of its pixels": png(packed=lambda rows: zlib.compress(rows)[:-4] + bytes(4)),
        "more pixels than its header says": png(packed=lambda rows: zlib.compress(rows + bytes(1000))),
        "fewer pixels than its header says": png(packed=lambda rows: zlib.compress(rows[: len(rows) // 2])),
        "a critical chunk of no known name": png(before=chunk(b"QUIZ", b"what")),
        "no palette": _without_palette(png(_PALETTE, 8)),
        "a palette that is too short": _with_short_palette(png(_PALETTE, 8)),
        "cut in its header": whole[:20],
    }
    for share in (99, 75, 50, 5):
        made[f"cut at {share} %"] = whole[: start + (len(whole) - start) * share // 100]
    return made


def _without_palette(data: bytes) -> bytes:
    start = data.index(b"PLTE") - 4
    return data[:start] + data[start + 12 + 3 * 256 :]


def _with_short_palette(data: bytes) -> bytes:
    start = data.index(b"PLTE") - 4
    return data[:start] + chunk(b"PLTE", _palette(8)[: 3 * 100]) + data[start + 12 + 3 * 256 :]
