"""Pictures for tests: those that come with installed packages, loaded by path, and small ones made here.

No copy of a photo is committed. Pictures are BGR uint8, as the worker sees them, unless bytes are asked for.
"""

import struct
import zlib
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pillow_heif
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageEnhance

from worker.recognition.alignment import ARCFACE
from worker.recognition.interfaces import Crop, Image

#: Path of each sample below its package.
_SAMPLES = {
    "astronaut": ("skimage", "data/astronaut.png"),
    "chelsea": ("skimage", "data/chelsea.png"),  # a cat
    "coffee": ("skimage", "data/coffee.png"),
    "rocket": ("skimage", "data/rocket.jpg"),
    "six_people": ("insightface", "data/images/t1.jpg"),
    "tom_hanks": ("insightface", "data/images/Tom_Hanks_54745.png"),
    "mask_black": ("insightface", "data/images/mask_black.jpg"),
    "mask_blue": ("insightface", "data/images/mask_blue.jpg"),
    "mask_green": ("insightface", "data/images/mask_green.jpg"),
    "mask_white": ("insightface", "data/images/mask_white.jpg"),
}
#: The sample with one portrait, by the name of its file, and the region with the portrait: left, top, right, bottom.
PORTRAIT = "astronaut.png"
_PORTRAIT_REGION = (120, 0, 360, 260)
LFW_FACES = 100


def package_file(package: str, path: str) -> Path:
    """Return the path of a file of an installed package, without importing the package."""
    spec = find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / path


def sample_file(name: str) -> Path:
    return package_file(*_SAMPLES[name])


def sample_bytes(name: str) -> bytes:
    return sample_file(name).read_bytes()


def sample(name: str) -> Image:
    return from_pillow(Pillow.open(sample_file(name)))


def sample_files() -> dict[str, bytes]:
    """Return the samples by the names of their files: portraits, a group, and pictures without a face."""
    return {sample_file(name).name: sample_bytes(name) for name in _SAMPLES}


def edited_portrait() -> bytes:
    """Return the portrait as a JPEG: cropped, rotated a little, darkened, with more contrast, and recompressed."""
    whole = Pillow.open(sample_file("astronaut")).convert("RGB")
    turned = whole.rotate(4, resample=Pillow.Resampling.BICUBIC, center=(225, 120))
    portrait = turned.crop(_PORTRAIT_REGION).resize((300, 325), Pillow.Resampling.LANCZOS)
    darkened = ImageEnhance.Brightness(portrait).enhance(0.8)
    return pillow_bytes(ImageEnhance.Contrast(darkened).enhance(1.2), "JPEG", quality=60)


def lfw_crops(*, side_pixels: int = ARCFACE.side_pixels) -> list[Crop]:
    """Return the 100 LFW faces that scikit-image ships (25 x 25, grey), magnified to aligned crops."""
    faces = np.load(package_file("skimage", "data/lfw_subset.npy"))[:LFW_FACES]
    grey = np.rint(faces * 255).clip(0, 255).astype(np.uint8)
    side = (side_pixels, side_pixels)
    return [cv2.cvtColor(cv2.resize(face, side, interpolation=cv2.INTER_CUBIC), cv2.COLOR_GRAY2BGR) for face in grey]


def pasted(crop: Image, *, canvas_pixels: int = 224) -> Image:
    """Return the crop in the middle of a canvas that goes on in the colours of its border."""
    margin = (canvas_pixels - crop.shape[0]) // 2
    return cv2.copyMakeBorder(crop, margin, margin, margin, margin, cv2.BORDER_REPLICATE)


def varied(
    image: Image,
    *,
    degrees: float = 0.0,
    shift: tuple[float, float] = (0.0, 0.0),
    light: float = 1.0,
    contrast: float = 1.0,
    jpeg_quality: int | None = None,
) -> Image:
    """Return the picture turned about its middle, moved (pixels), relit (factors) and saved as JPEG."""
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1.0)
    matrix[:, 2] += shift
    turned = cv2.warpAffine(image, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE).astype(np.float32)
    mean = turned.mean()
    relit = (((turned - mean) * contrast + mean) * light).clip(0, 255).astype(np.uint8)
    if jpeg_quality is None:
        return relit
    return from_pillow(Pillow.open(BytesIO(saved(relit, "JPEG", quality=jpeg_quality))))


def saved(image: Image, file_format: str, **options: object) -> bytes:
    """Return a BGR picture as a file of that format."""
    return pillow_bytes(Pillow.fromarray(np.ascontiguousarray(image[:, :, ::-1])), file_format, **options)


def pillow_bytes(picture: Pillow.Image, file_format: str, **options: object) -> bytes:
    file = BytesIO()
    picture.save(file, file_format, **options)
    return file.getvalue()


def heic(picture: Pillow.Image, **options: object) -> bytes:
    """Return a picture as HEIC, without teaching the format to Pillow for everybody."""
    file = BytesIO()
    pillow_heif.from_pillow(picture).save(file, **options)
    return file.getvalue()


def heics(*several: Pillow.Image, primary: int) -> bytes:
    """Return pictures as one HEIC, of which one is the primary picture."""
    made, file = pillow_heif.HeifFile(), BytesIO()
    for picture in several:
        made.add_from_pillow(picture)
    made.save(file, primary_index=primary, quality=90)
    return file.getvalue()


