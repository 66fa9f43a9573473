"""Moving photos to another gallery, with the names of their faces."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from uuid import UUID

from django.db import transaction

from webapp.gallery.chunks import chunks
from webapp.gallery.models import Face, Gallery
from webapp.gallery.selectors import IDS_PER_QUERY
from webapp.http.problems import Problem
from webapp.indexing.deleting import removals_feed
from webapp.indexing.moving import PhotosMoved, galleries_lock, photos_leave
from webapp.jobs.services import jobs_finish
from webapp.people.models import Person
from webapp.people.services import people_tidy


def photos_move(
    *, source: Gallery, target: Gallery, photo_ids: Iterable[UUID], requested_by_id: int | None = None
) -> PhotosMoved:
    """Move photos of one gallery to another one, as a job; they are indexed again there, under the same ids.

    A named face goes to the person of that name in the target, created if new. Refused are photos that are not in the
    source (`not_found`), that the target has already (`already_there`), or that its owner has no room for (`quota_…`).
    Raises Problem: `same_gallery`, and `not_found` when one of the galleries is being deleted.
    """
    if source.id == target.id:
        raise Problem("same_gallery", "The photos are in this gallery already.", status=409)
    with transaction.atomic(durable=True):
        source, target = galleries_lock(source, target)
        moved = photos_leave(source=source, target=target, photo_ids=photo_ids, requested_by_id=requested_by_id)
        _names_follow(moved.moving_ids, source, target)
    jobs_finish(moved.job_ids_before)
    return replace(moved, warning=removals_feed(moved.left))


def _names_follow(photo_ids: Sequence[UUID], source: Gallery, target: Gallery) -> None:
    for ids in chunks(photo_ids, IDS_PER_QUERY):
        faces = Face.objects.filter(photo__in=ids, person__isnull=False)
        for person in Person.objects.filter(id__in=faces.values("person_id").order_by()):
            namesake, _ = Person.objects.get_or_create(gallery=target, name=person.name)
            faces.filter(person=person).update(person=namesake)
    people_tidy([source])
