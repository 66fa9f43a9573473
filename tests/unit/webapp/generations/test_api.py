"""Generations in the API, on the pages and in the admin: for staff, and nobody's pictures for anybody else."""

import re
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone

from tasks.health.reports import WorkerReport
from tasks.web.memory import MemorySearchClient
from tests.unit.webapp.conftest import add_indexed_photo, report_of
from webapp.accounts.callers import Scope
from webapp.accounts.keys import key_create
from webapp.accounts.models import AuditEntry
from webapp.config.api import api
from webapp.gallery.models import Face, Gallery
from webapp.generations import overview
from webapp.generations.gates import GATES
from webapp.generations.models import CHANGE, DROP, START, Entry, Generation, Trial
from webapp.generations.selectors import active_generation
from webapp.generations.urls import urlpatterns
from webapp.people import services

State = Generation.State


def staff_with(user: User, *permissions: str) -> Client:
    """The user as one of the staff with these permissions."""
    user.is_staff = True
    user.save()
    names = [permission.partition(".")[2] for permission in permissions]
    user.user_permissions.set(Permission.objects.filter(content_type__app_label="generations", codename__in=names))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def staff(user: User) -> Client:
    """Ada, who runs the service."""
    return staff_with(user, START, CHANGE, DROP)


def another(state: str = State.BUILDING, **fields: Any) -> Generation:
    """A generation of another pack beside the active one."""
    active_generation()
    fields = {
        "pack": "other",
        "collection": f"faces_{uuid.uuid4().hex}",
        "fingerprint": "f" * 64,
        "state": state,
    } | fields
    return Generation.objects.create(**fields)


def compared(*changes: tuple[Face, Face | None, Face | None]) -> dict[str, Any]:
    """Measurements in which each face has an old and a new nearest neighbour."""

    def hits(face: Face | None, similarity: float) -> list[dict[str, Any]]:
        return [{"face_id": str(face.id), "photo_id": str(face.photo_id), "similarity": similarity}] if face else []

    measured = {"face_count": 0, "database_count": 0, "match_recall": 1.0, "run_id": "x"}
    return {
        "active": measured | {"neighbours": {str(face.id): hits(old, 0.8) for face, old, _ in changes}},
        "own": measured | {"neighbours": {str(face.id): hits(new, 0.7) for face, _, new in changes}},
    }


def post(client: Client, path: str, **body: Any) -> Any:
    return client.post(f"/api/v1/generations{path}", body, content_type="application/json")


def text(response: Any) -> str:
    return response.content.decode()


# -- who may --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("get", "/api/v1/generations"),
        ("post", "/api/v1/generations"),
        ("get", "/api/v1/generations/{number}"),
        ("post", "/api/v1/generations/rollback"),
        *(
            ("post", "/api/v1/generations/{number}/" + action)
            for action in ("pause", "resume", "rate", "search-params", "activate")
        ),
        ("delete", "/api/v1/generations/{number}"),
        ("get", "/generations/"),
        ("get", "/generations/{number}/"),
        ("get", "/generations/{number}/progress/"),
        ("post", "/generations/start/"),
        ("post", "/generations/rollback/"),
        *(
            ("post", "/generations/{number}/" + action + "/")
            for action in ("pause", "rate", "search-params", "activate", "drop")
        ),
    ],
)
def test_for_others_there_is_no_such_page(user: User, reports: list[WorkerReport], method: str, path: str) -> None:
    generation = another()
    client = Client()
    address = path.format(number=generation.pk)
    anonymous = getattr(client, method)(address, {}, content_type="application/json")
    assert anonymous.status_code in (302, 401)
    client.force_login(user)
    assert getattr(client, method)(address, {}, content_type="application/json").status_code == 404
    assert list(Generation.objects.filter(pk=generation.pk).values_list("state", "is_dropping", "is_paused")) == [
        (State.BUILDING, False, False)
    ]
    assert not AuditEntry.objects.exists()


#: By what changes a generation, in the API and on the pages: the permission that it needs.
CHANGES = {
    ("post", "/api/v1/generations"): START,
    ("post", "/api/v1/generations/rollback"): CHANGE,
    **{
        ("post", "/api/v1/generations/{number}/" + action): CHANGE
        for action in ("pause", "resume", "rate", "search-params", "activate", "check")
    },
    ("delete", "/api/v1/generations/{number}"): DROP,
    ("post", "/generations/start/"): START,
    ("post", "/generations/rollback/"): CHANGE,
    **{
        ("post", "/generations/{number}/" + action + "/"): CHANGE
        for action in ("pause", "rate", "search-params", "activate")
    },
    ("post", "/generations/{number}/drop/"): DROP,
}


