"""A picture takes no more memory than is reserved for it, whatever its format."""

import multiprocessing
import subprocess
import sys
import zlib
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

import pillow_heif
import psutil
import pytest
from PIL import Image as Pillow

from tests import pictures
from worker.errors import ImageError
from worker.images.cleaning.jpeg import has_more_scans
from worker.images.decoding import ImageLimits, bytes_to_decode, decode

SIDE = 2200
#: What the allocator and the decoders take beside the pixels, in bytes.
NOISE = 7_000_000
Maker = Callable[[], bytes]


def _saved(file_format: str, mode: str, **options: object) -> bytes:
    return pictures.pillow_bytes(Pillow.new(mode, (SIDE, SIDE)), file_format, **options)


def _heic(mode: str, bytes_per_channel: int) -> bytes:
    content = bytes(SIDE * SIDE * len(mode) * bytes_per_channel)
    name = mode if bytes_per_channel == 1 else f"{mode};16"
    file = pictures.BytesIO()
    pillow_heif.from_bytes(mode=name, size=(SIDE, SIDE), data=content).save(file, quality=50, chroma="444")
    return file.getvalue()


def _gif_with_a_smaller_frame() -> bytes:
    """Return a GIF whose frame leaves a row and a column of its screen empty."""
    file = bytearray(pictures.pillow_bytes(Pillow.new("P", (SIDE - 1, SIDE - 1)), "GIF"))
    file[6:10] = SIDE.to_bytes(2, "little") * 2
    return bytes(file)


def _tiff_of_16_bits_in_one_strip() -> bytes:
    """Return a deflated RGBA TIFF, which Pillow cannot write."""
    strip = zlib.compress(bytes(SIDE * SIDE * 8))
    values = [(256, SIDE), (257, SIDE), (258, 0), (259, 8), (262, 2), (273, 0), (277, 4), (278, SIDE)]
    values += [(279, len(strip)), (338, 2)]
    bits_at = 10 + len(values) * 12 + 4
    entries = b""
    for tag, value in values:
        count = 4 if tag == 258 else 1
        shown = {258: bits_at, 273: bits_at + 8}.get(tag, value)
        kind = 3 if tag == 258 else 4
        entries += tag.to_bytes(2, "little") + kind.to_bytes(2, "little")
        entries += count.to_bytes(4, "little") + shown.to_bytes(4, "little")
    head = b"II*\0" + (8).to_bytes(4, "little") + len(values).to_bytes(2, "little")
    return head + entries + bytes(4) + (16).to_bytes(2, "little") * 4 + strip


KINDS: dict[str, Maker] = {
    "JPEG": partial(_saved, "JPEG", "RGB", subsampling=0),
    "JPEG in CMYK": partial(_saved, "JPEG", "CMYK"),
    "progressive JPEG": partial(_saved, "JPEG", "RGB", progressive=True, subsampling=0),
    "progressive JPEG in CMYK": partial(_saved, "JPEG", "CMYK", progressive=True),
    "PNG": partial(_saved, "PNG", "RGBA"),
    "GIF": _gif_with_a_smaller_frame,
    "TIFF": partial(_saved, "TIFF", "RGB", compression="tiff_deflate"),
    "TIFF with 16 bits": _tiff_of_16_bits_in_one_strip,
    "WebP": partial(_saved, "WEBP", "RGBA", method=0),
    "lossless WebP": partial(_saved, "WEBP", "RGBA", lossless=True, method=0),
    "AVIF": partial(_saved, "AVIF", "RGBA", speed=10, subsampling="4:4:4"),
    "HEIC": partial(_heic, "RGBA", 1),
    "HEIC with 10 bits": partial(_heic, "RGBA", 2),
}


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of a process' memory is known on Linux only")
def test_no_format_takes_more_than_is_reserved_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALLOC_MMAP_THRESHOLD_", "65536")  # so that nothing large is kept from the file before
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_decode_all, args=(there, [(name, make()) for name, make in KINDS.items()]))
    process.start()
    there.close()
    found: dict[str, tuple[int, int]] = here.recv()
    process.join()
    shares = {name: taken / reserved for name, (taken, reserved) in found.items()}
    print({name: round(share, 2) for name, share in shares.items()})
    assert shares.keys() == KINDS.keys()
    for name, (taken, reserved) in found.items():
        assert taken < reserved + NOISE, name
        assert taken > reserved * 0.5, f"{name}: far too much is reserved"


def _decode_all(pipe: Connection, files: list[tuple[str, bytes]]) -> None:
    process, found = psutil.Process(), {}
    for name, data in files:
        decode(data, limits=ImageLimits())  # loads what the format needs
        Path("/proc/self/clear_refs").write_text("5")  # the peak is what there is now: proc(5)
        before = process.memory_info().rss
        decode(data, limits=ImageLimits())
        peak = int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) * 1024
        found[name] = (peak - before, bytes_to_decode(data, limits=ImageLimits()))
    pipe.send(found)


def test_the_header_says_how_much_memory_is_needed() -> None:
    data = pictures.pillow_bytes(Pillow.new("RGB", (640, 480)), "PNG")
    assert bytes_to_decode(data, limits=ImageLimits()) == 7 * 640 * 480
    tiles = pictures.tiff_with_tiles(16, tile_side_pixels=1024)
    assert bytes_to_decode(tiles, limits=ImageLimits()) == 12 * 1024 * 1024, "a tile is decoded whole"


def test_scans_are_counted() -> None:
    assert not has_more_scans(_saved("JPEG", "RGB"), 1)
    assert has_more_scans(_saved("JPEG", "RGB", progressive=True), 1)


def test_a_picture_of_a_costly_kind_is_refused_where_a_cheap_one_is_taken() -> None:
    limits = ImageLimits(max_decoded_bytes=8 * 64 * 64)
    assert decode(pictures.pillow_bytes(Pillow.new("RGB", (64, 64)), "PNG"), limits=limits).format == "PNG"
    for reads in (decode, bytes_to_decode):
        with pytest.raises(ImageError, match="one of its kind takes") as caught:
            reads(pictures.pillow_bytes(Pillow.new("RGB", (64, 64)), "WEBP"), limits=limits)
        assert caught.value.code == "image_too_large"


@pytest.mark.parametrize("name", [name for name in KINDS if name != "HEIC with 10 bits"])
def test_a_hundred_megapixels_fit_into_the_memory_for_pictures_in_every_usual_format(name: str) -> None:
    needed = bytes_to_decode(KINDS[name](), limits=ImageLimits())
    assert needed * (100_000_000 / SIDE**2) <= ImageLimits().max_decoded_bytes


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")  # pytest sets its own filters
def test_a_photo_of_more_than_a_hundred_megapixels_is_refused() -> None:
    with pytest.raises(ImageError) as caught:
        bytes_to_decode(pictures.huge_png(10_001), limits=ImageLimits())
    assert caught.value.code == "image_too_large"


def test_a_large_photo_leaves_no_warning_in_the_log() -> None:
    code = (
        "import sys; from worker.images.decoding import ImageLimits, bytes_to_decode; "
        "print(bytes_to_decode(sys.stdin.buffer.read(), limits=ImageLimits()))"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, input=pictures.huge_png(10_000), capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"700000000\n", b"")
