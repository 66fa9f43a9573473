"""Writes to galleries."""

from typing import cast

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db import IntegrityError, transaction

from webapp.gallery.models import Gallery
from webapp.gallery.quotas import gallery_check
from webapp.http.problems import Problem


def gallery_create(*, owner: AbstractBaseUser | AnonymousUser, name: str) -> Gallery:
    """Create a gallery.

    Raises Problem if the name is empty or too long, if the owner already has one of that name or as many as allowed.
    """
    name = " ".join(name.split())
    longest = Gallery._meta.get_field("name").max_length or 0
    if not name or len(name) > longest:
        raise Problem("gallery_name", f"A gallery needs a name of 1 to {longest} characters.", status=400)
    try:
        with transaction.atomic():
            gallery_check(owner_id=cast(int, owner.pk))
            return Gallery.objects.create(owner_id=owner.pk, name=name)  # type: ignore[misc]
    except IntegrityError:
        raise Problem("gallery_exists", f"You already have a gallery named “{name}”.", status=409) from None
