"""The results of the load benchmark: how an answer is classified, the figures, which rules are broken, the table."""

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self

ANSWERED: Final = "answered"
#: 503 or 429 with Retry-After: the service says that it is full, and when to return.
REFUSED: Final = "refused"
PENDING: Final = "pending"
#: Accepted, and not answered before its deadline.
EXPIRED: Final = "504 search_expired"

#: Who searches, where that matters.
HEAVY: Final = ("heavy user 1", "heavy user 2")
FLOODER: Final = "flooder"
CAREFUL: Final = "once a second"

#: For pages that need no search, while all users search.
PAGE_P99_BOUND_MS: Final = 100.0
#: Answers per second with all users, as a share of those with as many searches at a time as the workers run.
GOODPUT_BOUND: Final = 0.95
#: The smaller share of two users who both ask for everything, as a share of the larger one.
SHARES_BOUND: Final = 0.8
REMOVAL_BOUND_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """The requests of one period. `answers` counts answers by kind; latencies are in milliseconds."""

    seconds: float
    answers: Counter[str] = field(default_factory=Counter)
    #: The same by who searched.
    by_user: Mapping[str, Counter[str]] = field(default_factory=dict)
    #: Latency of the requests that delivered the answer of a search.
    search_ms: Sequence[float] = ()
    page_ms: Sequence[float] = ()
    #: Pages with a status other than 200, a few words each.
    page_errors: Sequence[str] = ()

    @classmethod
    def of(cls, answers: Iterable[Mapping[str, Any]], pages: Sequence[Mapping[str, Any]], *, seconds: float) -> Self:
        """Make a phase of what the users and the visitors wrote down."""
        noted = list(answers)
        by_user: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for each in noted:
            by_user[each["who"]][each["kind"]] += 1
        return cls(
            seconds=seconds,
            answers=Counter(each["kind"] for each in noted),
            by_user=by_user,
            search_ms=[each["seconds"] * 1000 for each in noted if each["kind"] == ANSWERED],
            page_ms=[page["ms"] for page in pages],
            page_errors=[page["error"] for page in pages if page["error"]],
        )

    @property
    def answered_per_second(self) -> float:
        return self.answers[ANSWERED] / self.seconds

    @property
    def errors(self) -> Counter[str]:
        """Answers that are neither right nor a refusal that says when to return, by kind."""
        return Counter({kind: n for kind, n in self.answers.items() if kind not in (ANSWERED, REFUSED, PENDING)})


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """All that was measured of one service."""

    #: One user without an import.
    idle: Phase
    #: As many searches at a time as the search worker runs, beside the import.
    capacity: Phase
    #: All users, beside the import.
    load: Phase
    #: Two users who both ask for everything.
    heavy: Phase
    #: One user who floods, and one who asks once a second.
    flood: Phase
    imported: Import
    #: How long each photo that was deleted during the load took to be gone; infinite for one that is still there.
    removal_seconds: Sequence[float]
    #: The share (0..1) of the processor that programs outside the benchmark used, beside `capacity` and `load`.
    other_programs: tuple[float, float] = (0.0, 0.0)

    @property
    def phases(self) -> dict[str, Phase]:
        return {name: getattr(self, name) for name in ("idle", "capacity", "load", "heavy", "flood")}

    @property
    def goodput(self) -> float:
        """Answers per second with all users, as a share of the capacity."""
        capacity = self.capacity.answered_per_second
        return self.load.answered_per_second / capacity if capacity else math.nan

    @property
    def smaller_share(self) -> float:
        """The answers of the heavy user who got fewer, as a share of the other's."""
        answered = [self.heavy.by_user.get(name, Counter())[ANSWERED] for name in HEAVY]
        return min(answered) / max(answered) if max(answered) else math.nan

    @property
    def careful(self) -> Counter[str]:
        """What the user who asks once a second was told beside the flooder."""
        return self.flood.by_user.get(CAREFUL, Counter())


def kind_of_answer(status: int, headers: Mapping[str, str], body: Any, *, expected: str) -> str:
    """Classify an answer in a few words. `expected` is the name of the photo that the search must find first."""
    if status == 202:
        return PENDING
    if status in (429, 503) and headers.get("Retry-After", "").isdigit():
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


def broken_rules(run: Run) -> list[str]:
    """Return the broken rules, one sentence each; empty if there are none."""
    broken = [
        f"{count} searches of the phase {name!r} ended with: {kind}."
        for name, phase in run.phases.items()
        for kind, count in sorted(phase.errors.items())
    ]
    if not run.goodput >= GOODPUT_BOUND:
        broken.append(f"All users together got {run.goodput:.2f} of the capacity, not {GOODPUT_BOUND:.2f}.")
    if not run.smaller_share >= SHARES_BOUND:
        broken.append(f"One heavy user got {run.smaller_share:.2f} of what the other got, not {SHARES_BOUND:.2f}.")
    if set(run.careful) != {ANSWERED}:
        broken.append(f"The user who asked once a second was told: {dict(run.careful)}.")
    if not max(run.removal_seconds, default=math.nan) <= REMOVAL_BOUND_SECONDS:
        broken.append(
            f"A removal took {max(run.removal_seconds, default=math.nan):.1f} s, not {REMOVAL_BOUND_SECONDS:.0f} s."
        )
    return [*broken, *_broken_by_pages(run.load), *_broken_by_import(run.imported)]


