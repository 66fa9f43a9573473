"""Moving photos to another gallery.

A face has the same id everywhere, and its vectors carry their gallery. So a photo changes its gallery's row at once and
is `moving` until its vectors are removed from the gallery that it left, in every live generation; only then is it sent
to be indexed where it is now. Meanwhile no search finds it: one in the gallery that it left drops photos of others, and
the gallery that it is in has no vectors of it. Both steps are found in the rows again after a crash.

A message about the photo may still come back and write its faces where it was. Its outcome is ignored, its vectors are
removed, and the photo is indexed once more (`recording.py`, `deleting.py`); a tombstone does the same for a worker that
died before it could report.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal
from uuid import UUID

from django.conf import settings
from django.db.models import F, Q
from django.db.models.functions import Coalesce

from tasks import clock
from webapp.gallery import quotas
from webapp.gallery.chunks import chunks
from webapp.gallery.models import Gallery, Photo, Tombstone
from webapp.gallery.selectors import IDS_PER_QUERY
from webapp.gallery.tombstones import tombstones_set
from webapp.generations.models import Entry
from webapp.generations.selectors import live_generations
from webapp.http.problems import Problem, not_found
from webapp.indexing.retrying import as_new
from webapp.jobs.models import Job
from webapp.jobs.services import job_start

State = Photo.State


@dataclass(frozen=True, slots=True, kw_only=True)
class MovedPhoto:
    """The result for one photo; `code` and `message` say why it was refused."""

    photo_id: UUID
    result: Literal["moving", "refused"]
    code: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotosMoved:
    """The results in the order of the given ids. `job` is None when every photo was refused."""

    photos: tuple[MovedPhoto, ...]
    job: Job | None = None
    #: The jobs that the photos belonged to: they may be over now.
    job_ids_before: frozenset[UUID] = frozenset()
    #: The galleries that may still have vectors of the photos.
    left: frozenset[UUID] = frozenset()
    warning: str = ""

    @property
    def moving_ids(self) -> list[UUID]:
        return [photo.photo_id for photo in self.photos if photo.result == "moving"]


def galleries_lock(source: Gallery, target: Gallery) -> tuple[Gallery, Gallery]:
    """Lock both galleries in the caller's transaction; return them as they are now.

    Uploads, namings and other moves take turns with this one. Raises Problem (`not_found`) if one is being deleted.
    """
    both = Gallery.objects.filter(id__in=(source.id, target.id), deleting=False).order_by("id")
    # No key: whoever has locked photos, and refers to the gallery from a new row, is not kept waiting.
    found = {gallery.id: gallery for gallery in both.select_for_update(no_key=True)}
    if len(found) < 2:
        raise not_found("gallery")
    return found[source.id], found[target.id]


def photos_leave(
    *, source: Gallery, target: Gallery, photo_ids: Iterable[UUID], requested_by_id: int | None = None
) -> PhotosMoved:
    """Move photos between two galleries that `galleries_lock` has locked, in the caller's transaction.

    The caller feeds the removals from the galleries that were left, after the commit.
    """
    asked = list(dict.fromkeys(photo_ids))
    refused: dict[UUID, MovedPhoto] = {}
    movable = _movable(source, target, asked, refused)
    moving = _with_room(source, target, movable, refused, requested_by_id)
    results = tuple(refused.get(each) or MovedPhoto(photo_id=each, result="moving") for each in asked)
    if not moving:
        return PhotosMoved(photos=results)
    return PhotosMoved(
        photos=results,
        job=_rows_move(moving, source, target, requested_by_id),
        job_ids_before=frozenset(photo.job_id for photo in moving if photo.job_id),
        left=frozenset(photo.moved_from or source.id for photo in moving),
    )


def _movable(source: Gallery, target: Gallery, asked: Sequence[UUID], refused: dict[UUID, MovedPhoto]) -> list[Photo]:
    """Lock the photos; return those that the target does not have yet, and add the others to `refused`."""
    kept = Photo.objects.exclude(state=State.DELETING)
    found: dict[UUID, Photo] = {}
    there: set[str] = set()
    for photo_ids in chunks(sorted(asked), IDS_PER_QUERY):
        locked = list(kept.filter(gallery=source, id__in=photo_ids).order_by("id").select_for_update())
        same = kept.filter(gallery=target, sha256__in=[photo.sha256 for photo in locked])
        there.update(same.values_list("sha256", flat=True))
        found |= {photo.id: photo for photo in locked}
    for photo_id in asked:
        if photo_id not in found:
            _refuse(refused, photo_id, not_found("photo"))
        elif found[photo_id].sha256 in there:
            message = f"“{target.name}” already has this photo."
            _refuse(refused, photo_id, Problem("already_there", message, status=409))
    return [photo for photo_id, photo in found.items() if photo_id not in refused]


def _with_room(
    source: Gallery,
    target: Gallery,
    photos: Sequence[Photo],
    refused: dict[UUID, MovedPhoto],
    requested_by_id: int | None,
) -> list[Photo]:
    """Let the target's owner take room for the photos; return those that fit, and add the others to `refused`."""
    if source.owner_id == target.owner_id:
        return list(photos)
    quotas.usages_lock(source.owner_id, target.owner_id)
    try:
        quotas.photo_take(owner_id=target.owner_id, photos=len(photos), byte_size=_bytes_of(photos))
        fitting = list(photos)
    except quotas.QuotaReached:
        fitting = _one_by_one(target, photos, refused, requested_by_id)
    quotas.photos_give_back(owner_id=source.owner_id, photos=len(fitting), byte_size=_bytes_of(fitting))
    return fitting


