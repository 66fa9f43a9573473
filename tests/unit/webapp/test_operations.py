"""Health for machines and the status page."""

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.unit.webapp.conftest import FakeFaceSearch


def test_live_depends_on_nothing() -> None:
    assert Client().get("/health/live").json() == {"is_live": True}


def test_ready_when_everything_answers(db: None, face_search: FakeFaceSearch) -> None:
    response = Client().get("/health/ready")
    assert response.status_code == 200
    assert response.json()["is_ready"]


def test_not_ready_without_workers(db: None, face_search: FakeFaceSearch) -> None:
    face_search.is_healthy = False
    response = Client().get("/health/ready")
    assert response.status_code == 503
    assert response.json()["is_database_ready"]
    assert not response.json()["is_search_ready"]


def test_not_ready_without_a_database(db: None, face_search: FakeFaceSearch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webapp.operations.selectors._is_database_ready", lambda: False)
    assert Client().get("/health/ready").status_code == 503


def test_not_ready_without_an_open_service(db: None) -> None:
    assert Client().get("/health/ready").status_code == 503


@pytest.mark.parametrize(("is_staff", "status"), [(True, 200), (False, 404)])
def test_the_status_page_is_for_staff(user: User, face_search: FakeFaceSearch, is_staff: bool, status: int) -> None:
    user.is_staff = is_staff
    user.save()
    client = Client()
    client.force_login(user)
    face_search.is_healthy = False
    response = client.get("/status/")
    assert response.status_code == status
    assert ("No healthy worker consumes" in response.content.decode()) == is_staff
