"""Recording what became of photos."""

from collections.abc import Sequence
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from tasks.messages.base import ErrorInfo
from tasks.messages.indexing import PhotoOutcomeInfo
from webapp.gallery.models import CANCELLED, Face, Photo
from webapp.gallery.tombstones import tombstones_set
from webapp.generations.entries import failure_note, outcome_enter
from webapp.generations.models import Generation
from webapp.generations.selectors import generation_of
from webapp.indexing import dispatch
from webapp.jobs.services import jobs_finish

State = Photo.State


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
