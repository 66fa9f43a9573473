"""Filling generations: a beat tick that starts from what the database says, so that a crash costs nothing.

A settled photo without an entry in a live generation must be sent to it. This one rule covers building a generation,
dual writing, catching up after a rollback, and rebuilding a gallery. Scanning all photos for such ones takes seconds
when there are a million, so each scan finds thousands and gives them pending entries. Once a scan finds no more, the
ticks of the next minutes only scan the photos that were settled since.

If the active generation has the same pack, embeddings are copied; otherwise workers of the pack index the photos.
Photos that are not settled yet come later, because faces take over the ids that the active generation gives them.
"""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction

from tasks import clock
from tasks.health.reports import WorkerReport
from tasks.messages.generations import Copied, CopyRequest
from tasks.queues import reindex_queue
from tasks.work_queue import work_queue
from webapp.gallery.attempts import messages_of
from webapp.gallery.models import Tombstone
from webapp.generations import measuring, selectors
from webapp.generations.entries import BATCH_SIZE, copy_enter, photos_follow
from webapp.generations.models import Entry, Generation
from webapp.generations.services import drops_send_again
from webapp.indexing import consistency, dispatch, pacing
from worker.errors import PhotoKillsWorkers
from worker.vector_search.copying import COPY_CHUNK_PHOTOS

logger = logging.getLogger(__name__)

#: The most messages in a re-index queue: few, so that a pause or a lower rate takes effect at once.
QUEUE_BOUND = 4
#: How many photos are given an entry at a time, or more when more can be sent at once.
PLAN_SIZE = 10_000
#: How often all photos are scanned for ones without an entry, in seconds.
FULL_LOOK_SECONDS = 300.0
#: The most seconds between an outcome's `settled_at` and the moment others see it: a transaction.
UNSEEN_SECONDS = 60.0


def generations_advance() -> None:
    """One tick: publish the live targets, read worker reports, send photos, measure, check. Raises QueueUnavailable."""
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
    now = clock.utcnow()
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
    """Record a copied range; remove the vectors of photos that were deleted while it was copied. May run twice."""
    generation, source = (selectors.generation_of(name) for name in (copied.collection, copied.source))
    if generation is None or source is None or not copy_enter(generation=generation, source=source, copied=copied):
        return
    since = clock.utcnow() - timedelta(seconds=settings.VISIBILITY_TIMEOUT_SECONDS)
    deleted = Tombstone.objects.filter(
        gallery_id=copied.gallery_id, photo_id__gte=copied.first, photo_id__lte=copied.last, deleted_at__gte=since
    )
    if photo_ids := list(deleted.values_list("photo_id", flat=True)):
        dispatch.enqueue_removal(gallery_id=UUID(copied.gallery_id), photo_ids=photo_ids)


def _learn(generation: Generation, reports: Sequence[WorkerReport]) -> None:
    """Store what the workers of the generation's pack report; their detector changes with their settings."""
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
    """Send again the photos that got no outcome in time, or give up on them. Nothing may be waiting in the queue."""
    lease = timedelta(seconds=settings.INDEX_LEASE_SECONDS)
    again, given_up = generation.entries.send_again_if_stale(sent_before=now - lease)
    if given_up and generation.state == Generation.State.ACTIVE:
        photos_follow(generation)
    if again or given_up:
        logger.info("%s: %d stale photos wait to be sent again, %d given up.", generation, again, given_up)


def _feed_photos(generation: Generation, most: int, now: datetime) -> int:
    """Have workers of the generation's pack index up to `most` photos; return how many were sent."""
    queue, located_in = reindex_queue(generation.pack), _located_in(generation)

    def send(entries: Sequence[Entry]) -> None:
        photos = [entry.photo for entry in entries]
        alone = entries[0].is_suspect
        dispatch.send_photos(photos, target=generation.target, queue=queue, alone=alone, located_in=located_in)

    messages = messages_of(_claim(generation, most, now), settings.INDEX_CHUNK_SIZE)
    return dispatch.send_claimed(generation.entries.all(), list(messages), send)


def _located_in(generation: Generation) -> Generation | None:
    """Return the active generation if it has the same detector, and so has found the same faces in every photo."""
    active = selectors.active_generation()
    has_same_detector = active.detector == generation.detector != ""
    return active if has_same_detector and active.pk != generation.pk else None


def _feed_copies(generation: Generation, source: Generation, room: int, allowed: int) -> int:
    """Have the embeddings of photos copied from the source; return of how many photos."""

    def send(entries: Sequence[Entry]) -> None:
        request = CopyRequest(
            source=source.target,
            target=generation.target,
            gallery_id=str(entries[0].gallery_id),
            first=str(entries[0].photo_id),
            last=str(entries[-1].photo_id),
        )
        work_queue().send(request, queue=reindex_queue(generation.pack))

    claimed = _claim(generation, min(allowed, room * COPY_CHUNK_PHOTOS), clock.utcnow())
    messages = messages_of(claimed, COPY_CHUNK_PHOTOS, isolate=False)
    return dispatch.send_claimed(generation.entries.all(), list(messages), send)


def _claim(generation: Generation, most: int, now: datetime) -> list[Entry]:
    """Claim up to `most` entries; return them gallery by gallery, with their photos."""
    wanted = max(1, most)  # even while nothing may be sent, find out whether any photo is left
    with transaction.atomic(durable=True):
        locked = Generation.objects.select_for_update().get(pk=generation.pk)  # two ticks take turns here
        entries = _to_send(generation, wanted)
        if len(entries) < wanted:
            _plan(locked, wanted, now)
            entries = _to_send(generation, wanted)
        if most <= 0:
            return []
        generation.entries.claim(entries)
        Generation.objects.filter(pk=generation.pk).update(fed_at=now)
    return entries


def _to_send(generation: Generation, most: int) -> list[Entry]:
    waiting = generation.entries.claimable().filter(photo__state__in=selectors.SETTLED)
    return list(waiting.order_by("photo__gallery_id", "photo_id").select_related("photo")[:most])


def _plan(generation: Generation, most: int, now: datetime) -> None:
    """Give entries to photos that have none; note when none is left. The caller has locked the generation's row.

    The entry of a photo that has killed workers is a suspect from the beginning.
    """
    looked_at, size = generation.looked_through_at, max(PLAN_SIZE, most)
    is_full = looked_at is None or now - looked_at > timedelta(seconds=FULL_LOOK_SECONDS)
    since = None if looked_at is None or is_full else looked_at - timedelta(seconds=UNSEEN_SECONDS)
    found = selectors.missing_photos(generation, settled_since=since).values_list("pk", "code")[:size]
    entries = [
        Entry(generation=generation, photo_id=photo_id, attempts=int(code == PhotoKillsWorkers.code))
        for photo_id, code in found
    ]
    Entry.objects.bulk_create(entries, ignore_conflicts=True, batch_size=BATCH_SIZE)
    if is_full and len(entries) < size:
        Generation.objects.filter(pk=generation.pk).update(looked_through_at=now)
