"""Reads of generations: which one is active, which are live, and how far each is filled."""

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from asgiref.sync import sync_to_async
from django.db import DatabaseError, close_old_connections
from django.db.models import Count, Exists, OuterRef, QuerySet

from tasks import clock
from tasks.dictionaries import face_config
from tasks.messages.base import Target
from tasks.targets import LiveTargets, default_target
from tasks.work_queue import work_queue
from webapp.gallery.models import Face, Photo
from webapp.generations.models import LIVE_STATES, Entry, Generation
from worker.recognition.packs.inventory import pack_entries

#: How long a web process may go on searching the previous generation after an activation, in seconds.
FRESH_SECONDS = 1.0

#: For this many seconds after it settled, a photo may still be on its way to the other generations.
FOLLOWING_SECONDS = 30.0

#: States of photos that workers are done with. Generations are filled with these, and with no cancelled ones.
SETTLED = (Photo.State.INDEXED, Photo.State.NO_FACES, Photo.State.FAILED)


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationProgress:
    """How far a generation is filled: settled photos by their outcome in it. The counts add up to `total`."""

    total: int
    indexed: int = 0
    no_faces: int = 0
    failed: int = 0
    #: Photos without an outcome that settled only just now: they follow within seconds, even after an activation.
    following: int = 0

    @property
    def missing(self) -> int:
        """Photos without an outcome that should have one by now."""
        return max(0, self.total - self.done - self.following)

    @property
    def done(self) -> int:
        return self.indexed + self.no_faces + self.failed


def usable_packs() -> list[str]:
    """Return the packs that a generation can be built with: the active one, those installed here, those of workers."""
    config = face_config()
    installed = [entry.name for entry in pack_entries(config.packs_dir, config.pack) if entry.state == "installed"]
    reported = sorted(report.pack for report in work_queue().worker_reports() if report.pack)
    return list(dict.fromkeys([active_generation().pack, *installed, *reported]))


def active_generation() -> Generation:
    """Return the generation that is searched. The very first call creates it from the settings."""
    found = Generation.objects.filter(state=Generation.State.ACTIVE).first()
    if found is not None:
        return found
    target = default_target()
    generation, _ = Generation.objects.get_or_create(
        collection=target.collection,
        defaults={"pack": target.pack, "state": Generation.State.ACTIVE, **target.index.model_dump()},
    )
    return generation


def live_generations() -> list[Generation]:
    """Return the generations that uploads and removals go to, the active one first."""
    active = active_generation()
    others = Generation.objects.filter(state__in=LIVE_STATES, is_dropping=False).exclude(id=active.id)
    return [active, *others]


def generation_of(collection: str) -> Generation | None:
    """Return the live generation that has the collection; None if there is none."""
    return next((each for each in live_generations() if each.collection == collection), None)


def live_targets() -> LiveTargets:
    active, *others = live_generations()
    return LiveTargets(active=active.target, others=tuple(each.target for each in others))


class ActiveTarget:
    """The target of searches, for the event loop of a web process. It is read at most once in FRESH_SECONDS.

    While the database does not answer, searches keep their previous target.
    """

    def __init__(self) -> None:
        self._target = default_target()
        self._asked_at = float("-inf")  # time.monotonic()

    async def __call__(self) -> Target:
        if time.monotonic() - self._asked_at > FRESH_SECONDS:
            with suppress(DatabaseError):
                self._target = await sync_to_async(_active_target)()
                self._asked_at = time.monotonic()
        return self._target


def _active_target() -> Target:
    close_old_connections()  # Django does so around its requests only: after a fault, this thread would keep its own
    return active_generation().target


def missing_photos(generation: Generation, *, settled_since: datetime | None = None) -> QuerySet[Photo]:
    """Return settled photos without an entry in the generation.

    Without `settled_since`, these are all such photos, ordered by gallery, which reads every photo; with it, only those
    settled since, ordered by that time.
    """
    entries = Entry.objects.filter(generation=generation, photo=OuterRef("id"))
    missing = Photo.objects.filter(~Exists(entries), state__in=SETTLED)
    if settled_since is None:
        return missing.order_by("gallery_id", "id")
    # With any other order, SQLite would still read every photo.
    return missing.filter(settled_at__gte=settled_since).order_by("settled_at")


def is_being_filled(generation: Generation) -> bool:
    """Return whether photos lack an outcome in it that should have one by now, as far as entries show."""
    if Generation.objects.filter(pk=generation.pk, looked_through_at=None).exists():
        return True
    pending = generation.entries.filter(state=Entry.State.PENDING, photo__state__in=SETTLED)
    return pending.exclude(photo__settled_at__gte=_following_since()).exists()


def progress_of(generation: Generation) -> GenerationProgress:
    return progress_of_each([generation])[generation.pk]


def progress_of_each(generations: Sequence[Generation]) -> dict[int, GenerationProgress]:
    """Return the progress of each generation by its primary key."""
    settled = Photo.objects.filter(state__in=SETTLED)
    recent = settled.filter(settled_at__gte=_following_since())
    total = settled.count()
    rows = (
        Entry.objects.filter(generation__in=[each.pk for each in generations], photo__state__in=SETTLED)
        .exclude(state=Entry.State.PENDING)
        .order_by()
        .values("generation_id", "state")
        .annotate(count=Count("id"))
    )
    counts: dict[int, dict[str, int]] = {}
    for each in generations:
        done = Entry.objects.filter(generation=each, photo=OuterRef("id")).exclude(state=Entry.State.PENDING)
        counts[each.pk] = {"following": recent.filter(~Exists(done)).count()}
    for row in cast("Sequence[dict[str, Any]]", rows):
        counts[row["generation_id"]][row["state"]] = row["count"]
    return {key: GenerationProgress(total=total, **found) for key, found in counts.items()}


def _following_since() -> datetime:
    return clock.utcnow() - timedelta(seconds=FOLLOWING_SECONDS)


def face_count(generation: Generation) -> int:
    """Return how many faces the generation's collection should hold according to the database."""
    return Face.generations.through.objects.filter(generation_id=generation.pk).count()
