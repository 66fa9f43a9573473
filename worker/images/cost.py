"""How much memory a picture takes while it is decoded, by its format.

It is at its peak while Pillow copies the library's pixels, or while they become BGR; later it is 3 bytes a pixel, of
the BGR picture. Measured on pictures of 20 million pixels, with what takes the most in each format: all channels, the
whole resolution of colours, one strip. `tests/unit/worker/images/test_cost.py` measures it on smaller ones.
"""

from typing import Final

from PIL import Image as Pillow

from worker.images.cleaning.jpeg import has_more_scans

#: Bytes per pixel. PNG and BMP: 4 of Pillow's picture and 3 of the BGR one; GIF: one more layer, with transparency.
#: TIFF: a strip may be the whole picture, in 16 bits a channel. AVIF: measured 13.5 with 8 bits a channel, 17 computed
#: with 10 or 12.
_BYTES_PER_PIXEL: Final = {"PNG": 7, "BMP": 7, "GIF": 10, "TIFF": 12, "WEBP": 16, "AVIF": 17}
#: What a JPEG takes that has its pixels in one scan, and one in several: its decoder then keeps all coefficients,
#: two bytes for each of up to four channels.
_JPEG_IN_ONE_SCAN, _JPEG_IN_SEVERAL = 7, 12
#: What a HEIC takes with 8 bits a channel, and with more. A header that claims too few is refused by the decoder.
_HEIC_OF_8_BITS, _HEIC_OF_MORE = 13, 21


def decoded_bytes(picture: Pillow.Image, data: bytes, *, pixels: int) -> int:
    """Return the most memory that the picture takes at a time while so many pixels of it are decoded.

    `picture` is opened, not loaded, from `data`, whose own memory is not counted.
    """
    return pixels * _bytes_per_pixel(picture, data)


def _bytes_per_pixel(picture: Pillow.Image, data: bytes) -> int:
    if picture.format in ("JPEG", "MPO"):
        return _JPEG_IN_SEVERAL if has_more_scans(data, 1) else _JPEG_IN_ONE_SCAN
    if picture.format == "HEIF":
        return _HEIC_OF_8_BITS if picture.info.get("bit_depth") == 8 else _HEIC_OF_MORE
    return _BYTES_PER_PIXEL[str(picture.format)]