@pytest.mark.parametrize(("method", "path"), CHANGES)
def test_a_change_needs_its_permission_and_not_only_to_be_staff(user: User, method: str, path: str) -> None:
    generation = another()
    needed = CHANGES[method, path]
    client = staff_with(user, *{START, CHANGE, DROP} - {needed}, "generations.view_generation")
    address = path.format(number=generation.pk)
    answer = getattr(client, method)(address, {"search_params": {}}, content_type="application/json")
    assert answer.status_code == 403
    assert needed in text(answer)
    assert not AuditEntry.objects.exists()

    client = staff_with(user, needed)
    assert getattr(client, method)(address, {"search_params": {}}, content_type="application/json").status_code != 403


def test_every_change_of_a_generation_is_tried_above() -> None:
    document: Any = api.get_openapi_schema(path_prefix="/api/v1/")
    in_the_api = {
        (method, path)
        for path, operations in document["paths"].items()
        for method in operations
        if path.startswith("/api/v1/generations") and method != "get"
    }
    on_pages = {
        ("post", "/" + str(each.pattern).replace("<int:number>", "{number}"))
        for each in urlpatterns
        if each.name not in ("generation_list", "generation_detail", "generation_progress")
    }
    assert in_the_api | on_pages == set(CHANGES)


@pytest.mark.parametrize(
    ("permission", "shown", "hidden"),
    [
        ("", [], ["/pause/", "/rate/", "/activate/", "/search-params/", "/drop/"]),
        (CHANGE, ["/pause/", "/rate/", "/activate/", "/search-params/"], ["/drop/"]),
        (DROP, ["/drop/"], ["/pause/", "/rate/", "/activate/", "/search-params/"]),
    ],
)
def test_a_page_shows_only_the_forms_that_its_reader_may_send(
    user: User, permission: str, shown: list[str], hidden: list[str]
) -> None:
    page = text(staff_with(user, permission).get(f"/generations/{another().pk}/"))
    assert [action in page for action in shown] == [True] * len(shown)
    assert [action in page for action in hidden] == [False] * len(hidden)


def test_the_list_shows_only_the_forms_that_its_reader_may_send(user: User) -> None:
    another(State.RETIRED)
    for permission, shown in ((START, [True, False]), (CHANGE, [False, True]), (DROP, [False, False])):
        page = text(staff_with(user, permission).get("/generations/"))
        assert [address in page for address in ("/generations/start/", "/generations/rollback/")] == shown


def test_packs_and_indexes_are_a_choice(
    staff: Client, reports: list[WorkerReport], settings: Any, tmp_path: Path
) -> None:
    settings.FACE_CONFIG = settings.FACE_CONFIG | {"PACKS_DIR": tmp_path}
    settings.MILVUS_CONFIG = {}
    for name in ("one.onnx", "two.onnx"):
        (tmp_path / "own").mkdir(exist_ok=True)
        (tmp_path / "own" / name).write_bytes(b"model")
    (tmp_path / "half").mkdir()
    reports.append(report_of("elsewhere"))
    page = text(staff.get("/generations/"))
    packs = re.findall(r'<option value="([^"]*)">', page.partition('name="pack"')[2].partition("</select>")[0])
    assert packs == [active_generation().pack, "own", "elsewhere"]
    indexes = page.partition('name="index_type"')[2].partition("</select>")[0]
    assert 'value="">Default' in indexes
    assert "HNSW" in indexes
    assert "GPU_CAGRA" not in indexes, "Milvus Lite has none"
    settings.MILVUS_CONFIG = {"URI": "http://milvus:19530"}
    assert "GPU_CAGRA" in text(staff.get("/generations/"))
    assert staff.post("/generations/start/", {"pack": packs[1], "index_type": ""}).status_code == 302
    assert Generation.objects.get(state=State.BUILDING).pack == "own"


# -- the API --------------------------------------------------------------------------------------------------


