"""Writes to galleries and photos. Each function owns its transaction and sends to the queue after the commit.

Every change of a photo's state is guarded by the state it expects, so that a task may run twice and late answers
change nothing. A queue that is down never loses a photo: it stays `pending` (or `deleting`) and
`stale_photos_requeue` sends it later.
"""

from collections.abc import Iterable, Sequence
from uuid import UUID

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.core.files.storage import default_storage
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone

from tasks.messages.base import ErrorInfo
from tasks.messages.indexing import PhotoOutcomeInfo
from webapp.gallery import dispatch
from webapp.gallery.adding import AddedFile, PhotosAdded, photos_add
from webapp.gallery.feeding import index_queue_feed
from webapp.gallery.models import CANCELLED, Face, Gallery, Photo, Tombstone
from webapp.gallery.people import people_tidy
from webapp.gallery.sweeping import stale_photos_requeue
from webapp.gallery.tombstones import tombstones_set
from webapp.operations.generation_selectors import generation_of
from webapp.operations.models import Generation, Job
from webapp.operations.recording import failure_note, outcome_enter
from webapp.operations.services import job_start, jobs_finish
from webapp.problems import Problem

__all__ = [
    "AddedFile",
    "PhotosAdded",
    "failed_photos_retry",
    "gallery_create",
    "gallery_delete",
    "index_failure_record",
    "index_queue_feed",
    "job_retry",
    "outcomes_record",
    "photos_add",
    "photos_delete",
    "removals_record",
    "stale_photos_requeue",
]

State = Photo.State


def gallery_create(*, owner: AbstractBaseUser | AnonymousUser, name: str) -> Gallery:
    """Create a gallery; a name is taken once per owner."""
    name = " ".join(name.split())
    longest = Gallery._meta.get_field("name").max_length or 0
    if not name or len(name) > longest:
        raise Problem("gallery_name", f"A gallery needs a name of 1 to {longest} characters.", status=400)
    try:
        with transaction.atomic():
            return Gallery.objects.create(owner_id=owner.pk, name=name)  # type: ignore[misc]
    except IntegrityError:
        raise Problem("gallery_exists", f"You already have a gallery named “{name}”.", status=409) from None


def gallery_delete(*, gallery: Gallery) -> str:
    """Delete the gallery and all its photos; the row goes with the last photo. Returns a warning or ""."""
    with transaction.atomic(durable=True):
        # photos_add locks this row, so no photo slips in between.
        Gallery.objects.filter(id=gallery.id).update(deleting=True)
        photo_ids = _mark_for_deletion(gallery, gallery.photos.all())
        _delete_emptied_galleries([gallery.id])
    return dispatch.send_for_removal(gallery_id=gallery.id, photo_ids=photo_ids)


def outcomes_record(*, gallery_id: UUID, outcomes: Sequence[PhotoOutcomeInfo], collection: str = "") -> None:
    """Write down what became of photos of one gallery in the generation of this collection. May run twice, and late.

    A photo that was deleted or cancelled meanwhile is left alone, but its faces, indexed all the same, are removed
    once more. Raises QueueUnavailable when that cannot be sent now.
    """
    generation = generation_of(collection)
    if generation is None:
        return  # it has been dropped, and its faces with it
    orphans: list[UUID] = []
    job_ids: set[UUID] = set()
    for outcome in outcomes:
        photo = _outcome_record(outcome, generation)
        if photo is None and outcome.faces:
            orphans.append(UUID(outcome.photo_id))
        elif photo is not None and photo.job_id:
            job_ids.add(photo.job_id)
    jobs_finish(job_ids)
    if orphans:
        with transaction.atomic():
            Face.objects.filter(photo_id__in=orphans).delete()
            tombstones_set(dict.fromkeys(orphans, gallery_id))
        dispatch.enqueue_removal(gallery_id=gallery_id, photo_ids=orphans)


def _outcome_record(outcome: PhotoOutcomeInfo, generation: Generation) -> Photo | None:
    """Apply one outcome and return its photo; None when the photo is deleted or cancelled."""
    with transaction.atomic():
        photo = Photo.objects.select_for_update().exclude(state=State.DELETING).filter(id=outcome.photo_id).first()
        if photo is None or photo.code == CANCELLED:
            return None
        if generation.state == Generation.State.ACTIVE:
            _photo_settle(photo, outcome)
        outcome_enter(generation=generation, photo=photo, outcome=outcome)
    return photo


def _photo_settle(photo: Photo, outcome: PhotoOutcomeInfo) -> None:
    if outcome.state == "failed" and photo.state not in (State.PENDING, State.FAILED):
        return  # the photo was sent twice, and one of the two runs succeeded
    photo.state = State(outcome.state)
    photo.code, photo.message = outcome.code, outcome.message
    photo.width, photo.height = outcome.width, outcome.height
    photo.image_format = outcome.image_format
    photo.settled_at = timezone.now()
    photo.save(update_fields=["state", "code", "message", "width", "height", "image_format", "settled_at"])


