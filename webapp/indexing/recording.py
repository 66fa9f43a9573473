"""Recording the outcomes of photos."""

from collections.abc import Sequence
from datetime import UTC
from uuid import UUID

from django.db import transaction

from tasks.messages.base import ErrorInfo
from tasks.messages.indexing import PhotoOutcomeInfo
from webapp.gallery.attempts import OUTCOME_FIELDS
from webapp.gallery.models import Face, Photo
from webapp.gallery.tombstones import tombstones_set
from webapp.generations.entries import outcome_enter
from webapp.generations.models import Generation
from webapp.generations.selectors import generation_of
from webapp.indexing import dispatch
from webapp.indexing.feeding import index_queue_feed
from webapp.indexing.renditions.recording import (
    outcome_renditions,
    rendering_forget,
    renditions_named,
    unused_delete,
)
from webapp.jobs.services import jobs_finish

State = Photo.State


def outcomes_record(*, gallery_id: UUID, outcomes: Sequence[PhotoOutcomeInfo], collection: str) -> None:
    """Record outcomes of one gallery's photos in the generation that has this collection. May run twice, and late.

    The outcome of a photo that was deleted, cancelled or moved meanwhile is ignored, but if the worker indexed faces,
    their vectors are removed once more. Raises QueueUnavailable when that removal cannot be sent now.

    Workers that are done with photos of an upload are sent the next ones.
    """
    generation = generation_of(collection)
    if generation is None:
        return  # it was dropped, together with its vectors
    orphans: list[UUID] = []
    job_ids: set[UUID] = set()
    for outcome in outcomes:
        photo = _outcome_record(outcome, generation, gallery_id)
        if photo is None and outcome.faces:
            orphans.append(UUID(outcome.photo_id))
        elif photo is not None and photo.job_id:
            job_ids.add(photo.job_id)
    jobs_finish(job_ids)
    if orphans:
        with transaction.atomic():
            cancelled = Photo.objects.filter(id__in=orphans, gallery=gallery_id, state=State.CANCELLED)
            Face.objects.filter(photo__in=cancelled).delete()
            tombstones_set(dict.fromkeys(orphans, gallery_id))
        dispatch.enqueue_removal(gallery_id=gallery_id, photo_ids=orphans)
    if generation.state == Generation.State.ACTIVE:
        index_queue_feed()


def _outcome_record(outcome: PhotoOutcomeInfo, generation: Generation, gallery_id: UUID) -> Photo | None:
    """Record one outcome and return its photo; None when the photo is deleted, cancelled or in another gallery.

    Renditions that the photo's rows do not name afterwards go.
    """
    photo_id = UUID(outcome.photo_id)
    with transaction.atomic():
        unwanted = (State.CANCELLED, State.DELETING, State.MOVING)
        wanted = Photo.objects.filter(gallery=gallery_id).exclude(state__in=unwanted)
        photo = wanted.select_for_update().filter(id=photo_id).first()
        before = renditions_named(photo_id)  # now that nobody else changes them
        if photo is not None:
            _record(photo, outcome, generation)
    unused_delete(photo_id, before | outcome_renditions(outcome))
    return photo


def _record(photo: Photo, outcome: PhotoOutcomeInfo, generation: Generation) -> None:
    entry = outcome_enter(generation=generation, photo=photo, outcome=outcome)
    changed = _picture_describe(photo, outcome)
    if generation.state == Generation.State.ACTIVE:
        for field in OUTCOME_FIELDS:
            setattr(photo, field, getattr(entry, field))
        changed += OUTCOME_FIELDS
    if changed:
        photo.save(update_fields=changed)
    rendering_forget(photo, outcome)


def _picture_describe(photo: Photo, outcome: PhotoOutcomeInfo) -> tuple[str, ...]:
    """Note what a worker of any generation found when it decoded the file; return the fields that changed."""
    if outcome.width is None:
        return ()  # this worker could not decode it, but another one may have
    capture, warning = outcome.capture, outcome.warning
    found = {
        "width": outcome.width,
        "height": outcome.height,
        "image_format": outcome.image_format,
        "taken_at": capture.taken_at and capture.taken_at.replace(tzinfo=UTC),
        "taken_utc_offset_minutes": capture.utc_offset_minutes,
        "camera": capture.camera,
        "warning_code": warning.code if warning else "",
        "warning": warning.message if warning else "",
        "renditions": outcome.renditions or photo.renditions,
    }
    changed = tuple(field for field, value in found.items() if getattr(photo, field) != value)
    for field in changed:
        setattr(photo, field, found[field])
    return changed


def index_failure_record(*, photo_ids: Sequence[UUID | str], error: ErrorInfo, collection: str) -> None:
    """Note why a worker could not finish these photos. They stay pending and are sent again once they are stale."""
    generation = generation_of(collection)
    if generation is None:
        return
    generation.entries.filter(photo_id__in=photo_ids).note_cause(code=error.code, message=error.message)
    if generation.state == Generation.State.ACTIVE:
        Photo.objects.filter(id__in=photo_ids).note_cause(code=error.code, message=error.message)