def test_a_generation_is_started_and_shown(staff: Client, gallery: Gallery, reports: list[WorkerReport]) -> None:
    add_indexed_photo(gallery)
    reports += [report_of("other", "search"), report_of("other", "index", is_healthy=False)]
    answer = post(staff, "", pack="other", index_type="HNSW", search_params={"ef": 512}, rate_limit=5)
    assert answer.status_code == 201
    started = answer.json()
    assert (started["state"], started["pack"], started["rate_limit"]) == ("building", "other", 5)
    assert started["index"] == {
        "metric_type": "",
        "index_type": "HNSW",
        "index_params": {},
        "search_params": {"ef": 512},
    }
    assert started["counts"] == {"total": 1, "indexed": 0, "no_faces": 0, "failed": 0, "missing": 0, "following": 1}
    assert started["workers"] == {"search.other": 1, "index.other": 0, "reindex.other": 0}
    assert [gate["name"] for gate in started["gates"]] == list(GATES)
    assert AuditEntry.objects.get(action="reindex.start").actor == "ada"
    listed = staff.get("/api/v1/generations").json()["items"]
    assert [(each["number"], each["state"]) for each in listed] == [
        (started["number"], "building"),
        (active_generation().pk, "active"),
    ]
    assert listed[1]["gates"] == []
    assert staff.get(f"/api/v1/generations/{started['number']}").json()["changes"] == []


def test_generations_are_listed_in_parts(staff: Client) -> None:
    first, second = active_generation().pk, another().pk
    part = staff.get("/api/v1/generations?limit=1").json()
    rest = staff.get(f"/api/v1/generations?limit=1&cursor={part['next_cursor']}").json()
    assert [each["number"] for each in (*part["items"], *rest["items"])] == [second, first]
    assert rest["next_cursor"] is None


@pytest.mark.parametrize(("scopes", "status"), [(["admin"], 200), (["read", "write", "search"], 403)])
def test_a_key_of_the_staff_takes_the_scope_admin(
    client: Client, user: User, staff: Client, scopes: list[str], status: int
) -> None:
    number = active_generation().pk
    _, token = key_create(user=user, name="key", scopes=[Scope(scope) for scope in scopes])
    for address in ("/api/v1/generations", f"/api/v1/generations/{number}"):
        assert client.get(address, headers={"X-Api-Key": token}).status_code == status


def test_the_key_of_somebody_who_is_staff_no_longer_is_worth_nothing_here(
    client: Client, user: User, staff: Client
) -> None:
    _, token = key_create(user=user, name="key", scopes=[Scope.ADMIN])
    User.objects.update(is_staff=False)
    assert client.get("/api/v1/generations", headers={"X-Api-Key": token}).status_code == 404


def test_a_second_one_and_a_bad_index_are_refused(staff: Client) -> None:
    assert post(staff, "", index_type="NONSENSE").json()["code"] == "bad_index"
    assert post(staff, "", rate_limit=-1).status_code == 422
    assert post(staff, "", index_type="HNSW").status_code == 201
    again = post(staff, "", index_type="HNSW")
    assert (again.status_code, again.json()["code"]) == (409, "reindex_running")


def test_a_generation_is_paused_resumed_and_slowed_down(staff: Client) -> None:
    number = another().pk
    assert post(staff, f"/{number}/pause").json()["is_paused"]
    assert not post(staff, f"/{number}/resume").json()["is_paused"]
    assert post(staff, f"/{number}/rate", rate_limit=2.5).json()["rate_limit"] == 2.5
    assert post(staff, f"/{number}/rate", rate_limit=None).json()["rate_limit"] is None
    assert post(staff, "/999/pause").status_code == 404


def test_a_closed_gate_says_why_and_can_be_overridden_by_name(staff: Client) -> None:
    first, number = active_generation().pk, another().pk
    refused = post(staff, f"/{number}/activate")
    assert (refused.status_code, refused.json()["code"]) == (409, "gate_closed")
    assert "workers: No healthy worker of the pack other" in refused.json()["detail"]
    assert post(staff, f"/{number}/activate", override=["nonsense"]).status_code == 400
    assert post(staff, f"/{number}/activate", override=list(GATES)).json()["state"] == "active"
    assert set(AuditEntry.objects.get(action="reindex.activate").detail["overridden"]) >= {"recall", "workers"}
    assert post(staff, "/rollback", override=["workers"]).json()["number"] == first
    assert staff.delete(f"/api/v1/generations/{first}").status_code == 409
    dropped = staff.delete(f"/api/v1/generations/{number}")
    assert (dropped.status_code, dropped.json()) == (202, {"number": number, "warning": ""})
    assert Generation.objects.get(pk=number).is_dropping


