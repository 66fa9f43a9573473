"""A PNG without its metadata (Portable Network Graphics, third edition)."""

import struct
import zlib
from collections.abc import Iterator
from typing import Final

from worker.images.cleaning.result import MOST_EXIF_BYTES, MOST_PROFILE_BYTES, Cleaned, Parts, bounded, without_zlib
from worker.images.exif import orientation_of
from worker.images.profiles import SRGB, SRGB_CURVE, Chromaticities, Curve, coded_profile, is_profile, matrix_profile

_SIGNATURE_BYTES: Final = 8
#: Bytes of a chunk besides its content: length and kind before it, checksum behind it.
_HEAD_BYTES, _CHECKSUM_BYTES, _CHUNK_BYTES = 8, 4, 12
#: The bit in a chunk's first letter that says that a picture can be shown without it.
_ANCILLARY: Final = 0x20
#: Ancillary chunks that say what is transparent, what the colours mean, and the orientation. Others are not even read.
_READ: Final = (b"tRNS", b"eXIf", b"iCCP", b"cICP", b"sRGB", b"gAMA", b"cHRM")
_PALETTE: Final = 3
#: The bytes of the transparent colour, by colour type; of a palette, there is a byte for each of its colours.
_TRANSPARENT_BYTES: Final = {0: 2, 2: 6}
_RENDERING_INTENTS: Final = (b"\0", b"\1", b"\2", b"\3")
#: Gamma is taken within these bounds, in 1/100,000; beyond them it is a mistake.
_GAMMAS: Final = range(10_000, 1_000_001)
#: Encoders write 1/2.2 alone and mean sRGB, whose curve is near to that.
_GAMMAS_OF_SRGB: Final = range(45_000, 46_001)


def cleaned_png(data: bytes) -> Cleaned:
    """Return a PNG of its critical chunks and tRNS; without an animation's other frames.

    Other chunks count if their checksum is right, the first of each kind, and but for eXIf only before the pixels.
    """
    view = memoryview(data)  # the pixels are copied once
    kept: list[bytes | memoryview] = [view[:_SIGNATURE_BYTES]]
    others: dict[bytes, bytes] = {}
    bits, colour_type = _kind_of_pixels(data)
    has_pixels = False
    for kind, start, end in _chunks(data):
        is_metadata = kind in _READ and (kind == b"eXIf" or not has_pixels)
        if kind == b"IDAT" or kind in (b"IHDR", b"IEND"):
            kept.append(view[start:end])
            has_pixels = has_pixels or kind == b"IDAT"
        elif kind == b"PLTE" and not _is_right(data, start, end):
            kept.append(view[start:end])  # for the decoder to refuse
        elif (is_metadata or kind == b"PLTE") and kind not in others and _is_right(data, start, end):
            others[kind] = data[start + _HEAD_BYTES : end - _CHECKSUM_BYTES]
            if kind == b"PLTE" and colour_type == _PALETTE:
                kept.append(chunk(kind, _palette(others[kind], 2**bits)))
            if kind == b"tRNS":
                kept += _transparency(others, colour_type)
        elif kind.isalpha() and not kind[0] & _ANCILLARY and kind != b"PLTE":
            kept.append(view[start:end])  # critical, and nobody knows what it means
    exif = bounded(others.get(b"eXIf", b""), MOST_EXIF_BYTES)
    return Cleaned(
        data=b"".join(kept),
        exif=exif,
        orientation=orientation_of(exif),
        profile=_profile(others),
    )


def _palette(colours: bytes, count: int) -> bytes:
    """Return a palette of that many colours. A pixel beyond a shorter one has its last colour, as in browsers."""
    whole = colours[: min(len(colours) // 3, count) * 3]
    return whole + whole[-3:] * (count - len(whole) // 3)


def _transparency(chunks: dict[bytes, bytes], colour_type: int) -> list[bytes]:
    """Return the tRNS chunk, as long as it should be; none if it is too short or has nothing to say."""
    content = chunks[b"tRNS"]
    if colour_type == _PALETTE:
        content = content[: len(chunks.get(b"PLTE", b"")) // 3]
        return [chunk(b"tRNS", content)] if content else []
    length = _TRANSPARENT_BYTES.get(colour_type)
    return [] if length is None or len(content) < length else [chunk(b"tRNS", content[:length])]


def chunk(kind: bytes, content: bytes) -> bytes:
    """Return a chunk as it stands in a file, with its checksum."""
    checksum = zlib.crc32(content, zlib.crc32(kind))
    return b"".join((struct.pack(">I", len(content)), kind, content, struct.pack(">I", checksum)))


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield the kind, start and end of each chunk up to the last, which may be cut short."""
    parts, place = Parts(), _SIGNATURE_BYTES
    while place < len(data):
        length, kind = int.from_bytes(data[place : place + 4], "big"), data[place + 4 : place + 8]
        end = min(place + length + _CHUNK_BYTES, len(data))
        if kind != b"IDAT":
            parts.count()
        yield kind, place, end
        if kind == b"IEND":
            return
        place = end


def _is_right(data: bytes, start: int, end: int) -> bool:
    length = int.from_bytes(data[start : start + 4], "big")
    is_whole = end - start == length + _CHUNK_BYTES
    return is_whole and zlib.crc32(data[start + 4 : end - _CHECKSUM_BYTES]) == int.from_bytes(
        data[end - _CHECKSUM_BYTES : end], "big"
    )


def _kind_of_pixels(data: bytes) -> tuple[int, int]:
    """Return the bits per sample and the colour type."""
    return (data[24] & 15, data[25]) if data[12:16] == b"IHDR" and len(data) > 25 else (8, 0)


def _profile(chunks: dict[bytes, bytes]) -> bytes:
    """Return what the colours mean, in the standard's order of precedence (11.3.2.3); nothing for sRGB."""
    coded = chunks.get(b"cICP", b"")
    if len(coded) == 4 and coded[2:] == b"\0\1":  # RGB, full range
        profile = coded_profile(coded[0], coded[1])
        if profile:
            return profile
    packed = chunks.get(b"iCCP", b"").partition(b"\0")[2]
    if packed.startswith(b"\0"):
        profile = without_zlib(packed[1:], MOST_PROFILE_BYTES)
        if is_profile(profile):
            return profile
    if chunks.get(b"sRGB", b"") in _RENDERING_INTENTS:
        return b""
    return _measured_profile(chunks.get(b"gAMA", b""), chunks.get(b"cHRM", b""))


def _measured_profile(gamma: bytes, chromaticities: bytes) -> bytes:
    """Return the profile of a gamma, with sRGB's primaries if there are none; primaries alone say too little.

    As browsers do it: who says what the primaries are means the gamma, too, as it stands.
    """
    value = int.from_bytes(gamma, "big")
    if len(gamma) != 4 or value not in _GAMMAS:
        return b""
    primaries, curve = SRGB, SRGB_CURVE if value in _GAMMAS_OF_SRGB else Curve(100_000 / value)
    if len(chromaticities) == 32:
        numbers = [number / 100_000 for number in struct.unpack(">8I", chromaticities)]
        primaries = Chromaticities(*zip(numbers[::2], numbers[1::2], strict=True))
        curve = Curve(100_000 / value)
    return matrix_profile(primaries, curve)
