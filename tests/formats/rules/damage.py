"""Files that are damaged."""

from tests.formats.rules import data_of, refused, rule, shown

SECTION = "Damage"


@rule(
    SECTION,
    "A JPEG that lacks only its end marker, and a PNG that lacks only its checksum, are pictures like any other.",
    because="Nothing of what they show is missing.",
)
def _() -> None:
    for kind, name in (("JPEG", "JPEG without its end marker"), ("PNG", "PNG a wrong sum at the end of its pixels")):
        picture = shown(data_of(name))
        assert (picture.format, picture.warning) == (kind, None)


@rule(
    SECTION,
    "Of a JPEG or PNG that is cut short, the rows that are left are the picture, with the warning `image_incomplete`, "
    "if they are at least half of it; otherwise it is refused: `image_truncated`.",
    because="They are written from the top to the bottom, so the rows are as good as ever; a lost card should not cost "
    "what is on them. Of less than half of a photo, nobody can say what it was.",
)
def _() -> None:
    for kind in ("JPEG", "PNG"):
        warning = shown(data_of(f"{kind} cut at 75 %")).warning
        assert warning is not None
        assert warning.code == "image_incomplete"
        assert refused(data_of(f"{kind} cut at {25 if kind == 'JPEG' else 5} %")) == "image_truncated"


@rule(
    SECTION,
    "A progressive JPEG that is cut short is a picture with the same warning, however coarse.",
    because="It holds the whole picture several times over, ever more finely, so no row is missing.",
)
def _() -> None:
    warning = shown(data_of("JPEG progressive cut at 50 %")).warning
    assert warning is not None
    assert "details" in warning.message


@rule(
    SECTION,
    "An interlaced PNG, WebP, GIF, BMP, TIFF, AVIF or HEIC that is cut short is refused.",
    because="Their parts do not follow each other from the top to the bottom, or a file that ends early says nothing.",
)
def _() -> None:
    for name in ("WebP cut at 75 %", "GIF cut at 75 %", "AVIF cut at 75 %"):
        assert refused(data_of(name)) == "image_truncated"


@rule(
    SECTION,
    "A file that is cut in its header, or of which little more is left, is refused: `image_truncated`.",
    because="There is nothing in it to find a face on.",
)
def _() -> None:
    for kind in ("JPEG", "PNG", "WebP", "GIF"):
        assert refused(data_of(f"{kind} cut in its header")) == "image_truncated"
        assert refused(data_of(f"{kind} cut at 5 %")) == "image_truncated"
