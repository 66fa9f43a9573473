"""Filling generations: what a beat tick does, always from what the database says, so that a crash costs nothing.

A settled photo without an entry in a live generation is to be sent there. That is so of all photos when a generation
begins, of one that was added or indexed anew since, and of what an operator wants rebuilt. So building, dual writing
and catching up after a rollback are one thing. To look for such photos among all takes seconds for a million; so it
finds thousands at a time, whose entries say that they are to be sent, and once it finds no more, the ticks look for
some minutes only at what was settled since.

Where the active generation has the same pack, embeddings are copied; otherwise the pack looks at the photos. Photos
that are not settled yet come later: the faces that the active generation finds in them lend their ids to those that the
others find.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from tasks.errors import QueueUnavailable
from tasks.health.reports import WorkerReport
from tasks.messages.generations import Copied, CopyRequest
from tasks.queues import reindex_queue
from tasks.work_queue import work_queue
from webapp.gallery import chunks
from webapp.gallery.models import Photo, Tombstone
from webapp.generations import measuring, selectors
from webapp.generations.entries import BATCH_SIZE, copy_enter
from webapp.generations.models import Entry, Generation
from webapp.generations.services import drops_send_again
from webapp.indexing import consistency, dispatch, pacing
from worker.vector_search.copying import COPY_CHUNK_PHOTOS

logger = logging.getLogger(__name__)

#: Messages that wait in a re-index queue at most: few, so that a pause and a lower rate are felt at once.
QUEUE_BOUND = 4
#: Photos that are given an entry at a time, or more when more can be sent at once.
PLAN_SIZE = 10_000
#: How often all photos are looked at, in seconds.
FULL_LOOK_SECONDS = 300.0
#: How long an outcome may take from its time to where others see it: a transaction, and clocks that differ.
UNSEEN_SECONDS = 60.0


def generations_advance() -> None:
    """One tick: publish what is live, learn what workers tell, send photos, measure, check. Raises QueueUnavailable."""
    work_queue().publish_targets(selectors.live_targets())
    reports = work_queue().worker_reports()
    for generation in selectors.live_generations():
        _learn(generation, reports)
        if generation.is_paused or not generation.fingerprint:
            continue
        if _has_worker(generation, reports):
            generation_feed(generation, reports)
        if generation.state in (Generation.State.BUILDING, Generation.State.READY):
            measuring.advance(generation)
    drops_send_again()
    consistency.checks_send_again()


def generation_feed(generation: Generation, reports: Sequence[WorkerReport]) -> int:
    """Send as many photos to the generation as its rate and its queue allow; return how many."""
    now = timezone.now()
    [status] = work_queue().statuses([reindex_queue(generation.pack)])
    if status.waiting == 0:
        _send_stale_again(generation, now)
    room = QUEUE_BOUND - status.waiting
    if room <= 0:
        return 0
    source = selectors.active_generation()
    if source.pk != generation.pk and source.fingerprint == generation.fingerprint:
        allowed = pacing.photos_allowed(generation, reports, now, first_rate=pacing.FIRST_COPY_RATE)
        return _feed_copies(generation, source, room, allowed)
    allowed = pacing.photos_allowed(generation, reports, now)
    return _feed_photos(generation, min(allowed, room * settings.INDEX_CHUNK_SIZE), now)


def copy_record(*, copied: Copied) -> None:
    """Write down a copied range; remove from everywhere what was deleted while it was copied. May run twice."""
    generation, source = (selectors.generation_of(name) for name in (copied.collection, copied.source))
    if generation is None or source is None or not copy_enter(generation=generation, source=source, copied=copied):
        return
    since = timezone.now() - timedelta(seconds=settings.VISIBILITY_TIMEOUT_SECONDS)
    deleted = Tombstone.objects.filter(
        gallery_id=copied.gallery_id, photo_id__gte=copied.first, photo_id__lte=copied.last, deleted_at__gte=since
    )
    if photo_ids := list(deleted.values_list("photo_id", flat=True)):
        dispatch.enqueue_removal(gallery_id=UUID(copied.gallery_id), photo_ids=photo_ids)


def _learn(generation: Generation, reports: Sequence[WorkerReport]) -> None:
    """Remember what the workers of the generation's pack say of it; their detector changes with their settings."""
    of_pack = (each for each in reports if each.pack == generation.pack and each.fingerprint)
    holder = next((each for each in of_pack if generation.fingerprint in ("", each.fingerprint)), None)
    if holder is None or (holder.fingerprint, holder.detector) == (generation.fingerprint, generation.detector):
        return
    generation.fingerprint, generation.dimension = holder.fingerprint, holder.dimension
    generation.detector = holder.detector
    generation.save(update_fields=["fingerprint", "dimension", "detector"])


def _has_worker(generation: Generation, reports: Sequence[WorkerReport]) -> bool:
    queue = reindex_queue(generation.pack)
    return any(queue in each.queues and each.fingerprint == generation.fingerprint for each in reports)


