"""Photos and faces as the active generation finds them. Every read starts at what the user may see."""

from uuid import UUID

from django.db.models import Count, Exists, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce

from webapp.gallery.models import Face, Gallery, Photo
from webapp.gallery.selectors import Viewer, photos_for
from webapp.generations.models import Generation
from webapp.generations.selectors import active_generation
from webapp.http.problems import not_found


def photos_of(gallery: Gallery, *, state: str = "") -> QuerySet[Photo]:
    """The gallery's photos, newest first, with their number of faces in the active generation as `face_count`."""
    faces = Face.objects.filter(photo=OuterRef("id"), generations=active_generation()).order_by()
    counted = faces.values("photo").annotate(count=Count("id")).values("count")
    photos = gallery.photos.annotate(face_count=Coalesce(Subquery(counted), 0))
    return photos.filter(state=state) if state else photos


def faces_of(photo: Photo) -> QuerySet[Face]:
    """The photo's faces that are shown, with `is_found`: see `_shown_faces`."""
    return _shown_faces().filter(photo=photo)


def face_for(user: Viewer, face_id: UUID) -> Face:
    """Raises not_found for a face in another user's photo as for none."""
    face = _shown_faces().filter(id=face_id, photo__in=photos_for(user)).select_related("photo").first()
    if face is None:
        raise not_found("face")
    return face


def _shown_faces() -> QuerySet[Face]:
    """Faces with `is_found`: whether the active generation's pack finds them, so that searches do.

    What it does not find is kept and shown, for it may have a name. Left out is what only generations have found that
    were never searched yet.
    """
    memberships = Face.generations.through.objects.filter(face=OuterRef("id"))
    found = Exists(memberships.filter(generation__state=Generation.State.ACTIVE))
    was_found = Exists(memberships.filter(generation__state__in=(Generation.State.ACTIVE, Generation.State.RETIRED)))
    shown = Face.objects.filter(was_found | ~Exists(memberships) | Q(person__isnull=False))
    return shown.annotate(is_found=found).select_related("person")
