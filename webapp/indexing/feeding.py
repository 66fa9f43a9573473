"""Feeding the index queue: a few messages wait in Redis, everything else as database rows, and every owner gets a turn.

Messages in a queue cannot be put into another order, so only what workers need for the next moments is sent. Each
message that is recorded makes room for another one, and so do uploads; a beat tick does the same in case both are
lost. An import of any size therefore never blocks, never fills Redis, and never holds up what others add.

The owner whose photos were sent the longest ago is next, and of this owner's jobs the one that has waited the longest.
A job's first message overtakes: it may exceed the bound, and waits behind no import. An owner has two such jobs at
most, and nobody overtakes once a message has waited for OVERTAKEN_SECONDS; RFC 8290 favours new flows in this way.

The bound is approximate: two processes that feed the queue at the same moment may both see the same room.
"""

import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, F, OuterRef, QuerySet, Subquery

from tasks.errors import QueueUnavailable
from tasks.queues import Priority
from webapp.gallery.attempts import messages_of
from webapp.gallery.models import Photo
from webapp.http import problems
from webapp.indexing import dispatch
from webapp.jobs.models import Job

logger = logging.getLogger(__name__)

#: Once a message has waited this long, none overtakes it any more. A full queue is normally done in less time, even
#: where workers index a photo in two seconds.
OVERTAKEN_SECONDS: Final = 120.0
#: How many further jobs of the same owner may fill up a message.
JOBS_IN_A_MESSAGE: Final = 20
#: Earlier than any time at which a photo was sent. A comparison with it uses the index, unlike "is not null" in SQLite.
EVER: Final = datetime.fromtimestamp(0, tz=UTC)


@dataclass(slots=True)
class _Owner:
    """Somebody with waiting photos. `jobs`: those that have any, the next one first; None for photos without a job."""

    jobs: deque[UUID | None]
    #: The jobs of which photos were sent and have no outcome yet.
    under_way: set[UUID | None] = field(default_factory=set)

    @property
    def may_overtake(self) -> bool:
        return not self.under_way or (len(self.under_way) == 1 and self.jobs[0] not in self.under_way)


@dataclass(frozen=True, slots=True)
class _Message:
    photos: list[Photo]
    priority: Priority


def index_queue_feed() -> str:
    """Send waiting photos while the index queue has room. Return a warning when the queue is down."""
    try:
        queue = dispatch.index_queue_status()
        room = settings.INDEX_QUEUE_BOUND - (queue.waiting - queue.first)  # removals take no room from photos
        is_patient = (queue.oldest_seconds or 0.0) < OVERTAKEN_SECONDS
        claimed = _claim(room, room_to_overtake=room + settings.INDEX_QUEUE_BOUND if is_patient else 0)
        priorities = {message.photos[0].pk: message.priority for message in claimed}
        dispatch.send_claimed(
            Photo.objects.all(),
            [message.photos for message in claimed],
            lambda photos: dispatch.enqueue_index(photos, priority=priorities[photos[0].pk]),
        )
    except QueueUnavailable as error:
        logger.warning("Photos stay pending until the queue is back: %s", error)
        return problems.QUEUE_DOWN
    return ""


def _claim(room: int, *, room_to_overtake: int) -> list[_Message]:
    """Claim the photos of the next messages, owner by owner; `room_to_overtake` is for jobs' first messages alone."""
    if max(room, room_to_overtake) <= 0 or not (owners := _owners()):
        return []
    claimed: list[_Message] = []
    with transaction.atomic(durable=True):
        while owners:
            owner = owners.popleft()
            overtakes = room_to_overtake > len(claimed) and owner.may_overtake
            if not overtakes and room <= len(claimed):
                continue
            if photos := _claim_next(owner):
                claimed.append(_Message(photos, Priority.SOON if overtakes else Priority.NORMAL))
                owners.append(owner)
    # Afterwards: whoever cancels a job locks it before its photos, so locking it after them might be a deadlock.
    for message in claimed:
        of_message = Job.objects.filter(id__in={photo.job_id for photo in message.photos})
        of_message.update(fed_at=message.photos[0].enqueued_at)
    return claimed


def _claim_next(owner: _Owner) -> list[Photo]:
    """Claim the photos of the owner's next message, and end the turn of its job; none when no photo is left."""
    while owner.jobs:
        photos = _next_photos(owner)
        if photos:
            message = next(messages_of(photos, settings.INDEX_CHUNK_SIZE))
            Photo.objects.claim(message)
            owner.under_way |= {photo.job_id for photo in message}
            owner.jobs.rotate(-1)
            return message
        owner.jobs.popleft()
    return []


def _next_photos(owner: _Owner) -> list[Photo]:
    """Return, locked, waiting photos of the next job. Too few for a message are filled up from other jobs.

    These are jobs of which nothing was sent yet: the outcomes of a small upload do not wait for photos of an import.
    """
    size = settings.INDEX_CHUNK_SIZE
    job_id = owner.jobs[0]
    others = [other for other in owner.jobs if other != job_id and other not in owner.under_way][:JOBS_IN_A_MESSAGE]
    photos = list(_waiting().filter(job=job_id).order_by("created", "id")[:size])
    if photos and others and len(photos) < size:
        same_gallery = _waiting().filter(job__in=others, gallery=photos[0].gallery_id)
        photos += same_gallery.order_by("created", "id")[: size - len(photos)]
    return photos


def _waiting() -> QuerySet[Photo]:
    return Photo.objects.claimable()


def _owners() -> deque[_Owner]:
    """Return those who have waiting photos, in the order of their turns. Probes jobs; reads no photo that waits."""
    waiting = Photo.objects.filter(state=Photo.State.PENDING, enqueued_at=None)
    last_turn = Job.objects.filter(owner=OuterRef("owner"), fed_at__isnull=False).order_by("-fed_at").values("fed_at")
    jobs = (
        Job.objects.filter(Exists(waiting.filter(job=OuterRef("pk"))), state=Job.State.RUNNING)
        .annotate(last_turn=Subquery(last_turn[:1]))
        .order_by(F("last_turn").asc(nulls_first=True), "owner_id", F("fed_at").asc(nulls_first=True), "created", "id")
    )
    owners: dict[int | None, _Owner] = {}
    if waiting.filter(job=None).exists():
        owners[None] = _Owner(deque([None]))  # they have been sent before, so they are few
    for owner_id, job_id in jobs.values_list("owner_id", "id"):
        owners.setdefault(owner_id, _Owner(deque())).jobs.append(job_id)
    for whose, sent in _under_way() if owners else ():
        if whose in owners:
            owners[whose].under_way.add(sent)
    return deque(owners.values())


def _under_way() -> Sequence[tuple[int | None, UUID | None]]:
    """Return (owner id, job id) of the photos that were sent and have no outcome: no more than the queue holds."""
    sent = Photo.objects.filter(state=Photo.State.PENDING, enqueued_at__gt=EVER)
    return list(sent.order_by().values_list("job__owner_id", "job_id").distinct())
