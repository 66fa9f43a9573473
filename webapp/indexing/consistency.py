"""The consistency check of a generation: comparing its collection with the database.

A check visits the galleries by id, and each gallery in ranges of photo ids without gaps, so that faces of deleted
photos are found too. A re-index worker checks one range at a time; recording its answer sends the next range, and the
tick sends again a range that nobody has answered. Finally, the check looks for faces that belong to no gallery.

Photos that are being written at the same time would seem to differ. So the check only judges photos that had settled
well before the database was read and have not changed when the answer arrives; the others are left to the next check.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from tasks import clock
from tasks.messages.consistency import Checked, CheckRequest, OrphanInfo, StrayRequest
from tasks.queues import Priority, reindex_queue
from tasks.work_queue import work_queue
from webapp.accounts.audit import audit
from webapp.gallery.models import Face, Gallery, Photo, Tombstone
from webapp.generations import selectors
from webapp.generations.entries import entries_forget
from webapp.generations.models import LIVE_STATES, Check, Entry, Generation
from webapp.http.problems import Problem
from webapp.indexing import dispatch

#: Photos in one range.
RANGE_PHOTOS: Final = 500
#: The least age of an outcome that is judged: by then, the transaction that wrote it is visible.
STEADY_SECONDS: Final = 10.0
#: How many ids of each kind are stored.
KEPT_IDS: Final = 50
#: The lowest and the highest id.
FIRST_ID: Final = str(UUID(int=0))
LAST_ID: Final = str(UUID(int=2**128 - 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Differences:
    """Differences that a worker has found and the database confirms."""

    missing: Sequence[Face]
    duplicated: Sequence[str]
    #: Faces in the collection only: of photos that have other faces, and of photos that are not wanted in the gallery.
    stale: Sequence[OrphanInfo]
    lost: Sequence[OrphanInfo]


def check_start(*, generation: Generation, actor: str, is_repair: bool = False) -> Check:
    """Start comparing the generation's collection with the database; with `is_repair`, differences are repaired.

    Photos with missing or stale faces are indexed again by the tick, faces without a photo are removed, and faces that
    are stored several times are written once. Raises Problem when the generation is not live, or is being checked.
    """
    with transaction.atomic(durable=True):
        found = Generation.objects.select_for_update().filter(pk=generation.pk, is_dropping=False).first()
        if found is None or found.state not in LIVE_STATES:
            raise Problem("not_live", f"{generation} is no longer filled: there is nothing to check.", status=409)
        if Check.objects.filter(generation=found, finished_at=None).exists():
            raise Problem("check_running", f"{generation} is already being checked.", status=409)
        Check.objects.filter(generation=found).delete()
        check = Check(generation=found, is_repair=is_repair)
        _turn_to(check, _gallery_after(None))
        check.save(force_insert=True)
        audit(actor=actor, action="reindex.check", subject=str(found), is_repair=is_repair)
    return check


def checks_send_again() -> None:
    """Send the current range of each check, unless it was sent recently. Raises QueueUnavailable."""
    since = clock.utcnow() - timedelta(seconds=settings.INDEX_LEASE_SECONDS)
    running = Check.objects.filter(finished_at=None, generation__is_dropping=False).select_related("generation")
    for check in running.exclude(sent_at__gte=since):
        _send(check)


def check_record(*, checked: Checked) -> None:
    """Count the differences in a range, repair them if requested, and send the next range. May run twice.

    Raises QueueUnavailable when a removal cannot be sent.
    """
    check = _awaiting(checked).first()
    if check is None:
        return
    found = _confirmed(check.generation, checked)
    if check.is_repair:
        _repair(check.generation, found)
    with transaction.atomic():
        if not _count_and_move(checked, found):
            return
    unfinished = Check.objects.filter(pk=check.pk, finished_at=None).select_related("generation").first()
    if unfinished is not None:
        _send(unfinished)


# -- range by range ----------------------------------------------------------------------------------------


def _send(check: Check) -> None:
    known_at = clock.now()
    gallery_id = check.gallery_id
    request = _request(check, gallery_id, known_at) if gallery_id else _stray_request(check, known_at)
    queue = reindex_queue(request.target.pack)
    work_queue().send(request, queue=queue, expires_seconds=settings.INDEX_LEASE_SECONDS)
    same = Check.objects.filter(pk=check.pk, gallery_id=gallery_id, first=check.first)
    same.update(sent_at=datetime.fromtimestamp(known_at, tz=UTC))


def _request(check: Check, gallery_id: UUID, known_at: float) -> CheckRequest:
    photos = Photo.objects.filter(gallery=gallery_id, id__gte=check.first).order_by("id")
    photo_ids = list(photos.values_list("id", flat=True)[:RANGE_PHOTOS])
    last = str(photo_ids[-1]) if len(photo_ids) == RANGE_PHOTOS else LAST_ID
    steady = _steady(check.generation, photo_ids, known_at)
    known = Face.objects.filter(photo__in=steady, generations=check.generation)
    return CheckRequest(
        target=check.generation.target,
        run_id=str(check.run_id),
        gallery_id=str(gallery_id),
        first=check.first,
        last=last,
        face_ids=tuple(str(face_id) for face_id in known.values_list("id", flat=True)),
        known_at=known_at,
        repairs=check.is_repair,
    )


def _stray_request(check: Check, known_at: float) -> StrayRequest:
    return StrayRequest(
        target=check.generation.target,
        run_id=str(check.run_id),
        gallery_ids=tuple(str(gallery_id) for gallery_id in Gallery.objects.values_list("id", flat=True)),
        face_count=check.face_count,
        known_at=known_at,
    )


def _awaiting(checked: Checked) -> QuerySet[Check]:
    """Return the check whose current range this answers; none if the range was answered before."""
    return Check.objects.filter(
        run_id=checked.run_id,
        finished_at=None,
        gallery_id=UUID(checked.gallery_id) if checked.gallery_id else None,
        first=checked.first,
    ).select_related("generation")


def _count_and_move(checked: Checked, found: _Differences) -> bool:
    """Add what was found and move on to the next range; return False if another answer has done so."""
    check = _awaiting(checked).select_for_update(of=("self",)).first()
    if check is None:
        return False
    _add(check, "missing", [str(face.id) for face in found.missing])
    _add(check, "orphaned", [face.face_id for face in (*found.stale, *found.lost)])
    _add(check, "duplicated", found.duplicated)
    check.face_count += checked.face_count
    check.sent_at = None
    if check.gallery_id is None:
        check.finished_at = clock.utcnow()
    elif checked.last < LAST_ID:
        check.first = str(UUID(int=UUID(checked.last).int + 1))
    else:
        _turn_to(check, _gallery_after(check.gallery_id))
    check.save()
    return True


def _turn_to(check: Check, gallery_id: UUID | None) -> None:
    check.gallery_id, check.first = gallery_id, FIRST_ID if gallery_id else ""


def _add(check: Check, kind: str, ids: Sequence[str]) -> None:
    count = f"{kind}_count"
    setattr(check, count, getattr(check, count) + len(ids))
    setattr(check, kind, [*getattr(check, kind), *ids][:KEPT_IDS])


def _gallery_after(gallery_id: UUID | None) -> UUID | None:
    """Return the next gallery's id, the first one's for None; None when no gallery is left."""
    galleries = Gallery.objects.order_by("id")
    if gallery_id is not None:
        galleries = galleries.filter(id__gt=gallery_id)
    return galleries.values_list("id", flat=True).first()


# -- confirming and repairing differences ----------------------------------------------------------------------


def _confirmed(generation: Generation, checked: Checked) -> _Differences:
    """Return the differences in photos that settled long enough ago, and in photos that are deleted for good."""
    faces = Face.objects.filter(id__in=[*checked.missing, *checked.duplicated], generations=generation)
    known = {str(face.id): face for face in faces}
    orphaned_in = {UUID(face.photo_id) for face in checked.orphaned}
    steady = set(_steady(generation, orphaned_in | {face.photo_id for face in known.values()}, checked.known_at))
    wanted = Photo.objects.exclude(state=Photo.State.CANCELLED)
    still_there = set(wanted.filter(id__in=orphaned_in).values_list("id", "gallery_id"))
    # These photos were deleted or moved recently: their last removal is still to come.
    awaited = set(Tombstone.objects.filter(photo_id__in=orphaned_in).values_list("photo_id", flat=True))
    awaited |= set(Photo.objects.filter(id__in=orphaned_in, state=Photo.State.MOVING).values_list("id", flat=True))
    named = Face.objects.filter(id__in=[face.face_id for face in checked.orphaned], generations=generation)
    by_now = set(named.values_list("id", flat=True))
    orphaned = [
        face for face in checked.orphaned if UUID(face.photo_id) not in awaited and UUID(face.face_id) not in by_now
    ]
    return _Differences(
        missing=[known[each] for each in checked.missing if each in known and known[each].photo_id in steady],
        duplicated=[each for each in checked.duplicated if each in known and known[each].photo_id in steady],
        stale=[face for face in orphaned if UUID(face.photo_id) in steady and _home(face) in still_there],
        lost=[face for face in orphaned if _home(face) not in still_there],
    )


def _home(face: OrphanInfo) -> tuple[UUID, UUID]:
    """Return the photo and the gallery that the collection has the face in."""
    return UUID(face.photo_id), UUID(face.gallery_id)


def _steady(generation: Generation, photo_ids: Collection[UUID], known_at: float) -> Iterable[UUID]:
    """Return those of the photos whose outcome in the generation was recorded well before that time."""
    before = datetime.fromtimestamp(known_at - STEADY_SECONDS, tz=UTC)
    entries = Entry.objects.filter(
        settled_at__lt=before,
        generation=generation,
        photo__in=photo_ids,
        photo__state__in=selectors.SETTLED,
    )
    return entries.exclude(state=Entry.State.PENDING).values_list("photo_id", flat=True)


def _repair(generation: Generation, found: _Differences) -> None:
    """Index again the photos whose faces differ; remove faces whose photo no longer exists. Raises QueueUnavailable."""
    lost: defaultdict[str, set[UUID]] = defaultdict(set)
    for face in found.lost:
        lost[face.gallery_id].add(UUID(face.photo_id))
    for gallery_id, photo_ids in lost.items():
        dispatch.enqueue_removal(gallery_id=UUID(gallery_id), photo_ids=sorted(photo_ids), priority=Priority.NORMAL)
    again = {face.photo_id for face in found.missing} | {UUID(face.photo_id) for face in found.stale}
    if again:
        entries = Entry.objects.filter(generation=generation, photo__in=again).exclude(state=Entry.State.PENDING)
        entries_forget(entries, generation=generation)
