"""Files that are damaged."""

from tests.formats.rules import data_of, refused, rule

SECTION = "Damage"


@rule(
    SECTION,
    "A file that is cut in its header, or of which little more is left, is refused: `image_truncated`.",
    because="There is nothing in it to find a face on.",
)
def _() -> None:
    for kind in ("JPEG", "PNG", "WebP", "GIF"):
        assert refused(data_of(f"{kind} cut in its header")) == "image_truncated"
        assert refused(data_of(f"{kind} cut at 5 %")) == "image_truncated"
