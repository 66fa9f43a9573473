"""Where facequeue and Chromium part, by the reason why."""

from typing import Final

SHOWN_BY_CHROMIUM: Final = ("JPEG", "PNG", "WebP", "GIF", "AVIF")


def _each(before: str, *variants: object) -> tuple[str, ...]:
    return tuple(f"{before} {variant}" for variant in variants)


#: Files that Chromium shows at least in part, and that are refused.
REFUSED: Final[dict[str, tuple[str, ...]]] = {
    "A JPEG that lacks more than half of its rows.": ("JPEG cut at 25 %", "JPEG mutated by 160"),
    "A PNG that lacks more than half of its rows, or is damaged before them.": (
        "PNG cut at 5 %",
        *_each("PNG mutated by", 47, 80, 107, 117, 128, 179),
    ),
    "A GIF that is cut short.": (
        *(f"GIF cut at {share} %" for share in (99, 90, 75, 50, 5)),
        *_each("GIF mutated by", 16, 76),
    ),
}
#: Files of which Chromium shows something else.
DIFFERENT: Final[dict[str, tuple[str, ...]]] = {
    "A WebP is turned by its EXIF, as whoever made it meant it. Chromium ignores EXIF in WebP.": (
        *_each("WebP EXIF orientation", *range(2, 9)),
        "WebP orientation in EXIF with JPEG's prefix",
        "WebP EXIF that its header does not announce",
        "WebP orientation in a big-endian block",
        "WebP RGBA with orientation 8",
        "WebP mutated by 26",
    ),
    "The profile of a WebP counts even if its header does not announce it.": (
        "WebP profile that its header does not announce",
    ),
    "A PNG is turned by its EXIF wherever it stands: the standard allows it behind the pixels.": (
        "PNG orientation in EXIF behind the pixels",
    ),
    "Where rows of a JPEG are missing, it is grey. Chromium leaves out a few more of them, and shows nothing there.": (
        "JPEG without its end marker",
        *(f"JPEG cut at {share} %" for share in (99, 97, 90)),
        "JPEG progressive cut at 25 %",
    ),
    "Chromium draws transparent and moving AVIF darker than still ones of the same colours; "
    "ours are nearer to what was encoded.": ("AVIF RGBA", "AVIF RGBA, premultiplied", "AVIF animated"),
    "Without any palette, the numbers of a GIF's colours are shades of grey. Chromium draws black.": (
        "GIF no palette at all",
    ),
}
