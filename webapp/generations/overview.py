"""What an operator sees of a generation: how far it is, who works for it, its gates, and the answers that change."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Count

from tasks import clock
from tasks.health.reports import WorkerReport
from tasks.queues import gpu_queues
from tasks.work_queue import work_queue
from webapp.accounts.callers import Caller
from webapp.gallery.models import Face
from webapp.gallery.selectors import photos_for
from webapp.generations import gates, selectors
from webapp.generations.models import Check, Entry, Generation
from webapp.generations.searched import trials
from webapp.generations.selectors import GenerationProgress
from webapp.http.problems import not_found

#: The rate of a generation is that of its last minute.
RATE_WINDOW_SECONDS = 60.0

State = Generation.State


@dataclass(frozen=True, slots=True, kw_only=True)
class PackWorkers:
    """A pack's GPU queues, each with the number of healthy workers that consume it."""

    pack: str
    workers: dict[str, int]

    @property
    def missing(self) -> list[str]:
        """The queues that nobody consumes."""
        return [queue for queue, count in self.workers.items() if not count]


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """One generation, as its page, the API and `manage.py reindex status` show it."""

    generation: Generation
    progress: GenerationProgress
    #: Photos per second in the last minute; None if none settled.
    rate: float | None
    #: None unless there are photos to do and the rate is known.
    seconds_left: float | None
    workers: PackWorkers
    #: What must hold before it is searched; none for the active one.
    gates: tuple[gates.Gate, ...]
    #: The latest comparison with the database (checks.check_summary); None without one.
    check: dict[str, Any] | None
    #: The latest change of its search parameters while it was searched (trials.trial_summary); None without one.
    trial: dict[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Portrait:
    """A face with its photo and gallery. `is_visible`: the caller may see them; of others show the face's id only."""

    face: Face
    is_visible: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A sampled face whose nearest neighbour is another one in the new generation.

    A portrait is None if there is no neighbour, or the face is gone by now.
    """

    face: Portrait
    old: Portrait | None
    new: Portrait | None
    old_similarity: float | None
    new_similarity: float | None


def generation_numbered(number: int) -> Generation:
    """Raises not_found."""
    generation = Generation.objects.filter(pk=number).first()
    if generation is None:
        raise not_found("generation")
    return generation


def overviews(generations: Sequence[Generation] | None = None) -> list[Overview]:
    """Return these generations as they are now; by default all, the newest first."""
    return _overviews(list(Generation.objects.all()) if generations is None else generations)


def overview(generation: Generation) -> Overview:
    return _overviews([generation])[0]


def pack_workers(packs: Iterable[str], reports: Sequence[WorkerReport]) -> list[PackWorkers]:
    """Count the workers that consume the GPU queues of each of these packs."""
    healthy = [report for report in reports if report.is_healthy]
    return [
        PackWorkers(
            pack=pack,
            workers={queue: sum(queue in report.queues for report in healthy) for queue in gpu_queues(pack)},
        )
        for pack in dict.fromkeys(packs)
    ]


def _overviews(generations: Sequence[Generation]) -> list[Overview]:
    now, reports = clock.utcnow(), work_queue().worker_reports()
    progress = selectors.progress_of_each(generations)
    rates = _rates(generations, now)
    workers = {each.pack: each for each in pack_workers((each.pack for each in generations), reports)}
    found = []
    for each in generations:
        to_do, rate = progress[each.pk].total - progress[each.pk].done, rates.get(each.pk)
        found.append(
            Overview(
                generation=each,
                progress=progress[each.pk],
                rate=rate,
                seconds_left=to_do / rate if to_do and rate else None,
                workers=workers[each.pack],
                gates=_gates(each, reports),
                check=check_summary(each),
                trial=trials.trial_summary(each),
            )
        )
    return found


def _rates(generations: Sequence[Generation], now: datetime) -> dict[int, float]:
    """Return the photos per second of those where photos settled lately; for a young one, since its start."""
    since = now - timedelta(seconds=RATE_WINDOW_SECONDS)
    lately = Entry.objects.filter(generation__in=[each.pk for each in generations], settled_at__gte=since)
    counts = dict(lately.order_by().values_list("generation_id").annotate(Count("id")))
    ages = {each.pk: min((now - each.created).total_seconds(), RATE_WINDOW_SECONDS) for each in generations}
    return {key: count / max(ages[key], 1.0) for key, count in counts.items()}


def _gates(generation: Generation, reports: Sequence[WorkerReport]) -> tuple[gates.Gate, ...]:
    match generation.state:
        case State.BUILDING | State.READY:
            return tuple(gates.gates_of(generation, reports))
        case State.RETIRED:
            return tuple(gate for gate in gates.gates_of(generation, reports) if gate.name in gates.ROLLBACK_GATES)
        case _:
            return ()


def changes(generation: Generation, caller: Caller) -> tuple[int, list[Change]]:
    """Return how many sampled faces were compared, and those whose answer differs, as far as the caller sees them."""
    compared, changed = gates.changed_answers(generation)
    portraits = _portraits({face_id for each in changed for face_id in (each.face_id, each.old, each.new)}, caller)
    found = [
        Change(
            face=portraits[each.face_id],
            old=portraits.get(each.old or ""),
            new=portraits.get(each.new or ""),
            old_similarity=each.old_similarity,
            new_similarity=each.new_similarity,
        )
        for each in changed
        if each.face_id in portraits
    ]
    return compared, found


def _portraits(face_ids: Iterable[str | None], caller: Caller) -> dict[str, Portrait]:
    wanted = [UUID(face_id) for face_id in face_ids if face_id]
    faces = Face.objects.filter(id__in=wanted).select_related("photo__gallery", "person")
    visible = set(photos_for(caller).filter(faces__id__in=wanted).values_list("id", flat=True))
    return {str(face.id): Portrait(face=face, is_visible=face.photo_id in visible) for face in faces}


def check_summary(generation: Generation) -> dict[str, Any] | None:
    """Return the generation's latest check, as its page, the API and `manage.py reindex` show it; None without one."""
    check = Check.objects.filter(generation=generation).first()
    if check is None:
        return None
    kinds = ("missing", "orphaned", "duplicated")
    counts: dict[str, int] = {kind: getattr(check, f"{kind}_count") for kind in kinds}
    return {
        "is_repair": check.is_repair,
        "is_finished": check.finished_at is not None,
        "is_consistent": not any(counts.values()),
        "started_at": check.started_at,
        "finished_at": check.finished_at,
        "face_count": check.face_count,
        **{f"{kind}_count": count for kind, count in counts.items()},
        **{kind: getattr(check, kind) for kind in kinds},
    }
