"""A file of any format -> what the decoder is given of it."""

from worker.images.cleaning.gif import cleaned_gif
from worker.images.cleaning.iso import cleaned_iso
from worker.images.cleaning.jpeg import cleaned_jpeg
from worker.images.cleaning.png import cleaned_png
from worker.images.cleaning.result import Cleaned
from worker.images.cleaning.tiff import cleaned_tiff, is_tiff
from worker.images.cleaning.webp import cleaned_webp


def cleaned(data: bytes, *, directory: int | None = None) -> Cleaned:
    """Return a file without what its pixels do not need; one of a format that has no metadata as it is.

    `directory` is where the TIFF directory begins that is the photo; None: the first one.
    Costs one pass over the file's parts, not over its pixels, and a copy. A file that is damaged comes back as far as
    it can be read, for the decoder to judge. Raises UnsupportedImage for one of very many parts.
    """
    if data.startswith(b"\xff\xd8"):
        return cleaned_jpeg(data)
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return cleaned_png(data)
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return cleaned_webp(data)
    if data.startswith((b"GIF87a", b"GIF89a")):
        return cleaned_gif(data)
    if is_tiff(data):
        return cleaned_tiff(data, directory=directory)
    if data[4:8] == b"ftyp":
        return cleaned_iso(data)
    return Cleaned(data=data)
