"""Gates: conditions for activating a generation. A closed gate says why; operators may override it by name."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.conf import settings

from tasks.health.reports import WorkerReport
from tasks.roles import PACK_ROLES
from tasks.work_queue import work_queue
from webapp.generations import selectors
from webapp.generations.models import Generation

OUTCOMES: Final = "outcomes"
COUNTS: Final = "counts"
RECALL: Final = "recall"
ANSWERS: Final = "answers"
WORKERS: Final = "workers"
GATES: Final = (OUTCOMES, COUNTS, RECALL, ANSWERS, WORKERS)
#: The gates for a rollback, which goes to a generation that has passed all of them before.
ROLLBACK_GATES: Final = (OUTCOMES, WORKERS)

#: Neighbours whose similarities differ by less count as equally near: pictures of one moment, or duplicates.
#: On the scale that people read, so that it means about as much for every pack.
AS_NEAR: Final = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """One condition; `detail` is a sentence whether the gate is open or closed."""

    name: str
    is_open: bool
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedAnswer:
    """A face whose nearest neighbour differs in the new generation. `old`, `new`: ids of faces; None: no neighbour."""

    face_id: str
    old: str | None
    new: str | None
    old_similarity: float | None
    new_similarity: float | None


def gates_of(generation: Generation, reports: Sequence[WorkerReport] | None = None) -> list[Gate]:
    """Return every gate of the generation."""
    reports = work_queue().worker_reports() if reports is None else reports
    return [outcomes_gate(generation), *measured_gates(generation), _workers(generation, reports)]


def measured_gates(generation: Generation) -> list[Gate]:
    """Return the gates that depend on the latest measurement; reads only the generation's row."""
    return [_counts(generation), _recall(generation), _answers(generation)]


def outcomes_gate(generation: Generation) -> Gate:
    """Return whether every photo has an outcome; counts the photos."""
    progress = selectors.progress_of(generation)
    if progress.missing:
        detail = f"{progress.missing} of {progress.total} photos have no outcome yet."
    else:
        detail = f"{progress.done} of {progress.total} photos have an outcome; {progress.failed} of them failed."
    if progress.following:
        detail += f" {progress.following} settled just now and will follow."
    return Gate(name=OUTCOMES, is_open=not progress.missing, detail=detail)


def changed_answers(generation: Generation) -> tuple[int, list[ChangedAnswer]]:
    """Return how many sampled faces were compared, and those whose nearest neighbour differs."""
    own, active = _measured(generation, "own"), _measured(generation, "active")
    if own is None or active is None:
        return 0, []
    old, new = active["neighbours"], own["neighbours"]
    both = sorted(old.keys() & new.keys())
    changed = [_changed(face_id, old[face_id], new[face_id]) for face_id in both]
    return len(both), [each for each in changed if each is not None]


def _changed(face_id: str, old: list[dict[str, Any]], new: list[dict[str, Any]]) -> ChangedAnswer | None:
    if not old and not new:
        return None
    if _nearest(old) & _nearest(new):
        return None
    before, after = (matches[0] if matches else None for matches in (old, new))
    return ChangedAnswer(
        face_id=face_id,
        old=before["face_id"] if before else None,
        new=after["face_id"] if after else None,
        old_similarity=before["similarity"] if before else None,
        new_similarity=after["similarity"] if after else None,
    )


def _nearest(matches: list[dict[str, Any]]) -> set[str]:
    """Return the ids of the nearest neighbour and of those that count as equally near, whose order means nothing."""
    return {match["face_id"] for match in matches if match["similarity"] >= matches[0]["similarity"] - AS_NEAR}


def _counts(generation: Generation) -> Gate:
    own = _measured(generation, "own")
    if own is None:
        return Gate(name=COUNTS, is_open=False, detail="The collection has not been counted yet.")
    here, there = own["database_count"], own["face_count"]
    detail = f"The database has {here} faces, the collection {there}."
    return Gate(name=COUNTS, is_open=here == there, detail=detail)


def _recall(generation: Generation) -> Gate:
    own, least = _measured(generation, "own"), settings.RECALL_MIN
    if own is None:
        return Gate(name=RECALL, is_open=False, detail="Match recall has not been measured yet.")
    recall = own["match_recall"]
    if recall is None:
        return Gate(
            name=RECALL, is_open=own["face_count"] == 0, detail="There were no faces to measure match recall with."
        )
    detail = f"Searches find {recall:.2%} of the matches that exact search finds; at least {least:.2%} are required."
    return Gate(name=RECALL, is_open=recall >= least, detail=detail)


def _answers(generation: Generation) -> Gate:
    if _measured(generation, "own") is None or _measured(generation, "active") is None:
        return Gate(name=ANSWERS, is_open=False, detail="Old and new answers have not been compared yet.")
    compared, changed = changed_answers(generation)
    if not compared:
        return Gate(name=ANSWERS, is_open=True, detail="The two generations share no faces to compare.")
    agreement, least = 1 - len(changed) / compared, settings.AGREEMENT_MIN
    detail = (
        f"Of {compared} sampled faces {agreement:.0%} have the same nearest neighbour as before; "
        f"at least {least:.0%} are required."
    )
    return Gate(name=ANSWERS, is_open=agreement >= least, detail=detail)


def _workers(generation: Generation, reports: Sequence[WorkerReport]) -> Gate:
    wanted = [role.queue(generation.pack) for role in PACK_ROLES if role.is_required]
    fitting = [each for each in reports if each.is_healthy and each.fingerprint == generation.fingerprint]
    missing = [queue for queue in wanted if not any(queue in each.queues for each in fitting)]
    if missing:
        detail = f"No healthy worker of the pack {generation.pack} consumes {' and '.join(missing)}."
        return Gate(name=WORKERS, is_open=False, detail=detail)
    return Gate(name=WORKERS, is_open=True, detail=f"Healthy workers of the pack {generation.pack} are running.")


def _measured(generation: Generation, key: str) -> dict[str, Any] | None:
    """Return the latest measurement; None before the first."""
    found: dict[str, Any] | None = generation.measurements.get(key)
    return found
