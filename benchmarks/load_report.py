"""The results of the load benchmark: how an answer is classified, which rules are broken, and the table."""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

ANSWERED: Final = "answered"
#: 503 with Retry-After: the service says that it is full, and when to retry.
REFUSED: Final = "refused"
PENDING: Final = "pending"
#: For pages that need no search, while all users search.
PAGE_P99_BOUND_MS: Final = 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """The requests of one period. `answers` counts answers by kind; latencies are in milliseconds."""

    name: str
    seconds: float
    answers: Counter[str] = field(default_factory=Counter)
    #: Latency of the requests that delivered the answer of a search.
    search_ms: Sequence[float] = ()
    page_ms: Sequence[float] = ()
    #: Pages with a status other than 200, a few words each.
    page_errors: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """The result of the import: the photos imported, and the number in each final state."""

    photos: int
    final: Counter[str]
    seconds: float
    #: Whether it was still running when the last search was sent.
    outlasted_the_load: bool
    #: Problems that remain after it has ended, one sentence each.
    problems: Sequence[str] = ()


def kind_of_answer(status: int, headers: Mapping[str, str], body: Any, *, expected: str) -> str:
    """Classify an answer in a few words. `expected` is the name of the photo that the search must find first."""
    if status == 202:
        return PENDING
    if status == 503 and headers.get("Retry-After", "").isdigit():
        return REFUSED
    if status != 200:
        return f"{status} {body.get('code', '') if isinstance(body, dict) else ''}".strip()
    matches = [match["photo"] for face in body["faces"] for match in face["matches"]]
    return ANSWERED if matches[:1] == [expected] else f"wrong match: {matches[:1] or 'none'}"


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that at least this percentage of values do not exceed; NaN if there are none."""
    if not values:
        return math.nan
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]


def broken_rules(load: Phase, imported: Import) -> list[str]:
    """Return the broken rules, one sentence each; empty if there are none."""
    broken = [
        f"{count} searches ended with: {kind}."
        for kind, count in sorted(load.answers.items())
        if kind not in (ANSWERED, REFUSED, PENDING)
    ]
    if not load.answers[ANSWERED]:
        broken.append("No search was answered.")
    if load.page_errors:
        broken.append(f"{len(load.page_errors)} pages failed, the first with: {load.page_errors[0]}.")
    page_p99_ms = percentile(load.page_ms, 99)
    if not page_p99_ms < PAGE_P99_BOUND_MS:
        broken.append(f"The p99 of pages is {page_p99_ms:.0f} ms, not under {PAGE_P99_BOUND_MS:.0f} ms.")
    lost = imported.photos - imported.final["indexed"]
    if lost:
        broken.append(f"{lost} of {imported.photos} photos were not indexed: {dict(imported.final)}.")
    if not imported.outlasted_the_load:
        broken.append("The import ended before the load did: use more photos.")
    return [*broken, *imported.problems]


def table(phases: Sequence[Phase], imported: Import) -> str:
    """Return the figures as a Markdown table and a line about the import."""
    lines = [
        "| | searches sent | answered | refused | errors | answered/s | search ms: p50 / p95 / p99 | pages "
        "| page ms: p50 / p95 / p99 |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [_row(phase) for phase in phases]
    total = sum(imported.final.values())
    return "\n".join(
        [
            *lines,
            "",
            f"Import: {imported.photos} photos in {imported.seconds:.0f} s, {total / imported.seconds:.1f} photos/s, "
            f"outcomes {dict(imported.final)}.",
        ]
    )


def as_json(phases: Sequence[Phase], imported: Import, broken: Sequence[str]) -> str:
    """Return the same figures as JSON."""
    rows = [
        {
            "phase": phase.name,
            "seconds": phase.seconds,
            "answers": phase.answers,
            "answered_per_second": phase.answers[ANSWERED] / phase.seconds,
            "search_ms": {f"p{percent}": percentile(phase.search_ms, percent) for percent in (50, 95, 99)},
            "pages": len(phase.page_ms),
            "page_ms": {f"p{percent}": percentile(phase.page_ms, percent) for percent in (50, 95, 99)},
        }
        for phase in phases
    ]
    whole = {"photos": imported.photos, "final": imported.final, "seconds": imported.seconds}
    return json.dumps({"phases": rows, "import": whole, "broken": list(broken)}, indent=2)


def _row(phase: Phase) -> str:
    answered, refused = phase.answers[ANSWERED], phase.answers[REFUSED]
    errors = phase.answers.total() - answered - refused - phase.answers[PENDING]
    return (
        f"| {phase.name} | {phase.answers.total()} | {answered} | {refused} | {errors} "
        f"| {answered / phase.seconds:.1f} | {_percentiles(phase.search_ms)} "
        f"| {len(phase.page_ms)} | {_percentiles(phase.page_ms)} |"
    )


def _percentiles(values_ms: Sequence[float]) -> str:
    if not values_ms:
        return "-"
    return " / ".join(f"{percentile(values_ms, percent):.0f}" for percent in (50, 95, 99))
