"""Writes to galleries."""

from typing import cast

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db import IntegrityError, transaction

from webapp.gallery.models import Gallery
from webapp.gallery.quotas import gallery_check
from webapp.http.names import cleaned_name
from webapp.http.problems import Problem, not_found
from webapp.http.rest.conditions import Check, no_check


def gallery_name(text: str) -> str:
    """Return the text as a gallery may be named. Raises Problem (`gallery_name`)."""
    longest = Gallery._meta.get_field("name").max_length or 0
    return cleaned_name(text, longest=longest, code="gallery_name", what="The name of a gallery")


def gallery_create(*, owner: AbstractBaseUser | AnonymousUser, name: str) -> Gallery:
    """Create a gallery.

    Raises Problem if the name is none (see `gallery_name`), or if the owner has one of that name or as many as allowed.
    """
    name = gallery_name(name)
    try:
        with transaction.atomic():
            gallery_check(owner_id=cast(int, owner.pk))
            return Gallery.objects.create(owner_id=owner.pk, name=name)  # type: ignore[misc]
    except IntegrityError:
        raise _exists(name) from None


def gallery_change(
    *, gallery: Gallery, name: str | None = None, may_download: bool | None = None, check: Check = no_check
) -> Gallery:
    """Change what is given, for the gallery's owner; return the gallery as it is then.

    `check` is called when nobody else can change the gallery any more; what it raises prevents the change. Raises
    Problem for a name as `gallery_create` does, and not_found if the gallery is gone or somebody else's by now.
    """
    new_name = None if name is None else gallery_name(name)
    try:
        with transaction.atomic():
            mine = Gallery.objects.filter(id=gallery.id, owner=gallery.owner_id, deleting=False)
            locked = mine.select_for_update(of=("self",)).select_related("owner").first()
            if locked is None:
                raise not_found("gallery")
            check()
            locked.name = locked.name if new_name is None else new_name
            locked.may_download = locked.may_download if may_download is None else may_download
            locked.save(update_fields=["name", "may_download"])
    except IntegrityError:
        raise _exists(new_name or "") from None
    return locked


def _exists(name: str) -> Problem:
    return Problem("gallery_exists", f"You already have a gallery named “{name}”.", status=409)