def test_the_rate_is_that_of_the_last_minute_and_tells_the_time_left(staff: Client, gallery: Gallery) -> None:
    photos = [add_indexed_photo(gallery, content=bytes([number])) for number in range(4)]
    generation, now = another(), timezone.now()
    Generation.objects.update(created=now - timedelta(hours=1))
    for photo, seconds in zip(photos, (5, 30, 3000), strict=False):
        Entry.objects.create(
            generation=generation, photo=photo, state="indexed", settled_at=now - timedelta(seconds=seconds)
        )
    shown = staff.get(f"/api/v1/generations/{generation.pk}").json()
    assert shown["rate"] == pytest.approx(2 / 60)
    assert shown["seconds_left"] == pytest.approx(30)
    assert shown["counts"] == {"total": 4, "indexed": 3, "no_faces": 0, "failed": 0, "missing": 0, "following": 1}


def test_changed_answers_are_told_by_ids(staff: Client, gallery: Gallery) -> None:
    one, two, three = (add_indexed_photo(gallery, content=bytes([number])).faces.get() for number in range(3))
    generation = another(measurements=compared((one, two, three), (two, three, three), (three, one, None)))
    shown = staff.get(f"/api/v1/generations/{generation.pk}").json()
    assert shown["compared"] == 3
    found = {
        change["face"]["face_id"]: (
            change["old"] and change["old"]["face_id"],
            change["new"] and change["new"]["face_id"],
        )
        for change in shown["changes"]
    }
    assert found == {str(one.id): (str(two.id), str(three.id)), str(three.id): (str(one.id), None)}
    assert shown["changes"][0]["face"]["gallery_name"] == gallery.name


def test_a_sampled_face_that_has_gone_since_is_left_out(staff: Client, gallery: Gallery) -> None:
    one, two = (add_indexed_photo(gallery, content=bytes([number])).faces.get() for number in range(2))
    generation = another(measurements=compared((one, two, None), (two, one, None)))
    one.delete()
    shown = staff.get(f"/api/v1/generations/{generation.pk}").json()
    assert [(change["face"]["face_id"], change["old"]) for change in shown["changes"]] == [(str(two.id), None)]


# -- the pages ------------------------------------------------------------------------------------------------


def test_the_page_shows_changes_side_by_side_but_no_strangers_pictures(
    staff: Client, gallery: Gallery, their_gallery: Gallery
) -> None:
    mine, other = (add_indexed_photo(gallery, content=bytes([number])).faces.get() for number in range(2))
    theirs = add_indexed_photo(their_gallery, name="secret.jpg").faces.get()
    services.face_name(face=theirs, name="Eve")
    generation = another(measurements=compared((mine, other, None), (theirs, mine, None)))
    shown = text(staff.get(f"/generations/{generation.pk}/"))
    assert "2 of 2 sampled faces" in shown
    assert f'<img class="portrait" src="/faces/{mine.id}/crop/{mine.crop}.jpg" alt="A face in ada.jpg"' in shown
    assert f"/faces/{other.id}/crop/{other.crop}.jpg" in shown
    assert '<span class="muted">none</span>' in shown
    assert f"a face in a gallery that is not shared with you<br><code>{theirs.id}</code>" in shown
    secrets = (str(theirs.photo_id), str(their_gallery.id), "secret.jpg", "Eve", "Secrets")
    answered = text(staff.get(f"/api/v1/generations/{generation.pk}"))
    assert str(theirs.id) in answered
    for secret in secrets:
        assert secret not in shown
        assert secret not in answered


def test_a_photo_being_deleted_is_not_shown(staff: Client, gallery: Gallery) -> None:
    one, two = (add_indexed_photo(gallery, content=bytes([number])).faces.get() for number in range(2))
    generation = another(measurements=compared((one, two, None)))
    assert staff.delete(f"/api/v1/photos/{one.photo_id}").status_code == 202
    shown = text(staff.get(f"/generations/{generation.pk}/"))
    assert str(one.photo_id) not in shown
    assert str(two.photo_id) in shown


