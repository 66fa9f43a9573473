"""The figures as tables for people and as JSON for programs."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from benchmarks.accuracy.figures import Cost, Figures, InGallery, Threshold
from benchmarks.accuracy.intervals import Share
from benchmarks.accuracy.systems import STAGES
from benchmarks.accuracy.verification import Spread, TenFold

NOTES = """\
Subject: of a photo's faces the one whose area less twice the squared distance of its middle from the photo's is the
largest; only it is embedded. Other boxes: all faces but the subject's. Some are bystanders, the rest are false.
Probe: a photo of a person with another photo, searched among all others. At rank k a photo of its person is among the k
best; of equals, the stranger comes first. A probe counts as not recognised when its face, or its person's others, were
not found; "of found" and all rows below leave out photos without a face.
TPR at FPR: the share of the pairs of one person that reach the lowest threshold which no more than this share of the
pairs of two people reach. Brackets: 95 %, by drawing people again (bootstrap); a threshold counts as given.
Ten-fold: people are dealt out to ten folds, and pairs are made within a fold, half of them of one person; the threshold
is chosen on nine folds. After +- the standard error.
Galleries: every photo is searched in galleries of that many photos, drawn at random, each photo in one of them; its own
person's do not count there. Absent: shown a stranger at or above the threshold. Right: with the person's other photos
in the gallery as well, the best match is one of them and reaches the threshold.
A rate that allows fewer than three errors has no figures: "-", or no row.
Times: CPU of the whole process on one thread, mean; times as long: median of the quotients photo by photo."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The figures of each system for the people of some letters."""

    people: str
    figures: list[Figures]


def as_text(groups: Sequence[Group], costs: Sequence[Cost]) -> str:
    parts = []
    for group in groups:
        parts.append(_recognition(group))
        for each in group.figures:
            parts += [_thresholds(each, group.people), _galleries(each, group.people)]
    return "\n\n".join([*parts, _costs(costs), NOTES])


def as_json(groups: Sequence[Group], costs: Sequence[Cost], *, unreadable: int) -> str:
    return json.dumps(
        {
            "groups": [asdict(group) for group in groups],
            "costs": [asdict(cost) for cost in costs],
            "unreadable_photos": unreadable,
        },
        indent=2,
    )


def _recognition(group: Group) -> str:
    found, first = group.figures, group.figures[0]
    rows = [
        ["photos without a face", *(str(each.missed) for each in found)],
        ["other boxes", *(str(each.other_boxes) for each in found)],
        ["rank-1", *(_share(each.rank_1) for each in found)],
        ["rank-5", *(_share(each.rank_5) for each in found)],
    ]
    for other in dict.fromkeys(name for each in found for name in each.rank_1_gains):
        rows.append([f"rank-1 less that of {other}", *(_share(each.rank_1_gains.get(other)) for each in found)])
    rows.append(["rank-1 of found", *(_share(each.rank_1_of_found) for each in found)])
    for at, rate in enumerate(each.false_positive_rate for each in first.at_rates):
        rows.append([f"TPR at FPR {_rate(rate)}", *(_share(each.at_rates[at].true_positives) for each in found)])
    rows += [
        ["ten-fold accuracy", *(_ten_fold(each.ten_fold) for each in found)],
        ["cosine of one person's photos", *(_spread(each.same) for each in found)],
        ["cosine of two people's photos", *(_spread(each.different) for each in found)],
    ]
    title = f"People {group.people}: {first.photos:,} photos of {first.people:,} people, {first.probes:,} probes."
    return f"{title}\n\n{_table(['', *(each.system for each in found)], rows)}"


def _thresholds(found: Figures, people: str) -> str:
    sizes = list(dict.fromkeys(each.gallery_photos for each in found.for_galleries))
    rows = []
    for each in found.at_rates:
        in_galleries = {row.gallery_photos: row for row in each.in_galleries}
        rows.append(
            [
                _rate(each.false_positive_rate),
                *_threshold(each.threshold),
                _share(each.true_positives),
                *(_absent_and_right(in_galleries.get(size)) for size in sizes),
            ]
        )
    header = ["FPR", "cosine", "similarity", "TPR %", *(f"{size:,} photos: absent / right %" for size in sizes)]
    return f"{found.system}, {people}: thresholds by the share of false pairs.\n\n{_table(header, rows)}"


def _galleries(found: Figures, people: str) -> str:
    rows = [_for_gallery(each.false_match_rate, each.found) for each in found.for_galleries if each.found]
    header = ["gallery", "searches", "absent", "cosine", "similarity", "right %"]
    return (
        f"{found.system}, {people}: thresholds by the share of absent people shown somebody.\n\n{_table(header, rows)}"
    )


def _for_gallery(rate: float, row: InGallery) -> list[str]:
    size, searches = f"{row.gallery_photos:,}", f"{row.searches:,}"
    return [size, searches, _rate(rate), *_threshold(row.threshold), _percent(row.hits)]


def _costs(costs: Sequence[Cost]) -> str:
    references = list(dict.fromkeys(name for cost in costs for name in cost.speedups))
    rows = [
        [
            cost.system,
            *(f"{cost.stages_ms[stage]:.1f}" for stage in STAGES),
            f"{cost.total_ms:.1f}",
            *(f"{cost.speedups[name]:.2f}" if name in cost.speedups else "1" for name in references),
        ]
        for cost in costs
    ]
    header = ["ms a photo", *STAGES, "all", *(f"{name}: times as long" for name in references)]
    return _table(header, rows)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _share(share: Share | None) -> str:
    if share is None:
        return "-"
    return f"{_percent(share.value)} [{_percent(share.low)}, {_percent(share.high)}]"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"


def _rate(rate: float) -> str:
    return f"{rate:.0e}".replace("e-0", "e-")


def _threshold(threshold: Threshold | None) -> tuple[str, str]:
    if threshold is None:
        return "-", "-"
    similarity = "-" if threshold.similarity is None else f"{threshold.similarity:.3f}"
    return f"{threshold.cosine:.4f}", similarity


def _absent_and_right(row: InGallery | None) -> str:
    return "-" if row is None else f"{100 * row.false_matches:.2f} / {_percent(row.hits)}"


def _ten_fold(found: TenFold | None) -> str:
    if found is None:
        return "-"
    return f"{_percent(found.accuracy)} +- {_percent(found.standard_error)} ({found.pairs:,} pairs)"


def _spread(spread: Spread | None) -> str:
    return "-" if spread is None else f"{spread.mean:.3f} +- {spread.deviation:.3f}"