def _one_by_one(
    target: Gallery, photos: Sequence[Photo], refused: dict[UUID, MovedPhoto], requested_by_id: int | None
) -> list[Photo]:
    """Take room for each photo that there is room for; return these, and add the others to `refused`."""
    fitting = []
    for photo in photos:
        try:
            quotas.photo_take(owner_id=target.owner_id, byte_size=photo.byte_size)
        except quotas.QuotaReached as reached:
            _refuse(
                refused,
                photo.id,
                Problem(reached.code, reached.sentence_for(requested_by_id, owner_id=target.owner_id)),
            )
        else:
            fitting.append(photo)
    return fitting


def _bytes_of(photos: Iterable[Photo]) -> int:
    return sum(photo.byte_size for photo in photos)


def _refuse(refused: dict[UUID, MovedPhoto], photo_id: UUID, problem: Problem) -> None:
    refused[photo_id] = MovedPhoto(photo_id=photo_id, result="refused", code=problem.code, message=problem.message)


def _rows_move(photos: Sequence[Photo], source: Gallery, target: Gallery, requested_by_id: int | None) -> Job:
    job = job_start(kind=Job.Kind.MOVE, gallery=target, total=len(photos), requested_by_id=requested_by_id)
    for photo_ids in chunks((photo.id for photo in photos), IDS_PER_QUERY):
        tombstones_set(dict.fromkeys(_written_lately(photo_ids), source.id))
        # What comes back late about the target is welcome there.
        Tombstone.objects.filter(photo_id__in=photo_ids, gallery_id=target.id).delete()
        Entry.objects.filter(photo__in=photo_ids).delete()  # what they say is no longer true
        Photo.objects.filter(id__in=photo_ids).update(
            gallery=target,
            moved_from=Coalesce(F("moved_from"), F("gallery_id")),
            state=State.MOVING,
            job=job,
            **as_new(),
        )
    return job


def _written_lately(photo_ids: Sequence[UUID]) -> set[UUID]:
    """Return those of the photos about which a message may still come back and write faces into the gallery.

    A message that left its queue longer ago than the visibility timeout has come back, if it ever does; what was sent
    before twice that time is over. While several generations are filled, a range of photos may also be copied.
    """
    if len(live_generations()) > 1:
        return set(photo_ids)
    since = clock.utcnow() - timedelta(seconds=2 * settings.VISIBILITY_TIMEOUT_SECONDS)
    sent = Q(state=State.PENDING) | Q(enqueued_at__gte=since) | Q(entries__enqueued_at__gte=since)
    lately = Photo.objects.filter(sent, id__in=photo_ids)
    return set(lately.values_list("id", flat=True))
