"""Which photos have no renditions, or not all, and the job that makes them."""

from collections.abc import Iterable, Sequence
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from tasks.storage.photo_files import rendition_key, renditions_stored
from webapp.gallery.chunks import chunks
from webapp.gallery.models import MAY_BE_RENDERED, Face, Gallery, Photo, Rendering
from webapp.gallery.selectors import IDS_PER_QUERY
from webapp.indexing.renditions.feeding import renditions_feed
from webapp.jobs.models import Job
from webapp.jobs.services import import_close, import_stay_open, job_is_saved, photo_count_in, renditions_prepare

State = Photo.State


def renditions_start(
    *, gallery: Gallery, is_anew: bool = False, requested_by_id: int | None = None
) -> tuple[Job | None, str]:
    """Make the gallery's missing renditions, with `is_anew` all of them; return the job, if any, and a warning or "".

    A rendition is missing if the rows know none, and if its file is gone: all files are looked for. Photos that no
    worker has indexed are left out, because indexing them makes their renditions.
    """
    indexed = gallery.photos.filter(state__in=(State.INDEXED, State.NO_FACES))
    looked_through = chunks(_ids(indexed), IDS_PER_QUERY)
    found = looked_through if is_anew else map(_without_renditions, looked_through)
    return _start(gallery, found, requested_by_id)


def renditions_again(*, job: Job, requested_by_id: int | None = None) -> tuple[Job | None, str]:
    """Try once more to make the renditions that the job did not make before it was cancelled, or may make now."""
    if job.gallery is None:
        return None, ""
    left = Rendering.objects.filter(MAY_BE_RENDERED, job=job)
    photo_ids = _ids(job.gallery.photos.filter(rendering__in=left))
    return _start(job.gallery, chunks(photo_ids, IDS_PER_QUERY), requested_by_id)


def _start(gallery: Gallery, parts: Iterable[Sequence[UUID]], requested_by_id: int | None) -> tuple[Job | None, str]:
    """Start a job of these photos, a part of them at a time: finding the next part may take long."""
    job = renditions_prepare(gallery=gallery, requested_by_id=requested_by_id)
    try:
        for photo_ids in parts:
            _add(job, photo_ids)
            import_stay_open(job=job)
    finally:
        import_close(job=job)
    return (job, renditions_feed()) if job_is_saved(job) else (None, "")


def _add(job: Job, photo_ids: Sequence[UUID]) -> None:
    """Have the job make the renditions of these photos, but of none that is gone or that another job is about to do."""
    with transaction.atomic(durable=True):
        # Locked: none of them is deleted, or given to another job, meanwhile.
        there = Photo.objects.filter(id__in=photo_ids).exclude(state=State.DELETING).order_by("id")
        photo_ids = list(there.select_for_update(no_key=True).values_list("id", flat=True))
        under_way = Rendering.objects.filter(photo__in=photo_ids, state=Rendering.State.PENDING)
        taken = set(under_way.values_list("photo_id", flat=True))
        added = [photo_id for photo_id in photo_ids if photo_id not in taken]
        if not added:
            return
        photo_count_in(job=job, photos=len(added))
        Rendering.objects.filter(photo__in=added).exclude(state=Rendering.State.PENDING).delete()
        Rendering.objects.bulk_create(Rendering(photo_id=photo_id, job=job) for photo_id in added)


def _ids(photos: QuerySet[Photo]) -> list[UUID]:
    return list(photos.order_by("id").values_list("id", flat=True))


def _without_renditions(photo_ids: Sequence[UUID]) -> list[UUID]:
    """Return those of the photos, few enough for one query, that have not all the renditions they should have."""
    crops: dict[UUID, list[str]] = {photo_id: [] for photo_id in photo_ids}
    for photo_id, crop in Face.objects.filter(photo__in=photo_ids).values_list("photo_id", "crop"):
        crops[photo_id].append(crop)
    digests = Photo.objects.filter(id__in=photo_ids).order_by("id").values_list("id", "renditions")
    return [
        photo_id
        for photo_id, digest in digests
        if not digest or not all(crops[photo_id]) or not _are_stored(photo_id, digest, crops[photo_id])
    ]


def _are_stored(photo_id: UUID, digest: str, crops: Iterable[str]) -> bool:
    wanted = {rendition_key(photo_id, kind, digest) for kind in ("thumbnail", "preview")}
    wanted |= {rendition_key(photo_id, "face", crop) for crop in crops}
    return wanted <= renditions_stored(photo_id)
