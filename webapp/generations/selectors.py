"""Reads of generations: which is active, which are filled, and how far each is."""

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from asgiref.sync import sync_to_async
from django.db import DatabaseError
from django.db.models import Count, Exists, OuterRef, QuerySet
from django.utils import timezone

from tasks.live_targets import LiveTargets
from tasks.messages.base import Target
from tasks.targets import default_target
from webapp.gallery.models import Face, Photo
from webapp.generations.models import LIVE_STATES, Entry, Generation

#: How long a web process searches what was active, in seconds.
FRESH_SECONDS = 1.0

#: A photo that was settled so lately may still be on its way to the other generations, in seconds.
FOLLOWING_SECONDS = 30.0

#: Photos that stay as they are until somebody acts: what a generation is filled with.
SETTLED = (Photo.State.INDEXED, Photo.State.NO_FACES, Photo.State.FAILED)


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationProgress:
    """How far a generation is: settled photos by what became of them in it. They add up to `total`."""

    total: int
    indexed: int = 0
    no_faces: int = 0
    failed: int = 0
    #: Of those without an outcome, the ones that are not settled for long: they follow within seconds, also afterwards.
    following: int = 0

    @property
    def missing(self) -> int:
        """Photos without an outcome that should have one by now."""
        return max(0, self.total - self.done - self.following)

    @property
    def done(self) -> int:
        return self.indexed + self.no_faces + self.failed


def active_generation() -> Generation:
    """Return the generation that is searched; the first one is made from the settings when it is first asked for."""
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
    """Return the generations that uploads and deletions go to, the active one first."""
    active = active_generation()
    others = Generation.objects.filter(state__in=LIVE_STATES, is_dropping=False).exclude(id=active.id)
    return [active, *others]


def generation_of(collection: str) -> Generation | None:
    """Return the live generation of a message; the active one for a message of a release that had only one."""
    if not collection:
        return active_generation()
    return next((each for each in live_generations() if each.collection == collection), None)


def live_targets() -> LiveTargets:
    active, *others = live_generations()
    return LiveTargets(active=active.target, others=tuple(each.target for each in others))


class ActiveTarget:
    """What is searched now, for the event loop of a web process: asked of the database once in FRESH_SECONDS.

    A database that does not answer is no reason to search something else than before.
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
    return active_generation().target


def missing_photos(generation: Generation, *, settled_since: datetime | None = None) -> QuerySet[Photo]:
    """Settled photos that the generation has no entry of.

    All of them, gallery by gallery, which takes a look at every photo; or those that were settled since then, in that
    order.
    """
    entries = Entry.objects.filter(generation=generation, photo=OuterRef("id"))
    missing = Photo.objects.filter(~Exists(entries), state__in=SETTLED)
    if settled_since is None:
        return missing.order_by("gallery_id", "id")
    # Asked for in another order, SQLite would look at every photo all the same.
    return missing.filter(settled_at__gte=settled_since).order_by("settled_at")


def is_being_filled(generation: Generation) -> bool:
    """Return whether photos lack an outcome in it that should have one by now, as far as is known without counting."""
    if Generation.objects.filter(pk=generation.pk, looked_through_at=None).exists():
        return True
    pending = generation.entries.filter(state=Entry.State.PENDING, photo__state__in=SETTLED)
    return pending.exclude(photo__settled_at__gte=_following_since()).exists()


def progress_of(generation: Generation) -> GenerationProgress:
    return progress_of_each([generation])[generation.pk]


def progress_of_each(generations: Sequence[Generation]) -> dict[int, GenerationProgress]:
    """Count for several generations."""
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
    return timezone.now() - timedelta(seconds=FOLLOWING_SECONDS)


def face_count(generation: Generation) -> int:
    """Return how many faces the database says the generation's collection has."""
    return Face.generations.through.objects.filter(generation_id=generation.pk).count()