def index_failure_record(*, photo_ids: Sequence[UUID | str], error: ErrorInfo, collection: str = "") -> None:
    """Note why a worker could not finish these photos. They stay pending: the sweep sends them again."""
    generation = generation_of(collection)
    if generation is not None and generation.state != Generation.State.ACTIVE:
        failure_note(generation=generation, photo_ids=photo_ids, error=error)
        return
    pending = Photo.objects.filter(id__in=photo_ids, state=State.PENDING)
    pending.update(code=error.code, message=error.message)


def photos_delete(*, gallery: Gallery, photo_ids: Iterable[UUID]) -> str:
    """Mark photos for deletion; they go once their faces are gone from the vector store. Returns a warning or "".

    Several photos are a job.
    """
    with transaction.atomic(durable=True):
        found = _mark_for_deletion(gallery, gallery.photos.filter(id__in=list(photo_ids)))
    return dispatch.send_for_removal(gallery_id=gallery.id, photo_ids=found)


def _mark_for_deletion(gallery: Gallery, photos: QuerySet[Photo]) -> list[UUID]:
    """Return the ids of those that were not on their way out before."""
    kept = photos.exclude(state=State.DELETING)
    found = list(kept.select_for_update().values_list("id", flat=True))
    job = job_start(kind=Job.Kind.DELETE, gallery=gallery, total=len(found)) if len(found) > 1 else None
    kept.update(state=State.DELETING, enqueued_at=timezone.now(), job=job)
    return found


def removals_record(*, photo_ids: Sequence[UUID | str]) -> None:
    """Delete file and row of photos whose faces are gone. May run twice.

    The file goes first: a crash in between leaves a `deleting` row, which is removed again, and never a file
    that nobody knows of. Raises QueueUnavailable when a photo must be indexed again and cannot be sent.
    """
    photos = list(Photo.objects.filter(id__in=photo_ids, state=State.DELETING))
    for photo in photos:
        default_storage.delete(str(photo.file.name))
    with transaction.atomic():
        Tombstone.objects.filter(photo_id__in=photo_ids, removal_sent_at__isnull=False).delete()
        Photo.objects.filter(id__in=[photo.id for photo in photos], state=State.DELETING).delete()
        tombstones_set({photo.id: photo.gallery_id for photo in photos})
        people_tidy({photo.gallery_id for photo in photos})
        _delete_emptied_galleries({photo.gallery_id for photo in photos})
    jobs_finish({photo.job_id for photo in photos if photo.job_id})
    _index_again(photo_ids)


def _index_again(photo_ids: Sequence[UUID | str]) -> None:
    """Index photos again that are wanted although their faces were removed.

    That happens to a cancelled photo: the removal of what a worker had still made of it was on its way when somebody
    retried it. Sent now and not later, so that this run comes after that removal whatever else is under way.
    """
    wanted = Photo.objects.filter(id__in=photo_ids, state__in=(State.PENDING, State.INDEXED), enqueued_at__isnull=False)
    for photo in wanted:
        wanted.filter(id=photo.id).update(state=State.PENDING, enqueued_at=timezone.now())
        dispatch.enqueue_index([photo])


def _delete_emptied_galleries(gallery_ids: Iterable[UUID]) -> None:
    Gallery.objects.filter(id__in=gallery_ids, deleting=True, photos=None).delete()


def failed_photos_retry(*, gallery: Gallery, photo_ids: Iterable[UUID] | None = None) -> tuple[int, str]:
    """Send the gallery's failed photos (or these of them) again, as a job. Returns how many, and a warning or ""."""
    photos = gallery.photos.all()
    retried, warning = _retry(gallery, photos if photo_ids is None else photos.filter(id__in=list(photo_ids)))
    return retried.total if retried else 0, warning


def job_retry(*, job: Job) -> tuple[Job | None, str]:
    """Send the job's failed and cancelled photos again. Returns the job that this is, if any, and a warning or ""."""
    if job.gallery is None:
        return None, ""
    return _retry(job.gallery, job.gallery.photos.filter(job=job))


def _retry(gallery: Gallery, photos: QuerySet[Photo]) -> tuple[Job | None, str]:
    with transaction.atomic(durable=True):
        failed = photos.filter(state=State.FAILED)
        count = len(failed.select_for_update().values_list("id"))
        if not count:
            return None, ""
        Tombstone.objects.filter(photo_id__in=failed.order_by().values("id")).delete()
        job = job_start(kind=Job.Kind.RETRY, gallery=gallery, total=count)
        failed.update(state=State.PENDING, code="", message="", attempts=0, enqueued_at=None, settled_at=None, job=job)
    return job, index_queue_feed()
