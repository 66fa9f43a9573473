"""`service_info` in templates: what it shows, to whom, and that nothing is read before it is used."""

from typing import Any

import pytest
import redis
from django.contrib.auth.models import AnonymousUser, User
from django.db import connection
from django.template import engines
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext

from tasks.health.reports import WorkerReport
from tests.unit.webapp.conftest import WatchedQueue, add_indexed_photo, face_info
from webapp.gallery.models import Gallery, Level, Member
from webapp.generations.selectors import active_generation


def render(template: str, user: Any) -> str:
    request = RequestFactory().get("/")
    request.user = user
    return engines["django"].from_string(template).render({}, request)


def test_the_count_covers_the_galleries_that_the_visitor_may_see(
    user: User, gallery: Gallery, stranger: User, their_gallery: Gallery
) -> None:
    add_indexed_photo(gallery, face_info(), face_info(left=200.0))
    add_indexed_photo(their_gallery, face_info())
    nobody, root = User.objects.create_user("nobody"), User.objects.create_superuser("root")
    counted = [render("{{ service_info.vector_database.total_vectors }}", each) for each in (user, stranger)]
    assert counted == ["2", "1"]
    Member.objects.create(gallery=gallery, user=stranger, level=Level.VIEWER)
    counted = [render("{{ service_info.vector_database.total_vectors }}", each) for each in (stranger, nobody, root)]
    assert counted == ["3", "0", "0"]


def test_a_template_that_uses_none_of_it_reads_nothing(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: Any, **__: Any) -> None:
        raise AssertionError("Redis was asked")

    monkeypatch.setattr(redis.Redis, "execute_command", forbidden)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert render("nothing", user) == "nothing"
        assert render("{% if service_info %}known{% endif %}", user) == "known"
    assert len(queries) == 0
    assert render("{{ service_info.vector_database.total_vectors }}", user) == "0", "the count needs no Redis"


def test_visitors_who_are_not_logged_in_are_told_nothing(gallery: Gallery) -> None:
    add_indexed_photo(gallery)
    assert render("[{{ service_info.vector_database.total_vectors }}]", AnonymousUser()) == "[]"


def test_the_collection_is_described(user: User, queue: WatchedQueue) -> None:
    generation = active_generation()
    report = WorkerReport(
        name="w",
        pid=1,
        queues=(f"search.{generation.pack}",),
        is_healthy=True,
        pack=generation.pack,
        collection=generation.collection,
        connection_status="connected",
        collection_status="loaded",
    )
    queue.reports.append(report)
    names = ("pack", "collection", "index_type", "connection_status", "collection_status")
    template = " ".join(f"{{{{ service_info.vector_database.{name} }}}}" for name in names)
    assert render(template, user) == f"{generation.pack} {generation.collection} FLAT connected loaded"
