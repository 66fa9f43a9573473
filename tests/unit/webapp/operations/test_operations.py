"""Health for machines and the status page."""

import json
from datetime import timedelta
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import OperationalError
from django.test import Client
from django.utils import timezone

from tasks.errors import QueueUnavailable
from tasks.health import inspection
from tasks.web.memory import MemorySearchClient
from tests.unit.webapp.conftest import WatchedQueue
from webapp.accounts.models import Session
from webapp.generations.models import Generation
from webapp.generations.selectors import active_generation
from webapp.operations import tasks
from webapp.operations.flower import flower_password


def test_live_depends_on_nothing() -> None:
    assert Client().get("/health/live").json() == {"is_live": True}


def test_ready_when_everything_answers(db: None, face_search: MemorySearchClient) -> None:
    response = Client().get("/health/ready")
    assert response.status_code == 200
    assert response.json()["is_ready"]


def test_not_ready_without_workers(db: None, face_search: MemorySearchClient) -> None:
    face_search.reports.clear()
    response = Client().get("/health/ready")
    assert response.status_code == 503
    assert response.json()["is_database_ready"]
    assert not response.json()["is_search_ready"]


def test_not_ready_without_a_database(
    db: None, face_search: MemorySearchClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> Any:
        raise OperationalError("no database")

    monkeypatch.setattr("webapp.operations.health.connection", SimpleNamespace(vendor="sqlite", cursor=broken))
    answer = Client().get("/health/ready")
    assert (answer.status_code, answer.json()["is_database_ready"]) == (503, False)


def test_not_ready_without_an_open_service(db: None) -> None:
    assert Client().get("/health/ready").status_code == 503


@pytest.mark.parametrize(("is_staff", "status"), [(True, 200), (False, 404)])
def test_the_status_page_is_for_staff(user: User, face_search: MemorySearchClient, is_staff: bool, status: int) -> None:
    user.is_staff = is_staff
    user.save()
    client = Client()
    client.force_login(user)
    face_search.reports.clear()
    response = client.get("/status/")
    assert response.status_code == status
    assert ("No healthy worker consumes" in response.content.decode()) == is_staff


def test_the_status_page_links_flower_and_the_admin_and_says_where_the_password_is(
    user: User, face_search: MemorySearchClient, settings: Any, tmp_path: Path
) -> None:
    user.is_staff = True
    user.save()
    client = Client()
    client.force_login(user)
    settings.DATA_DIR, settings.FLOWER_URL = tmp_path, "http://127.0.0.1:4242/"
    page = client.get("/status/").content.decode()
    assert 'href="http://127.0.0.1:4242/"' in page
    assert 'href="/admin/"' in page
    assert "flower_password" not in page, "there is no such file: Flower has another password"
    password = flower_password(tmp_path)
    page = client.get("/status/").content.decode()
    assert str(tmp_path / "flower_password") in page
    assert password not in page


def test_the_admin_carries_the_name_of_the_project(user: User, face_search: MemorySearchClient) -> None:
    user.is_staff = True
    user.save()
    client = Client()
    client.force_login(user)
    page = client.get("/admin/").content.decode()
    assert "facequeue admin" in page
    assert "Django" not in page


# -- metrics ------------------------------------------------------------------------------------------------------


@pytest.fixture
def seen(queue: WatchedQueue) -> None:
    """One message waits, since two seconds ago."""
    queue.clock = lambda: 102.0
    queue.have_waiting(1, queue="records", sent_at=100.0)


@pytest.fixture
def without_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks for beat is told at once that Redis is away, which takes five seconds to find out."""

    def away() -> bool:
        raise QueueUnavailable("The queue does not answer.")

    monkeypatch.setattr(inspection, "beat_answers", away)


def test_this_machine_may_read_the_metrics(db: None, face_search: MemorySearchClient, seen: None) -> None:
    response = Client().get("/metrics")
    assert response.status_code == 200
    assert response["Content-Type"].startswith("text/plain; version=0.0.4")
    assert b'facequeue_queue_depth{queue="records"} 1.0' in response.content


@pytest.mark.parametrize(
    "meta",
    [
        {"REMOTE_ADDR": "192.0.2.1"},
        {"REMOTE_ADDR": ""},
        {"HTTP_X_FORWARDED_FOR": "127.0.0.1"},
        {"HTTP_FORWARDED": "for=127.0.0.1"},
    ],
)
def test_nobody_else_may(db: None, face_search: MemorySearchClient, seen: None, meta: dict[str, str]) -> None:
    assert Client().get("/metrics", **meta).status_code == 404  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "status"), [("Bearer right", 200), ("Bearer wrong", 404), ("right", 404), ("Bearer ", 404), ("", 404)]
)
def test_with_a_token_only_its_holder_may(
    db: None, face_search: MemorySearchClient, seen: None, settings: Any, given: str, status: int
) -> None:
    settings.METRICS_TOKEN = "right"
    assert Client().get("/metrics", headers={"Authorization": given}).status_code == status
    assert Client().get("/metrics", headers={"Authorization": given}, REMOTE_ADDR="192.0.2.1").status_code == status


def test_metrics_can_be_turned_off(db: None, face_search: MemorySearchClient, settings: Any) -> None:
    settings.MONITORING_CONFIG = settings.MONITORING_CONFIG | {"ENABLE_METRICS": False}
    assert Client().get("/metrics").status_code == 404


def test_metrics_are_answered_without_workers_or_a_queue(db: None, queue: WatchedQueue) -> None:
    queue.is_down = True
    response = Client().get("/metrics")
    assert response.status_code == 200
    assert b"facequeue_queue_depth{" not in response.content


def test_ready_tells_staff_where_and_nobody_else(user: User, face_search: MemorySearchClient, seen: None) -> None:
    client = Client()
    client.force_login(user)
    assert "workers" not in client.get("/health/ready").json()
    user.is_staff = True
    user.save()
    [records] = [queue for queue in client.get("/health/ready").json()["queues"] if queue["name"] == "records"]
    assert records["oldest_seconds"] == 2.0


def test_the_status_page_shows_the_queues(user: User, face_search: MemorySearchClient, seen: None) -> None:
    user.is_staff = True
    user.save()
    client = Client()
    client.force_login(user)
    page = client.get("/status/").content.decode()
    assert "records" in page
    assert "none yet" in page


def test_one_list_of_findings_feeds_readiness_the_status_page_and_the_metrics(
    user: User, face_search: MemorySearchClient, seen: None
) -> None:
    user.is_staff = True
    user.save()
    client = Client()
    client.force_login(user)
    face_search.reports.clear()
    ready = client.get("/health/ready").json()
    findings = {finding["name"]: finding for finding in ready["findings"]}
    page, metrics = client.get("/status/").content.decode(), client.get("/metrics").content.decode()
    assert {"database", "redis", "queue records", "workers records"} <= set(findings)
    for name, finding in findings.items():
        assert f'<th scope="row">{name}</th>' in page
        assert f'facequeue_finding_ok{{finding="{name}"}} {float(finding["ok"])}' in metrics
    assert not findings["workers records"]["ok"]
    assert findings["workers records"]["remedy"] in page
    assert 'facequeue_finding_value{finding="queue records"} 1.0' in metrics
    assert ready["is_ready"] == all(each["ok"] for each in findings.values() if each["is_critical"])


def test_doctor_prints_the_same_findings_and_more(
    db: None, face_search: MemorySearchClient, seen: None, without_redis: None
) -> None:
    face_search.reports.clear()
    out = StringIO()
    with pytest.raises(CommandError, match="checks failed"):
        call_command("doctor", "--json", stdout=out)
    found = {finding["name"]: finding for finding in json.loads(out.getvalue())}
    assert {"database", "redis", "queue records", "workers records", "migrations", "storage", "beat"} <= set(found)
    assert set(found["workers records"]) == {"name", "ok", "detail", "remedy", "value", "is_critical"}


def test_what_is_wrong_with_the_active_generation_is_in_the_list(
    user: User, face_search: MemorySearchClient, seen: None, settings: Any, without_redis: None
) -> None:
    user.is_staff = True
    user.save()
    client = Client()
    client.force_login(user)
    active_generation()
    Generation.objects.update(measurements={"searched": {"match_recall": 0.9}})
    settings.COLLECTION_CONFIG = {"INDEX_TYPE": "HNSW"}
    page, metrics = client.get("/status/").content.decode(), client.get("/metrics").content.decode()
    assert "searches find 90.00% of the matches" in page
    assert 'facequeue_finding_value{finding="measured recall"} 0.9' in metrics
    assert 'facequeue_finding_ok{finding="index settings"} 0.0' in metrics
    assert client.get("/health/ready").json()["is_ready"]
    out = StringIO()
    with pytest.raises(CommandError, match="checks failed"):
        call_command("doctor", stdout=out)
    assert "The settings describe the first generation only." in out.getvalue()


# -- upkeep -------------------------------------------------------------------------------------------------------


def test_sessions_that_have_ended_are_deleted_and_others_kept(db: None) -> None:
    for key, days in (("ended", -1), ("lives", 1)):
        Session.objects.create(session_key=key, session_data="", expire_date=timezone.now() + timedelta(days=days))
    tasks.purge_sessions()
    assert [session.session_key for session in Session.objects.all()] == ["lives"]