def from_pillow(picture: Pillow.Image) -> Image:
    return np.ascontiguousarray(np.asarray(picture.convert("RGB"))[:, :, ::-1])


def gradient_picture(width: int = 48, height: int = 32) -> Image:
    """Return a small colourful picture in which no two corners look alike."""
    across = np.linspace(0, 255, width)[None, :].repeat(height, axis=0)
    down = np.linspace(0, 255, height)[:, None].repeat(width, axis=1)
    return np.stack([across, down, 255 - (across + down) / 2], axis=2).astype(np.uint8)


def huge_png(side_pixels: int = 20_000) -> bytes:
    """Return a PNG of a few KB whose grey pixels would fill side_pixels squared bytes."""
    header = struct.pack(">IIBBBBB", side_pixels, side_pixels, 1, 0, 0, 0, 0)
    row = b"\0" + bytes(side_pixels // 8)
    deflate = zlib.compressobj(9)
    pixels = b"".join(deflate.compress(row) for _ in range(side_pixels)) + deflate.flush()
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", pixels) + png_chunk(b"IEND", b"")


def wavy_picture(width: int, height: int) -> Image:
    """Return a picture of waves some 40 pixels long: it looks different when it is moved by one pixel."""
    across, down = np.arange(width)[None, :] / 6, np.arange(height)[:, None] / 7
    waves = [np.sin(across + down), np.cos(across - down / 2), np.sin(across / 2) * np.cos(down)]
    return np.rint(127.5 + 120 * np.stack(waves, axis=2)).astype(np.uint8)


def stored_with_orientation(image: Image, orientation: int) -> Image:
    """Return how a camera held that way stores the upright picture (CIPA DC-008): the inverse of what a viewer does."""
    sideways = image.transpose(1, 0, 2)
    stored = {
        1: image,
        2: image[:, ::-1],
        3: image[::-1, ::-1],
        4: image[::-1],
        5: sideways,
        6: sideways[::-1],
        7: sideways[::-1, ::-1],
        8: sideways[:, ::-1],
    }[orientation]
    return np.ascontiguousarray(stored)


def exif_orientation(orientation: int) -> Pillow.Exif:
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    return exif


def tiff_with_tiles(side_pixels: int, *, tile_side_pixels: int) -> bytes:
    """Return a black grey TIFF whose one packed tile, however large, is a few KB."""
    deflate = zlib.compressobj(9)
    rows = bytes(tile_side_pixels * 64)
    tile = b"".join(deflate.compress(rows) for _ in range(tile_side_pixels // 64)) + deflate.flush()
    # width, height, bits, deflate, black is zero, samples, tile's width and height, its place and its bytes
    tags = {256: side_pixels, 257: side_pixels, 258: 8, 259: 8, 262: 1, 277: 1}
    tags |= {322: tile_side_pixels, 323: tile_side_pixels, 324: 8 + 2 + 10 * 12 + 4, 325: len(tile)}
    directory = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + directory + bytes(4) + tile


def jpeg_with_scans(scans: int) -> bytes:
    """Return a progressive JPEG whose last scan is there again and again."""
    head, *all_scans = pillow_bytes(Pillow.new("L", (512, 512), 77), "JPEG", progressive=True).split(b"\xff\xda")
    last = all_scans[-1].removesuffix(b"\xff\xd9")
    repeated = [last] * (scans - len(all_scans) + 1)
    return b"\xff\xda".join([head, *all_scans[:-1], *repeated]) + b"\xff\xd9"


def with_jpeg_segment(data: bytes, segment: bytes, *, times: int = 1) -> bytes:
    """Return the JPEG with an application's segment at its start, once or many times."""
    return data[:2] + (b"\xff\xe1" + struct.pack(">H", 2 + len(segment)) + segment) * times + data[2:]


def with_png_chunks(data: bytes, *chunks: bytes) -> bytes:
    """Return the PNG with these chunks behind its header."""
    return data[:33] + b"".join(chunks) + data[33:]


def with_webp_chunks(data: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """Return the WebP with these chunks, by kind and content, at its end."""
    body = data[12:] + b"".join(
        kind + struct.pack("<I", len(content)) + content + bytes(len(content) % 2) for kind, content in chunks
    )
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def jpeg_segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", 2 + len(content)) + content


def exif_bytes(*entries: tuple[int, int, int, bytes], byte_order: str = "<") -> bytes:
    """Return EXIF with these entries in its directory: tag, type, number of values, and the field of four bytes."""
    head = (b"II*\0" if byte_order == "<" else b"MM\0*") + struct.pack(byte_order + "IH", 8, len(entries))
    return head + b"".join(struct.pack(byte_order + "HHI4s", *entry) for entry in entries) + bytes(4)


def short_orientation(orientation: int, byte_order: str = "<") -> tuple[int, int, int, bytes]:
    """Return the entry with which cameras say how they were held."""
    return 0x0112, 3, 1, struct.pack(byte_order + "HH", orientation, 0)


def png_16_bit(values: NDArray[np.uint16]) -> bytes:
    """Return a 16-bit grey PNG."""
    height, width = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", header)
        + png_chunk(b"IDAT", zlib.compress(rows))
        + png_chunk(b"IEND", b"")
    )


def png_chunk(kind: bytes, body: bytes) -> bytes:
    """Return a PNG's chunk with its right length and checksum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
