"""Recording renditions: the rows name the files, and files that no row names any more go."""

import logging
from collections.abc import Collection, Iterable, Sequence
from uuid import UUID

from django.core.files.storage import default_storage
from django.db import transaction

from tasks import clock
from tasks.messages.indexing import PhotoOutcomeInfo
from tasks.messages.renditions import RenderedPhoto
from tasks.storage.photo_files import rendition_key
from webapp.gallery.attempts import OUTCOME_FIELDS
from webapp.gallery.models import Face, Photo, Rendering
from webapp.indexing.renditions.feeding import renditions_feed
from webapp.jobs.services import jobs_finish

logger = logging.getLogger(__name__)


def renditions_record(*, photos: Sequence[RenderedPhoto]) -> None:
    """Record what became of photos whose renditions were to be made. May run twice, and late.

    What nobody waits for any more, because the photo is deleted, was indexed again, or the job was cancelled, is
    ignored, and its files go unless they are those that there are.
    """
    job_ids = {_record(UUID(photo.photo_id), photo) for photo in photos}
    jobs_finish({job_id for job_id in job_ids if job_id})
    renditions_feed()


def _record(photo_id: UUID, rendered: RenderedPhoto) -> UUID | None:
    """Record one photo; return the job that it was for, None if it is ignored."""
    reported = _keys(photo_id, rendered.renditions, rendered.crops.values())
    with transaction.atomic():
        photo = Photo.objects.exclude(state=Photo.State.DELETING).select_for_update().filter(id=photo_id).first()
        before = renditions_named(photo_id)  # now that nobody else changes them
        pending = Rendering.objects.filter(photo=photo, state=Rendering.State.PENDING).first() if photo else None
        if pending is not None and rendered.code:
            pending.state, pending.settled_at = Rendering.State.FAILED, clock.utcnow()
            pending.code, pending.message = rendered.code, rendered.message
            pending.save(update_fields=OUTCOME_FIELDS)
        elif pending is not None:
            Photo.objects.filter(id=photo_id).update(renditions=rendered.renditions)
            for face_id, crop in rendered.crops.items():
                Face.objects.filter(id=face_id, photo=photo_id).update(crop=crop)
            pending.delete()
    unused_delete(photo_id, before | reported)
    return pending.job_id if pending else None


def rendering_forget(photo: Photo, outcome: PhotoOutcomeInfo) -> None:
    """Have no job make what indexing has just made, in the caller's transaction.

    A face that this outcome did not bring, or that another generation has found elsewhere, may still lack its crop.
    """
    has_made_all = outcome.renditions and all(face.crop for face in outcome.faces)
    if has_made_all and not photo.faces.filter(crop="").exists():
        Rendering.objects.filter(photo=photo).delete()


def outcome_renditions(outcome: PhotoOutcomeInfo) -> set[str]:
    """Return the storage keys of the renditions that an outcome names."""
    return _keys(outcome.photo_id, outcome.renditions, (face.crop for face in outcome.faces))


def renditions_named(photo_id: UUID) -> set[str]:
    """Return the storage keys of the renditions that the photo's rows name."""
    digest = Photo.objects.filter(id=photo_id).values_list("renditions", flat=True).first() or ""
    return _keys(photo_id, digest, Face.objects.filter(photo=photo_id).values_list("crop", flat=True))


def unused_delete(photo_id: UUID, keys: Collection[str]) -> None:
    """Delete those of the files that the photo's rows do not name. Call it once these are committed."""
    for key in set(keys) - renditions_named(photo_id) if keys else ():
        try:
            default_storage.delete(key)
        except Exception as error:  # noqa: BLE001  each storage has errors of its own
            # It is deleted together with the photo.
            logger.warning("An old rendition of photo %s could not be deleted: %s", photo_id, type(error).__name__)


def _keys(photo_id: UUID | str, renditions: str, crops: Iterable[str]) -> set[str]:
    keys = {rendition_key(photo_id, "face", crop) for crop in crops if crop}
    if renditions:
        keys |= {rendition_key(photo_id, kind, renditions) for kind in ("thumbnail", "preview")}
    return keys
