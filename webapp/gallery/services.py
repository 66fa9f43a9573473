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


def gallery_change(*, gallery: Gallery, name: str | None = None, check: Check = no_check) -> None:
    """Change what is given. Raises Problem for a name as `gallery_create` does, and what `check` raises.

    `check` is called when nobody else can change the gallery any more.
    """
    new_name = gallery.name if name is None else gallery_name(name)
    try:
        with transaction.atomic():
            if not Gallery.objects.select_for_update().filter(id=gallery.id, deleting=False).exists():
                raise not_found("gallery")
            check()
            gallery.name = new_name
            gallery.save(update_fields=["name"])
    except IntegrityError:
        raise _exists(new_name) from None


def _exists(name: str) -> Problem:
    return Problem("gallery_exists", f"You already have a gallery named “{name}”.", status=409)
