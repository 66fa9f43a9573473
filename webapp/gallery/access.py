"""The one rule about access: whose galleries are whose, and what each may do there. Every selector starts here."""

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


def level_of(caller: Caller, gallery: Gallery) -> Level:
    """Return the caller's level in a gallery that they see. Raises not_found if they do not see it (any more)."""
    if gallery.owner_id == caller.user.pk:
        return Level.OWNER
    member = Member.objects.filter(gallery=gallery, user=caller.user.pk).first()
    if member is None:
        raise not_found("gallery")
    return Level(member.level)


def check_level(caller: Caller, gallery: Gallery, at_least: Level) -> None:
    """Raise Problem (`level_too_low`) unless the caller, who sees the gallery, may do what takes this level."""
    if at_least == Level.VIEWER:
        return
    level = level_of(caller, gallery)
    if level < at_least:
        sentence = f"This takes the permission level “{at_least.label}” in the gallery; yours is “{level.label}”."
        raise Problem("level_too_low", sentence, status=403)
