"""A gallery of ada's that is shared: with a viewer and an editor."""

import pytest
from django.contrib.auth.models import User

from webapp.accounts.callers import Caller
from webapp.gallery.members.invitations import invitation_accept, invitation_create
from webapp.gallery.models import Gallery, Level, Member


def join(gallery: Gallery, user: User, level: Level) -> Member:
    """Invite the user, who accepts."""
    _, token = invitation_create(gallery=gallery, level=level)
    invitation_accept(caller=Caller(user=user), token=token)
    return Member.objects.get(gallery=gallery, user=user)


@pytest.fixture
def viewer(gallery: Gallery) -> Member:
    return join(gallery, User.objects.create_user("vera", password="v"), Level.VIEWER)


@pytest.fixture
def editor(gallery: Gallery) -> Member:
    return join(gallery, User.objects.create_user("eddy", password="e"), Level.EDITOR)
