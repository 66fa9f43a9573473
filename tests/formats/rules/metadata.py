"""Metadata."""

import numpy as np

from tests.formats.rules import pixels_of, rule

SECTION = "Metadata"


@rule(
    SECTION,
    "Metadata never causes a rejection, and never changes a pixel: decoders are given what pixels need, and no more.",
    because="A comment, a thumbnail or a wrong checksum in a text is no fault of the picture.",
)
def _() -> None:
    for variant in (
        "comment",
        "JFIF of no length",
        "JFIF cut short",
        "JFIF of no known version",
        "JFIF that claims a thumbnail",
        "Adobe's segment cut short",
        "many unknown segments",
        "photoshop segment that is damaged",
        "MPF segment that is damaged",
        "fill bytes before a marker",
        "bytes behind its end",
    ):
        assert np.array_equal(pixels_of(f"JPEG {variant}"), pixels_of("JPEG EXIF orientation 1")), variant
    for variant in (
        "1.5 MB of packed text",
        "2 MB of XMP",
        "text that is not packed as it says",
        "a wrong checksum in a text chunk",
        "a wrong checksum in a chunk of no known name",
        "physical size of no length",
        "profile with a wrong checksum",
        "animation of no frames",
        "animation whose frames are damaged",
        "bytes behind its end",
    ):
        assert np.array_equal(pixels_of(f"PNG {variant}"), pixels_of("PNG RGB, 8 bits")), variant
    for variant in ("chunk of no known name", "XMP of 2 MB", "bytes behind its end"):
        assert np.array_equal(pixels_of(f"WebP {variant}"), pixels_of("WebP EXIF orientation 1")), variant
    for variant in ("comment of 100 KB", "extension of no known kind", "extension of an application"):
        assert np.array_equal(pixels_of(f"GIF {variant}"), pixels_of("GIF 16 colours")), variant
    for variant in ("bytes behind its end", "a box of no known kind behind its end"):
        assert np.array_equal(pixels_of(f"AVIF {variant}"), pixels_of("AVIF quality 90")), variant
