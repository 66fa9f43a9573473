"""Where facequeue and Chromium part, by the reason why."""

from typing import Final

SHOWN_BY_CHROMIUM: Final = ("JPEG", "PNG", "WebP", "GIF", "AVIF")


def _each(before: str, *variants: object) -> tuple[str, ...]:
    return tuple(f"{before} {variant}" for variant in variants)


#: Files that Chromium shows at least in part, and that are refused.
REFUSED: Final[dict[str, tuple[str, ...]]] = {
    "A JPEG that is cut short.": (
        "JPEG without its end marker",
        "JPEG progressive without its end marker",
        *(f"JPEG {kind}cut at {share} %" for share in (99, 97, 90, 75, 50, 25) for kind in ("", "progressive ")),
        "JPEG mutated by 160",
    ),
    "A PNG that is cut short or damaged in its pixels.": (
        *(f"PNG cut at {share} %" for share in (99, 75, 50, 5)),
        "PNG a wrong sum at the end of its pixels",
        *_each("PNG mutated by", 47, 107, 117, 128, 179),
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
    "Rows that are missing in a PNG whose pixels end as they should are black. Chromium shows nothing there.": (
        "PNG fewer pixels than its header says",
        "PNG mutated by 80",
    ),
    "Chromium draws transparent and moving AVIF darker than still ones of the same colours; "
    "ours are nearer to what was encoded.": ("AVIF RGBA", "AVIF RGBA, premultiplied", "AVIF animated"),
    "Without any palette, the numbers of a GIF's colours are shades of grey. Chromium draws black.": (
        "GIF no palette at all",
    ),
}
