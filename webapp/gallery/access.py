"""The one rule about access: whose galleries are whose, and what each may do there. Every selector starts here."""

from collections.abc import Collection
from uuid import UUID

from django.db.models import Exists, QuerySet

from webapp.accounts.callers import Caller
from webapp.accounts.keys import living_keys
from webapp.gallery.models import Gallery, Level, Member
from webapp.http.problems import Problem, not_found


def visible_galleries(caller: Caller, at_least: Level = Level.VIEWER) -> QuerySet[Gallery]:
    """Return the galleries in which the caller has at least this level."""
    if not caller.is_known:
        return Gallery.objects.none()
    ids = Gallery.objects.filter(owner=caller.user.pk).order_by().values("id")
    if at_least < Level.OWNER:
        shared = Member.objects.filter(user=caller.user.pk, level__gte=at_least)
        # A union, so that the database looks into two indexes instead of through all galleries.
        ids = ids.union(shared.order_by().values("gallery_id"))
    found = Gallery.objects.filter(id__in=ids, deleting=False)
    if caller.key_id is not None:  # a request may be held for long: what it answers must not outlive its key
        found = found.filter(Exists(living_keys().filter(pk=caller.key_id)))
    return found if caller.gallery_ids is None else found.filter(id__in=caller.gallery_ids)


def levels_of(caller: Caller, galleries: Collection[Gallery]) -> dict[UUID, Level]:
    """Return the caller's level in each of these galleries, few enough for one query; none for those of others."""
    shared = Member.objects.filter(user=caller.user.pk, gallery__in=[gallery.id for gallery in galleries])
    levels = {gallery_id: Level(level) for gallery_id, level in shared.values_list("gallery_id", "level")}
    return levels | {each.id: Level.OWNER for each in galleries if each.owner_id == caller.user.pk}


def level_of(caller: Caller, gallery: Gallery) -> Level:
    """Return the caller's level in a gallery that they see. Raises not_found if they do not see it (any more)."""
    if gallery.owner_id == caller.user.pk:
        return Level.OWNER
    level = levels_of(caller, [gallery]).get(gallery.id)
    if level is None:
        raise not_found("gallery")
    return level


def check_level(caller: Caller, gallery: Gallery, at_least: Level) -> None:
    """Raise Problem (`level_too_low`) unless the caller, who sees the gallery, may do what takes this level."""
    if at_least == Level.VIEWER:
        return
    level = level_of(caller, gallery)
    if level < at_least:
        sentence = f"This takes the permission level “{at_least.label}” in the gallery; yours is “{level.label}”."
        raise Problem("level_too_low", sentence, status=403)


def may_download(caller: Caller, gallery: Gallery) -> bool:
    """Whether the caller, who sees the gallery, may have its photos' files as they were uploaded."""
    return gallery.may_download or gallery.owner_id == caller.user.pk


def check_take(caller: Caller, source: Gallery, target: Gallery) -> None:
    """Raise Problem (`download_not_allowed`) if moving photos would give somebody files that they may not have."""
    if source.owner_id != target.owner_id:
        check_download(caller, source)


def check_download(caller: Caller, gallery: Gallery) -> None:
    """Raise Problem (`download_not_allowed`) unless the caller `may_download`."""
    if not may_download(caller, gallery):
        sentence = "The owner of this gallery does not allow its members to download the files of photos."
        raise Problem("download_not_allowed", sentence, status=403)