def _broken_by_pages(load: Phase) -> list[str]:
    broken = []
    if load.page_errors:
        broken.append(f"{len(load.page_errors)} pages failed, the first with: {load.page_errors[0]}.")
    page_p99_ms = percentile(load.page_ms, 99)
    if not page_p99_ms < PAGE_P99_BOUND_MS:
        broken.append(f"The p99 of pages is {page_p99_ms:.0f} ms, not under {PAGE_P99_BOUND_MS:.0f} ms.")
    return broken


def _broken_by_import(imported: Import) -> list[str]:
    broken = []
    lost = imported.photos - imported.final["indexed"]
    if lost:
        broken.append(f"{lost} of {imported.photos} photos were not indexed: {dict(imported.final)}.")
    if not imported.outlasted_the_load:
        broken.append("The import ended before the load did: use more photos.")
    return [*broken, *imported.problems]


def figures(run: Run) -> dict[str, str]:
    """Return what the table shows of a run, by row."""
    load, imported = run.load, run.imported
    return {
        "one user: answers per second": f"{run.idle.answered_per_second:.1f}",
        "one user: search ms, p50 / p95 / p99": _percentiles(run.idle.search_ms),
        "one user: page ms, p50 / p95 / p99": _percentiles(run.idle.page_ms),
        "capacity: answers per second": f"{run.capacity.answered_per_second:.1f}",
        "load: searches sent": f"{load.answers.total()}",
        "load: answered": f"{load.answers[ANSWERED]}",
        "load: refused": f"{load.answers[REFUSED]}",
        "load: accepted but expired": f"{load.answers[EXPIRED]}",
        "load: other errors": f"{load.errors.total() - load.answers[EXPIRED]}",
        "load: answers per second": f"{load.answered_per_second:.1f}",
        "load: goodput (of the capacity)": f"{run.goodput:.2f}",
        "load: search ms, p50 / p95 / p99": _percentiles(load.search_ms),
        "load: pages": f"{len(load.page_ms)}",
        "load: page ms, p50 / p95 / p99": _percentiles(load.page_ms),
        "load: removals, longest": f"{len(run.removal_seconds)}, {max(run.removal_seconds, default=math.nan):.1f} s",
        "load: photos indexed per second beside it": f"{imported.photos / imported.seconds:.1f}",
        "two heavy users: answered": " and ".join(
            str(run.heavy.by_user.get(name, Counter())[ANSWERED]) for name in HEAVY
        ),
        "two heavy users: smaller share": f"{run.smaller_share:.2f}",
        "beside a flooder: once a second, answered": f"{run.careful[ANSWERED]} of {run.careful.total()}",
        "beside it: the flooder, answered": f"{run.flood.by_user.get(FLOODER, Counter())[ANSWERED]}",
        "other programs' share of the processor, capacity / load": " / ".join(
            f"{share:.2f}" for share in run.other_programs
        ),
        "photos lost": f"{imported.photos - imported.final['indexed']}",
    }


def table(columns: Mapping[str, Mapping[str, str]]) -> str:
    """Return the figures of several runs as one Markdown table."""
    rows = list(next(iter(columns.values())))
    lines = [f"| | {' | '.join(columns)} |", "|" + "---|" * (1 + len(columns))]
    lines += [f"| {row} | {' | '.join(column[row] for column in columns.values())} |" for row in rows]
    return "\n".join(lines)


def as_json(run: Run, broken: Sequence[str]) -> str:
    """Return what programs read of a run; `figures` are those of the table."""
    phases = {
        name: {
            "seconds": phase.seconds,
            "answers": phase.answers,
            "by_user": phase.by_user,
            "answered_per_second": phase.answered_per_second,
            "search_ms": {f"p{percent}": percentile(phase.search_ms, percent) for percent in (50, 95, 99)},
            "pages": len(phase.page_ms),
            "page_ms": {f"p{percent}": percentile(phase.page_ms, percent) for percent in (50, 95, 99)},
        }
        for name, phase in run.phases.items()
    }
    imported = run.imported
    whole = {"photos": imported.photos, "final": imported.final, "seconds": imported.seconds}
    found = {"phases": phases, "import": whole, "removal_seconds": list(run.removal_seconds)}
    found["other_programs"] = list(run.other_programs)
    return json.dumps({**found, "figures": figures(run), "broken": list(broken)}, indent=2)


def _percentiles(values_ms: Sequence[float]) -> str:
    if not values_ms:
        return "-"
    return " / ".join(f"{percentile(values_ms, percent):.0f}" for percent in (50, 95, 99))
