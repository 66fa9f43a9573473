"""Where facequeue and Chromium part, by the reason why."""

from typing import Final

SHOWN_BY_CHROMIUM: Final = ("JPEG", "PNG", "WebP", "GIF", "AVIF")

#: Files that Chromium shows at least in part, and that are refused.
REFUSED: Final[dict[str, tuple[str, ...]]] = {}
#: Files of which Chromium shows something else.
DIFFERENT: Final[dict[str, tuple[str, ...]]] = {}
