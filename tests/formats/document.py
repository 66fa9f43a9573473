"""docs/formats.md: what becomes of which file, as the tests find it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

from tests.formats import known
from tests.formats.comparison import AVERAGED_PIXELS, MOST, MOST_IN_PREVIEW, Comparison
from tests.formats.rules import Rule
from worker.config import MAX_QUERY_PIXELS, ImageLimits
from worker.errors import ImageError
from worker.images.decoding import MAX_SIDE_PIXELS

FILE: Path = Path(__file__).parents[2] / "docs" / "formats.md"
_MUTATED = "mutated by"


def document(rules: Sequence[Rule], compared: Sequence[Comparison], others: Sequence[Comparison]) -> str:
    """Return the page. `compared` were shown by Chromium, too; `others` are of formats that it does not show."""
    return "\n".join(_lines(rules, compared, others)) + "\n"


def _lines(rules: Sequence[Rule], compared: Sequence[Comparison], others: Sequence[Comparison]) -> Iterator[str]:
    limits = ImageLimits()
    yield from (
        "# Formats",
        "",
        "What becomes of which file. `make formats` writes this page from the tests in `tests/formats`, which check",
        "every line of it; nobody edits it by hand.",
        "",
        f"Of a photo, at most {limits.max_bytes / 1024**2:.0f} MB, {limits.max_pixels / 1e6:.0f} megapixels and "
        f"{MAX_SIDE_PIXELS:,} pixels per side are accepted by default; queries may have at most "
        f"{MAX_QUERY_PIXELS / 1e6:.0f} megapixels.",
        "",
        "## Rules",
    )
    for section, group in groupby(rules, key=lambda rule: rule.section):
        yield from ("", f"### {section}", "")
        yield from (f"- {each.sentence} *Why: {each.reason}*" for each in group)
    yield from ("", "## Compared with Chromium", "")
    yield from _comparison(compared)
    yield from ("", "## File by file", "")
    yield "The last column says what Chromium shows, and, of pictures on both sides, whether it is the same."
    named = [each for each in compared if _MUTATED not in each.file.variant]
    for kind, group_of in groupby([*named, *others], key=lambda each: each.file.format):
        yield from ("", f"### {kind}", "")
        yield from _table(list(group_of))


def _comparison(compared: Sequence[Comparison]) -> Iterator[str]:
    mutated = sum(_MUTATED in each.file.variant for each in compared)
    yield (
        f"Debian's Chromium and facequeue are given {len(compared)} files: {len(compared) - mutated} made for what is "
        f"special about each, and {mutated} whose bytes are damaged at random."
    )
    yield (
        "What Chromium shows, even in part, is indexed, and both show the same: decoded pixels differ by at most "
        f"{MOST[0]:g} of 255 on average and {MOST[1]:g} at 99 of 100 places, previews (averaged over "
        f"{AVERAGED_PIXELS} x {AVERAGED_PIXELS} pixels) by {MOST_IN_PREVIEW[0]:g} and {MOST_IN_PREVIEW[1]:g}. "
        "But for these:"
    )
    yield from ("", "### Refused, though Chromium shows something", "")
    yield from _named(known.REFUSED)
    yield from ("", "### Shown otherwise than by Chromium", "")
    yield from _named(known.DIFFERENT)


def _named(reasons: Mapping[str, Iterable[str]]) -> Iterator[str]:
    for reason, names in reasons.items():
        yield f"- {reason} *{'; '.join(names)}.*"


def _table(group: Sequence[Comparison]) -> Iterator[str]:
    has_chromium = group[0].file.format in known.SHOWN_BY_CHROMIUM
    yield from ("| file | here | in Chromium |", "|---|---|---|") if has_chromium else ("| file | here |", "|---|---|")
    for each in group:
        cells = [each.file.variant, _here(each), *([_in_chromium(each)] if has_chromium else [])]
        yield f"| {' | '.join(cells)} |"


def _here(each: Comparison) -> str:
    if isinstance(each.decoded, ImageError):
        return f"refused: `{each.decoded.code}`"
    warning = each.decoded.warning
    return f"picture, with the warning `{warning.code}`" if warning else "picture"


def _in_chromium(each: Comparison) -> str:
    if each.chromium is None:
        return "refused"
    if not each.is_shown:
        return "nothing visible"
    if not each.is_picture:
        return "picture" if each.is_shown_whole else "part of it"
    return "the same" if each.is_alike() else "otherwise"