def _send_stale_again(generation: Generation, now: datetime) -> None:
    """Give what was sent and never answered another attempt, or up; nothing waits in the queue."""
    since = now - timedelta(seconds=settings.INDEX_LEASE_SECONDS)
    stale = generation.entries.filter(state=Entry.State.PENDING, enqueued_at__lt=since)
    spent = stale.filter(attempts__gte=settings.INDEX_MAX_ATTEMPTS)
    message = f"No worker finished this photo in {settings.INDEX_MAX_ATTEMPTS} attempts."
    spent.update(state=Entry.State.FAILED, code="gave_up", message=message, settled_at=now)
    if again := stale.update(enqueued_at=None):
        logger.info("%s: %d photos are sent again.", generation, again)


# -- photos that the pack looks at -------------------------------------------------------------------------


def _feed_photos(generation: Generation, most: int, now: datetime) -> int:
    photos = _claim(generation, most, now)
    queue = reindex_queue(generation.pack)
    located_in = _located_in(generation)
    sent = 0
    for chunk in _by_gallery(photos, settings.INDEX_CHUNK_SIZE):
        try:
            dispatch.send_photos(chunk, target=generation.target, queue=queue, located_in=located_in)
        except QueueUnavailable:
            _give_back(generation, photos[sent:])
            raise
        sent += len(chunk)
    return sent


def _located_in(generation: Generation) -> Generation | None:
    """Return the active generation when this one would find in every photo what that has found."""
    active = selectors.active_generation()
    has_same_detector = active.detector == generation.detector != ""
    return active if has_same_detector and active.pk != generation.pk else None


def _claim(generation: Generation, most: int, now: datetime) -> list[Photo]:
    """Mark up to `most` photos as sent, gallery by gallery; return them."""
    wanted = max(1, most)  # whether anything is left must be known also while nothing may be sent
    with transaction.atomic(durable=True):
        locked = Generation.objects.select_for_update().get(pk=generation.pk)  # two ticks take turns here
        entries = _to_send(generation, wanted)
        if len(entries) < wanted:
            _plan(locked, wanted, now)
            entries = _to_send(generation, wanted)
        if most <= 0:
            return []
        claimed = generation.entries.filter(pk__in=[entry.pk for entry in entries], state=Entry.State.PENDING)
        claimed.update(enqueued_at=now, attempts=F("attempts") + 1)
        Generation.objects.filter(pk=generation.pk).update(fed_at=now)
    return sorted((entry.photo for entry in entries), key=lambda photo: (str(photo.gallery_id), str(photo.id)))


def _to_send(generation: Generation, most: int) -> list[Entry]:
    waiting = generation.entries.filter(
        state=Entry.State.PENDING, enqueued_at=None, photo__state__in=selectors.SETTLED
    ).order_by("photo__gallery_id", "photo_id")
    return list(waiting.select_related("photo")[:most])


def _plan(generation: Generation, most: int, now: datetime) -> None:
    """Give an entry to photos that have none; remember when there were none left. The generation's row is locked."""
    looked_at, size = generation.looked_through_at, max(PLAN_SIZE, most)
    is_full = looked_at is None or now - looked_at > timedelta(seconds=FULL_LOOK_SECONDS)
    since = None if looked_at is None or is_full else looked_at - timedelta(seconds=UNSEEN_SECONDS)
    found = selectors.missing_photos(generation, settled_since=since).values_list("pk", flat=True)[:size]
    entries = [Entry(generation=generation, photo_id=photo_id) for photo_id in found]
    Entry.objects.bulk_create(entries, ignore_conflicts=True, batch_size=BATCH_SIZE)
    if is_full and len(entries) < size:
        Generation.objects.filter(pk=generation.pk).update(looked_through_at=now)


def _give_back(generation: Generation, photos: Iterable[Photo]) -> None:
    """Undo the claim: a queue that is down costs no attempt."""
    unsent = generation.entries.filter(photo__in=[photo.pk for photo in photos], state=Entry.State.PENDING)
    unsent.update(enqueued_at=None, attempts=F("attempts") - 1)


def _by_gallery(photos: Iterable[Photo], size: int) -> Iterator[list[Photo]]:
    together: defaultdict[UUID, list[Photo]] = defaultdict(list)
    for photo in photos:
        together[photo.gallery_id].append(photo)
    for chunk in together.values():
        yield from chunks.chunks(chunk, size)


# -- photos whose embeddings are copied ----------------------------------------------------------------------


def _feed_copies(generation: Generation, source: Generation, room: int, allowed: int) -> int:
    photos = _claim(generation, min(allowed, room * COPY_CHUNK_PHOTOS), timezone.now())
    sent = 0
    for chunk in _by_gallery(photos, COPY_CHUNK_PHOTOS):
        request = CopyRequest(
            source=source.target,
            target=generation.target,
            gallery_id=str(chunk[0].gallery_id),
            first=str(chunk[0].id),
            last=str(chunk[-1].id),
        )
        try:
            work_queue().send(request, queue=reindex_queue(generation.pack))
        except QueueUnavailable:
            _give_back(generation, photos[sent:])
            raise
        sent += len(chunk)
    return sent
