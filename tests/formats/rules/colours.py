"""How numbers become colours."""

import numpy as np

from tests.formats.rules import pixels_of, rule

SECTION = "Colours"


def _apart(one: str, other: str, *, exchanged: bool = False) -> float:
    """Return the average difference of two files; with red and green of the second exchanged."""
    second = pixels_of(other)[:, :, [0, 2, 1]] if exchanged else pixels_of(other)
    return float(np.abs(pixels_of(one).astype(int) - second).mean())


@rule(
    SECTION,
    "ICC profiles are applied, in every format: pictures become sRGB.",
    because="Phones and good cameras store Display P3 or Adobe RGB; read as sRGB, skin is pale.",
)
def _() -> None:
    swapped = "profile that exchanges red and green"
    for kind, plain in (
        ("JPEG", "JPEG quality 100"),
        ("PNG", "PNG RGB, 8 bits"),
        ("WebP", "WebP quality 100"),
        ("AVIF", "AVIF quality 100"),
    ):
        assert _apart(f"{kind} {swapped}", plain, exchanged=True) < 8
    assert _apart("JPEG profile in two segments, the second first", f"JPEG {swapped}") == 0


@rule(
    SECTION,
    "A profile that is broken, incomplete, or for another colour space is ignored.",
    because="The pixels are healthy, and sRGB is the best guess.",
)
def _() -> None:
    for variant in (
        "profile that is no profile",
        "profile that is cut short",
        "profile whose second segment is missing",
        "empty profile segment",
        "RGB with a profile for grey",
    ):
        assert _apart(f"JPEG {variant}", "JPEG EXIF orientation 1") == 0
    assert _apart("JPEG CMYK with a profile for RGB", "JPEG CMYK, baseline") == 0
    assert _apart("PNG profile that is not packed", "PNG RGB, 8 bits") == 0
    assert _apart("WebP profile that is no profile", "WebP EXIF orientation 1") == 0


@rule(
    SECTION,
    "A PNG's `cICP`, `iCCP`, `sRGB`, and `gAMA` with `cHRM`, in this order, say what its numbers mean.",
    because="That is the order of the PNG specification, and of browsers.",
)
def _() -> None:
    plain = "PNG RGB, 8 bits"
    assert _apart("PNG gamma 1 beside sRGB", plain) == 0
    assert _apart("PNG sRGB by code (cICP)", plain) == 0
    assert _apart("PNG gamma 1", plain) > 30
    assert _apart("PNG Display P3 by code (cICP)", "PNG Display P3 profile") < 4
    for variant in ("gamma 0", "gamma cut short", "primaries of Display P3 alone", "primaries cut short"):
        assert _apart(f"PNG {variant}", plain) == 0


@rule(
    SECTION,
    "What is transparent lies over white.",
    because="So it does on the pages of most programs, and black would hide dark hair.",
)
def _() -> None:
    for name in ("PNG RGBA, 8 bits", "WebP RGBA, lossless", "AVIF RGBA", "HEIC RGBA", "TIFF RGBA"):
        pixels = pixels_of(name)
        if name != "TIFF RGBA":  # this one is opaque
            assert (pixels[:, 0] > 240).all(), name
        assert not (pixels[:, -1] > 240).all(), name
    assert (pixels_of("GIF a screen larger than its frame")[100:, 130:] == 255).all()


@rule(
    SECTION,
    "CMYK in a JPEG is inverted, whether or not Adobe's segment says so.",
    because="Photoshop stores it so, nearly every CMYK JPEG is from there, and browsers assume it.",
)
def _() -> None:
    assert _apart("JPEG CMYK, baseline", "JPEG RGB, baseline") < 25
    assert _apart("JPEG CMYK without Adobe's segment", "JPEG CMYK, baseline") == 0


@rule(
    SECTION,
    "16 bits per colour are scaled to 8; whole numbers of 32 bits and floats are stretched to their own range.",
    because="65,535 is white in 16 bits; the others have no white of their own.",
)
def _() -> None:
    assert _apart("PNG RGB, 16 bits", "PNG RGB, 8 bits") < 0.6
    assert _apart("PNG grey, 16 bits", "PNG grey, 8 bits") < 0.6
    for variant in ("whole numbers of 32 bits", "floats"):
        pixels = pixels_of(f"TIFF {variant}")
        assert (pixels.min(), pixels.max()) == (0, 255)
