"""Where facequeue and Chromium part, by the reason why."""

from typing import Final

SHOWN_BY_CHROMIUM: Final = ("JPEG", "PNG", "WebP", "GIF", "AVIF")


def _each(before: str, *variants: object) -> tuple[str, ...]:
    return tuple(f"{before} {variant}" for variant in variants)


#: Files that Chromium shows at least in part, and that are refused.
REFUSED: Final[dict[str, tuple[str, ...]]] = {}
#: Files of which Chromium shows something else.
DIFFERENT: Final[dict[str, tuple[str, ...]]] = {
    "A WebP is turned by its EXIF, as who made it meant it. Chromium ignores EXIF in WebP.": (
        *_each("WebP EXIF orientation", *range(2, 9)),
        "WebP orientation in EXIF with JPEG's prefix",
        "WebP EXIF that its header does not announce",
        "WebP orientation in a big-endian block",
        "WebP RGBA with orientation 8",
        "WebP mutated by 26",
    ),
    "A PNG is turned by its EXIF wherever it stands: the standard allows it behind the pixels.": (
        "PNG orientation in EXIF behind the pixels",
    ),
    "Chromium draws transparent and moving AVIF darker than still ones of the same colours; "
    "ours are nearer to what was encoded.": ("AVIF RGBA", "AVIF RGBA, premultiplied", "AVIF animated"),
    "Without any palette, the numbers of a GIF's colours are shades of grey. Chromium draws black.": (
        "GIF no palette at all",
    ),
}