@pytest.mark.parametrize("number", ["1e308", "NaN", "Infinity", "-1", "0", "1" + 400 * "0", 5000 * "9"])
def test_no_body_carries_a_number_beyond_its_bounds(staff: Client, number: str) -> None:
    generation = another(rate_limit=3.0)
    for path, body in (
        (f"/{generation.pk}/rate", f'{{"rate_limit": {number}}}'),
        ("", f'{{"search_params": {{"nprobe": {number}}}}}'),
    ):
        answer = staff.post(f"/api/v1/generations{path}", body, content_type="application/json")
        assert answer.status_code in (400, 409, 422), answer.content
        assert answer["Content-Type"] == "application/problem+json"
    generation.refresh_from_db()
    assert generation.rate_limit == 3.0


@pytest.mark.parametrize("number", [0, 2**63 - 1, 2**63, 10**30, "9" * 5000])
def test_a_number_that_no_generation_has_is_not_found(staff: Client, number: object) -> None:
    assert staff.get(f"/generations/{number}/").status_code == 404
    assert staff.get(f"/api/v1/generations/{number}").status_code in (404, 422)


def test_a_generation_is_begun_paused_and_dropped_on_the_pages(staff: Client, reports: list[WorkerReport]) -> None:
    reports.append(report_of("other", is_healthy=False))
    assert "Build a generation" in text(staff.get("/generations/"))
    form = {"pack": "other", "index_type": "IVF_FLAT", "search_params": '{"nprobe": 64}', "rate_limit": "3"}
    assert "is being built" in text(staff.post("/generations/start/", form, follow=True))
    generation = Generation.objects.get(pack="other")
    assert (generation.index_params, generation.search_params, generation.rate_limit) == ({}, {"nprobe": 64}, 3.0)
    assert "Build a generation" not in text(staff.get("/generations/"))
    address = f"/generations/{generation.pk}/"
    assert "paused" in text(staff.post(address + "pause/", {"is_paused": "1"}, follow=True))
    staff.post(address + "rate/", {"rate_limit": ""})
    staff.post(address + "pause/", {})
    generation.refresh_from_db()
    assert (generation.is_paused, generation.rate_limit) == (False, None)
    assert "is being dropped" in text(staff.post(address + "drop/", follow=True))


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        ({"index_params": "{"}, "index_params: Invalid JSON"),
        ({"index_params": '{"nlist": "x"}'}, "nlist: must be a valid integer"),
        ({"rate_limit": "0"}, "rate_limit: must be greater than or equal to 0.01"),
        ({"rate_limit": "1e308"}, "rate_limit: must be less than or equal to 10000"),
        ({"rate_limit": "nan"}, "rate_limit: must be"),
        ({"index_params": '{"nlist": 1e999}'}, "nlist: must be a"),
        ({"index_type": "NONSENSE"}, "NONSENSE"),
        ({"pack": "nowhere"}, "The pack nowhere is not installed here"),
        ({"pack": "größe"}, "cannot be a pack: its name must be 1 to 100 letters"),
        ({"pack": "a,b"}, "cannot be a pack: its name must be 1 to 100 letters"),
    ],
)
def test_a_form_filled_in_wrongly_is_told_in_a_sentence(staff: Client, form: dict[str, str], sentence: str) -> None:
    assert sentence in text(staff.post("/generations/start/", form, follow=True))
    assert not Generation.objects.filter(state=State.BUILDING).exists()


def test_activating_on_the_page_needs_open_gates_or_their_names(staff: Client) -> None:
    generation = another()
    address = f"/generations/{generation.pk}/"
    shown = text(staff.get(address))
    assert all(f'name="override" value="{gate}"' in shown for gate in GATES)
    assert "is not activated. counts:" in text(staff.post(address + "activate/", follow=True))
    assert "is searched now" in text(staff.post(address + "activate/", {"override": GATES}, follow=True))
    assert "Activate</button>" not in text(staff.get(address))
    assert "Drop it" not in text(staff.get(address))
    assert "is searched again" in text(staff.post("/generations/rollback/", {"override": "workers"}, follow=True))
    assert active_generation() != generation


