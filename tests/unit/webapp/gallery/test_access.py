"""The rule about access as the database sees it: indexed, and in SQL that PostgreSQL takes, too."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.db.models import QuerySet

from tests.unit.webapp.conftest import add_photo
from webapp.accounts.callers import Caller
from webapp.gallery.access import visible_galleries
from webapp.gallery.models import Gallery, Level, Member, Photo
from webapp.gallery.selectors import galleries_for, photos_for
from webapp.indexing import deleting
from webapp.jobs.selectors import jobs_for

SELECTORS: dict[str, Callable[[Caller], QuerySet[Any]]] = {
    "galleries": visible_galleries,
    "galleries with counts": galleries_for,
    "photos": lambda caller: photos_for(caller).order_by("-created", "id")[:100],
    "a photo": lambda caller: photos_for(caller).filter(id="00000000-0000-4000-8000-000000000000"),
    "jobs": lambda caller: jobs_for(caller)[:100],
}


@pytest.mark.parametrize("name", SELECTORS)
def test_no_selector_reads_through_a_whole_table(user: User, gallery: Gallery, name: str) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("the words of the plan are SQLite's")
    assert scans(SELECTORS[name](Caller(user=user))) == []
    assert scans(Photo.objects.filter(filename="x")) == ["gallery_photo"], "what has no index is noticed"


def scans(rows: QuerySet[Any]) -> list[str]:
    """Return the tables that SQLite would read through."""
    return re.findall(r"SCAN (?!CONSTANT)(\w+)", rows.explain())


def test_what_is_shared_is_found_through_its_members(user: User, gallery: Gallery, their_gallery: Gallery) -> None:
    caller = Caller(user=user)
    assert set(visible_galleries(caller)) == {gallery}
    Member.objects.create(gallery=their_gallery, user=user, level=Level.VIEWER)
    photo = add_photo(their_gallery)
    assert set(visible_galleries(caller)) == {gallery, their_gallery}
    assert set(visible_galleries(caller, Level.EDITOR)) == {gallery}
    assert photos_for(caller).get() == photo


def test_a_gallery_that_is_both_owned_and_listed_for_a_key_counts_once(user: User, gallery: Gallery) -> None:
    assert visible_galleries(Caller(user=user, gallery_ids=frozenset({gallery.id}))).count() == 1


def test_the_owner_sees_the_job_that_deletes_a_gallery_until_and_after_it_is_gone(
    user: User, stranger: User, gallery: Gallery
) -> None:
    Member.objects.create(gallery=gallery, user=stranger, level=Level.EDITOR)
    photos = [add_photo(gallery, bytes([number])) for number in range(2)]
    deleting.gallery_delete(gallery=gallery)

    def kinds(caller: Caller) -> list[str]:
        return [job.kind for job in jobs_for(caller)]

    assert kinds(Caller(user=user)) == ["delete", "import", "import"]
    assert kinds(Caller(user=stranger)) == []
    assert kinds(Caller(user=user, gallery_ids=frozenset({gallery.id}))) == []
    deleting.removals_record(photo_ids=[photo.id for photo in photos])
    assert not Gallery.objects.filter(id=gallery.id).exists()
    assert kinds(Caller(user=user)) == ["delete", "import", "import"]
