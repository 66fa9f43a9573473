"""Shared by commands: finding galleries and users by name, with a sentence when there is no single match."""

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.core.management.base import CommandError

from webapp.gallery.models import Gallery
from webapp.http.names import cleaned


def gallery_named(name: str, owner: str | None) -> Gallery:
    """Return the gallery of that name. `owner` is a user name, needed when several users have such a gallery."""
    found = Gallery.objects.filter(name=cleaned(name), deleting=False).select_related("owner")
    if owner is not None:
        found = found.filter(owner_id=user_named(owner).pk)
    galleries = list(found)
    if not galleries:
        whose = f" of {owner}" if owner else ""
        raise CommandError(
            f"There is no gallery “{name}”{whose}; `import_photos DIR --gallery NAME --create` makes one."
        )
    if len(galleries) > 1:
        owners = ", ".join(sorted(gallery.owner.get_username() for gallery in galleries))
        raise CommandError(f"Several users have a gallery “{name}”; choose one with --owner ({owners}).")
    return galleries[0]


def user_named(username: str) -> AbstractBaseUser:
    user = get_user_model().objects.filter(username=AbstractBaseUser.normalize_username(username)).first()
    if user is None:
        raise CommandError(f"There is no user “{username}”; `python manage.py createsuperuser` makes one.")
    return user


def only_user() -> AbstractBaseUser:
    """Return the only active user, who owns a new gallery unless another owner is named."""
    users = list(get_user_model().objects.filter(is_active=True)[:2])
    if not users:
        raise CommandError("There is no user yet to own a gallery; `python manage.py createsuperuser` makes one.")
    if len(users) > 1:
        raise CommandError("Several users could own the new gallery; choose one with --owner.")
    return users[0]