def test_search_parameters_are_changed_in_the_api_and_the_trial_is_shown(staff: Client, settings: Any) -> None:
    settings.COLLECTION_CONFIG = {"INDEX_TYPE": "IVF_FLAT"}
    path = f"/{active_generation().pk}/search-params"
    refused = post(staff, path, search_params={"ef": 1})
    assert (refused.status_code, refused.json()["code"]) == (400, "bad_index")
    changed = post(staff, path, search_params={"nprobe": 9})
    assert changed.status_code == 202
    assert changed.json()["index"]["search_params"] == {"nprobe": 9}
    trial = changed.json()["trial"]
    assert (trial["state"], trial["search_params"], trial["previous"]) == ("running", {"nprobe": 9}, {})
    assert (trial["is_confirmed"], trial["recall_after"], changed.json()["match_recall"]) == (False, None, None)


def test_search_parameters_are_changed_on_the_page_until_it_is_known_what_they_find(
    staff: Client, settings: Any
) -> None:
    settings.COLLECTION_CONFIG = {"INDEX_TYPE": "IVF_FLAT"}
    address = f"/generations/{active_generation().pk}/"
    form = {"search_params": '{"nprobe": 9}', "confirm": "true"}
    shown = text(staff.post(address + "search-params/", form, follow=True))
    assert "Searching with nprobe=9" in shown
    assert "hx-get" in shown
    Trial.objects.update(state=Trial.State.UNDONE, recall_after=0.5)
    Generation.objects.update(measurements={"searched": {"match_recall": 0.75}})
    shown = text(staff.get(address))
    assert "Undone, back to the index&#x27;s own parameters: with nprobe=9 searches find 50.00%" in shown
    assert "Searches find 75.00% of the matches that exact search finds." in shown
    assert "hx-get" not in shown
    assert "SEARCH_PARAMS" in text(staff.post(address + "search-params/", {"search_params": '{"x": 9}'}, follow=True))


def test_the_progress_is_polled_until_nothing_changes(staff: Client) -> None:
    generation = another()
    address = f"/generations/{generation.pk}/"
    assert f'hx-get="{address}progress/"' in text(staff.get(address))
    polled = staff.get(address + "progress/")
    assert polled.status_code == 200
    assert "<html" not in text(polled)
    Generation.objects.filter(pk=generation.pk).update(state=State.RETIRED)
    assert staff.get(address + "progress/").status_code == 286
    assert "hx-get" not in text(staff.get(address))


def test_the_pages_keep_the_policy(staff: Client, gallery: Gallery) -> None:
    face = add_indexed_photo(gallery).faces.get()
    generation = another(measurements=compared((face, face, None)))
    for address in ("/generations/", f"/generations/{generation.pk}/"):
        shown = text(staff.get(address))
        assert "style=" not in shown
        assert "<script>" not in shown


def test_the_status_page_shows_the_active_generation_and_who_works(
    staff: Client, face_search: MemorySearchClient
) -> None:
    another()
    face_search.reports.clear()
    shown = text(staff.get("/status/"))
    assert f'Active: <a href="/generations/{active_generation().pk}/">' in shown
    assert "search.dlib: none" in shown
    assert "reindex.other: none" in shown


def test_workers_are_counted_by_queue_and_only_healthy_ones() -> None:
    found = overview.pack_workers(
        ["a", "b", "a"], [report_of("a"), report_of("a", "search"), report_of("b", is_healthy=False)]
    )
    assert [(each.pack, each.workers) for each in found] == [
        ("a", {"search.a": 2, "index.a": 1, "reindex.a": 1}),
        ("b", {"search.b": 0, "index.b": 0, "reindex.b": 0}),
    ]


# -- the admin ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["generation", "entry", "auditentry"])
def test_the_admin_shows_and_changes_nothing(staff: Client, user: User, gallery: Gallery, name: str) -> None:
    user.is_superuser = True
    user.save()
    add_indexed_photo(gallery)
    assert post(staff, "", index_type="HNSW").status_code == 201
    model = {"generation": Generation, "entry": Entry, "auditentry": AuditEntry}[name]
    row = model.objects.first()
    assert row is not None
    assert staff.get(f"/admin/{model._meta.app_label}/{name}/").status_code == 200
    assert staff.get(f"/admin/{model._meta.app_label}/{name}/{row.pk}/change/").status_code == 200
    for action in ("add", f"{row.pk}/delete"):
        assert staff.post(f"/admin/{model._meta.app_label}/{name}/{action}/", {"post": "yes"}).status_code == 403
    assert staff.post(f"/admin/{model._meta.app_label}/{name}/{row.pk}/change/", {}).status_code == 403
    assert model.objects.filter(pk=row.pk).exists()
