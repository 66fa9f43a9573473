"""The consistency check compares range by range, believes only what stands still, and repairs when it is asked to."""

import io
import json
import uuid
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from tasks.errors import QueueUnavailable
from tasks.health.checks import judge
from tasks.health.live_recall import GalleryRecall
from tasks.health.reports import WorkerReport
from tasks.messages.consistency import Checked, CheckRequest, OrphanInfo, RecallSample, StrayRequest
from tests.unit.webapp.conftest import WatchedQueue, add_indexed_photo, add_photo, face_info, report_of
from webapp.accounts.models import AuditEntry
from webapp.gallery.models import Face, Gallery, Photo, Tombstone
from webapp.generations import services as generation_services
from webapp.generations.management.commands import reindex
from webapp.generations.models import Check, Entry, Generation
from webapp.generations.searched import live_recall
from webapp.generations.selectors import active_generation
from webapp.http.problems import Problem
from webapp.indexing import consistency, deleting
from webapp.indexing.consistency import FIRST_ID, LAST_ID
from webapp.jobs.services import job_cancel

pytestmark = pytest.mark.django_db(transaction=True)

Request = CheckRequest | StrayRequest


class Worker:
    """Sees the requests of checks; answers are made by hand, as if the collection held what the database knows."""

    def __init__(self, queue: WatchedQueue) -> None:
        self._queue = queue

    @property
    def requests(self) -> list[Request]:
        return [each.message for each in self._queue.sent if isinstance(each.message, Request)]

    def answer(self, request: Request | None = None, **found: Any) -> None:
        """Answer the latest request; `found` differs from what was known."""
        request = request or self.requests[-1]
        of_range = {}
        if isinstance(request, CheckRequest):
            of_range = {
                "gallery_id": request.gallery_id,
                "first": request.first,
                "last": request.last,
                "face_count": len(request.face_ids),
            }
        consistency.check_record(
            checked=Checked(
                collection=request.target.collection,
                run_id=request.run_id,
                known_at=request.known_at,
                **{**of_range, **found},
            )
        )


@pytest.fixture
def worker(queue: WatchedQueue) -> Worker:
    return Worker(queue)


def settle(seconds: float = 3600) -> None:
    """Let all outcomes be old."""
    Entry.objects.exclude(state=Entry.State.PENDING).update(settled_at=timezone.now() - timedelta(seconds=seconds))


def start(*, is_repair: bool = False) -> Check:
    settle()
    check = consistency.check_start(generation=active_generation(), actor="ada", is_repair=is_repair)
    consistency.checks_send_again()
    return check


def finish(worker: Worker) -> Check:
    """Answer everything that is still asked, without any difference."""
    for _ in range(20):
        if (check := Check.objects.get()).finished_at:
            return check
        worker.answer()
    raise AssertionError("The check does not end.")


def orphan(photo: Photo | None = None, *, gallery: Gallery | None = None) -> OrphanInfo:
    return OrphanInfo(
        face_id=str(uuid.uuid4()),
        photo_id=str(photo.id if photo else uuid.uuid4()),
        gallery_id=str(photo.gallery_id if photo else gallery.id if gallery else uuid.uuid4()),
    )


def face_of(photo: Photo) -> str:
    return str(Face.objects.filter(photo=photo).values_list("id", flat=True)[0])


def is_sent_again(photo: Photo) -> bool:
    """Whether the tick sends it: it has no entry any more."""
    return not Entry.objects.filter(photo=photo).exists()


# -- ranges -----------------------------------------------------------------------------------------------------


def test_the_ranges_of_all_galleries_leave_no_id_out(
    worker: Worker, gallery: Gallery, their_gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consistency, "RANGE_PHOTOS", 2)
    photos = [add_indexed_photo(gallery, content=bytes([number])) for number in range(5)]
    start()
    finish(worker)

    *ranges, strays = worker.requests
    assert isinstance(strays, StrayRequest)
    assert (set(strays.gallery_ids), strays.face_count) == ({str(gallery.id), str(their_gallery.id)}, 5)
    of_gallery: dict[str, list[CheckRequest]] = {}
    for request in ranges:
        assert isinstance(request, CheckRequest)
        of_gallery.setdefault(request.gallery_id, []).append(request)
    assert list(of_gallery) == sorted([str(gallery.id), str(their_gallery.id)])
    assert [len(each.face_ids) for each in of_gallery[str(gallery.id)]] == [2, 2, 1]
    for requests in of_gallery.values():
        assert (requests[0].first, requests[-1].last) == (FIRST_ID, LAST_ID)
        for one, next_one in pairwise(requests):
            assert uuid.UUID(next_one.first).int == uuid.UUID(one.last).int + 1
    asked = {face_id for requests in of_gallery.values() for each in requests for face_id in each.face_ids}
    assert asked == {face_of(photo) for photo in photos}


def test_a_service_without_galleries_is_checked_for_strays_only(worker: Worker, db: None) -> None:
    start()
    assert isinstance(worker.requests[-1], StrayRequest)
    assert finish(worker).face_count == 0


def test_an_unanswered_range_is_sent_again_after_its_lease(worker: Worker, gallery: Gallery) -> None:
    start()
    consistency.checks_send_again()
    assert len(worker.requests) == 1
    Check.objects.update(sent_at=timezone.now() - timedelta(hours=1))
    consistency.checks_send_again()
    first, again = worker.requests
    assert isinstance(first, CheckRequest)
    assert isinstance(again, CheckRequest)
    assert (first.first, first.last) == (again.first, again.last)


def test_a_range_that_two_workers_answer_counts_once(
    worker: Worker, gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consistency, "RANGE_PHOTOS", 1)
    for number in range(2):
        add_indexed_photo(gallery, content=bytes([number]))
    start()
    [request] = worker.requests
    worker.answer(request)
    worker.answer(request)
    assert len(worker.requests) == 2
    assert finish(worker).face_count == 2


def test_an_answer_to_an_earlier_check_is_of_no_use(worker: Worker, gallery: Gallery) -> None:
    add_indexed_photo(gallery)
    start()
    [old] = worker.requests
    finish(worker)
    start()
    worker.answer(old)
    assert Check.objects.get().face_count == 0


def test_a_queue_that_is_down_stops_no_check(worker: Worker, queue: WatchedQueue, gallery: Gallery) -> None:
    queue.is_down = True
    with pytest.raises(QueueUnavailable):
        start()
    queue.is_down = False
    consistency.checks_send_again()
    assert finish(worker).finished_at


def test_a_generation_is_checked_once_at_a_time(worker: Worker, gallery: Gallery) -> None:
    start()
    with pytest.raises(Problem, match="already being checked"):
        start()
    finish(worker)
    start()
    assert AuditEntry.objects.filter(action="reindex.check").count() == 2


def test_a_generation_that_is_not_filled_is_not_checked(worker: Worker, db: None) -> None:
    failed = Generation.objects.create(pack="other", collection="c", state=Generation.State.FAILED)
    with pytest.raises(Problem, match="nothing to check"):
        consistency.check_start(generation=failed, actor="ada")


def test_a_dropped_generation_takes_its_check_with_it(worker: Worker, db: None) -> None:
    generation = Generation.objects.create(pack="other", collection="c")
    consistency.check_start(generation=generation, actor="ada")
    Generation.objects.filter(pk=generation.pk).update(is_dropping=True)
    consistency.checks_send_again()
    generation_services.drop_record(collection="c")
    assert (worker.requests, Check.objects.count()) == ([], 0)


# -- what differs ---------------------------------------------------------------------------------------------------


def test_without_repair_differences_are_counted_and_nothing_changes(
    worker: Worker, queue: WatchedQueue, gallery: Gallery
) -> None:
    photo, other = add_indexed_photo(gallery), add_indexed_photo(gallery, content=b"other")
    lost = orphan(gallery=gallery)
    start()
    worker.answer(missing=[face_of(photo)], orphaned=[lost], duplicated=[face_of(other)])
    check = finish(worker)
    assert (check.missing, check.orphaned, check.duplicated) == ([face_of(photo)], [lost.face_id], [face_of(other)])
    assert (check.missing_count, check.orphaned_count, check.duplicated_count) == (1, 1, 1)
    assert not is_sent_again(photo)
    assert queue.removed == []


def test_only_the_first_ids_of_a_kind_are_kept(worker: Worker, gallery: Gallery) -> None:
    lost = [orphan(gallery=gallery) for _ in range(consistency.KEPT_IDS + 5)]
    start()
    worker.answer(orphaned=lost)
    check = finish(worker)
    assert check.orphaned_count == consistency.KEPT_IDS + 5
    assert check.orphaned == [each.face_id for each in lost[: consistency.KEPT_IDS]]


def test_a_missing_face_has_its_photo_indexed_again_in_that_generation_only(worker: Worker, gallery: Gallery) -> None:
    photo, other = add_indexed_photo(gallery), add_indexed_photo(gallery, content=b"other")
    second = Generation.objects.create(pack="other", collection="c")
    kept = Entry.objects.create(generation=second, photo=photo, state=Entry.State.INDEXED)
    start(is_repair=True)
    worker.answer(missing=[face_of(photo)])
    assert list(photo.entries.all()) == [kept]
    assert not is_sent_again(other)


def test_a_face_of_a_photo_that_is_gone_is_removed_everywhere(
    worker: Worker, queue: WatchedQueue, gallery: Gallery
) -> None:
    Generation.objects.create(pack="other", collection="c")
    lost = orphan(gallery=gallery)
    start(is_repair=True)
    worker.answer(orphaned=[lost])
    assert queue.removed == [(str(gallery.id), [lost.photo_id])]
    assert queue.removal_targets == [["faces_dlib", "c"]]


def test_a_face_of_a_cancelled_photo_is_removed(worker: Worker, queue: WatchedQueue, gallery: Gallery) -> None:
    photo = add_photo(gallery)
    assert photo.job is not None
    job_cancel(job=photo.job)
    Tombstone.objects.all().delete()  # its last removal is over
    start(is_repair=True)
    worker.answer(orphaned=[orphan(photo)])
    assert queue.removed == [(str(gallery.id), [str(photo.id)])]


def test_the_faces_of_a_gallery_that_nobody_knows_are_removed(worker: Worker, queue: WatchedQueue, db: None) -> None:
    stray = orphan()
    start(is_repair=True)
    worker.answer(orphaned=[stray])
    assert queue.removed == [(stray.gallery_id, [stray.photo_id])]
    assert Check.objects.get().orphaned == [stray.face_id]


def test_a_stale_face_has_its_photo_indexed_again(worker: Worker, queue: WatchedQueue, gallery: Gallery) -> None:
    photo = add_indexed_photo(gallery)
    start(is_repair=True)
    worker.answer(orphaned=[orphan(photo)])
    assert is_sent_again(photo)
    assert queue.removed == []


def test_a_worker_is_asked_to_repair_only_when_somebody_wants_it(worker: Worker, gallery: Gallery) -> None:
    start()
    finish(worker)
    start(is_repair=True)
    finish(worker)
    assert [each.repairs for each in worker.requests if isinstance(each, CheckRequest)] == [False, True]


# -- what is being written -----------------------------------------------------------------------------------------


def test_a_photo_that_is_in_flight_is_not_judged(worker: Worker, queue: WatchedQueue, gallery: Gallery) -> None:
    photo, new = add_indexed_photo(gallery), add_photo(gallery, b"new")
    settle()
    Entry.objects.filter(photo=photo).update(state=Entry.State.PENDING)
    start(is_repair=True)
    [request] = worker.requests
    assert isinstance(request, CheckRequest)
    assert request.face_ids == ()
    worker.answer(orphaned=[orphan(photo), orphan(new)])
    assert Check.objects.get().orphaned_count == 0
    assert Entry.objects.filter(photo=photo).exists()


def test_an_outcome_that_has_only_just_been_written_is_not_judged(worker: Worker, gallery: Gallery) -> None:
    photo = add_indexed_photo(gallery)
    consistency.check_start(generation=active_generation(), actor="ada")
    consistency.checks_send_again()
    [request] = worker.requests
    assert isinstance(request, CheckRequest)
    assert request.face_ids == ()
    worker.answer(orphaned=[orphan(photo)])
    assert Check.objects.get().orphaned_count == 0


def test_a_photo_that_was_indexed_anew_in_between_is_not_judged(worker: Worker, gallery: Gallery) -> None:
    photo = add_indexed_photo(gallery)
    start(is_repair=True)
    before = face_of(photo)
    Entry.objects.filter(photo=photo).update(settled_at=timezone.now())
    worker.answer(missing=[before], orphaned=[orphan(photo)], duplicated=[before])
    check = Check.objects.get()
    assert (check.missing_count, check.orphaned_count, check.duplicated_count) == (0, 0, 0)
    assert not is_sent_again(photo)


def test_a_photo_that_is_being_deleted_is_not_judged(worker: Worker, queue: WatchedQueue, gallery: Gallery) -> None:
    photo = add_indexed_photo(gallery)
    start(is_repair=True)
    face = face_of(photo)
    deleting.photos_delete(gallery=gallery, photo_ids=[photo.id])
    queue.forget()
    worker.answer(missing=[face], orphaned=[orphan(photo)])
    check = Check.objects.get()
    assert (check.missing_count, check.orphaned_count) == (0, 0)
    assert queue.removed == []


def test_a_photo_whose_last_removal_is_to_come_is_left_to_it(
    worker: Worker, queue: WatchedQueue, gallery: Gallery
) -> None:
    lost = orphan(gallery=gallery)
    Tombstone.objects.create(photo_id=lost.photo_id, gallery_id=gallery.id, deleted_at=timezone.now())
    start(is_repair=True)
    worker.answer(orphaned=[lost])
    assert Check.objects.get().orphaned_count == 0
    assert queue.removed == []


def test_a_face_that_the_database_knows_by_now_is_no_orphan(worker: Worker, gallery: Gallery) -> None:
    photo = add_indexed_photo(gallery, face_info(), face_info(left=90))
    start()
    late = OrphanInfo(face_id=face_of(photo), photo_id=str(photo.id), gallery_id=str(gallery.id))
    worker.answer(orphaned=[late])
    assert Check.objects.get().orphaned_count == 0


def test_a_removal_that_cannot_be_sent_is_not_counted_as_repaired(
    worker: Worker, queue: WatchedQueue, gallery: Gallery
) -> None:
    start(is_repair=True)
    [request] = worker.requests
    queue.is_down = True
    with pytest.raises(QueueUnavailable):
        worker.answer(orphaned=[orphan(gallery=gallery)])
    queue.is_down = False
    worker.answer(request, orphaned=[orphan(gallery=gallery)])  # the task runs again
    assert Check.objects.get().orphaned_count == 1
    assert len(queue.removed) == 1


# -- who sees it -----------------------------------------------------------------------------------------------------


def run(*arguments: Any) -> str:
    out = io.StringIO()
    call_command("reindex", *map(str, arguments), stdout=out)
    return out.getvalue()


def test_the_command_waits_and_shows_what_differs(
    worker: Worker, gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = add_indexed_photo(gallery)
    settle()

    def tick(_seconds: float) -> None:
        """What happens while the command sleeps."""
        consistency.checks_send_again()
        missing = [face_of(photo)] if isinstance(worker.requests[-1], CheckRequest) else []
        worker.answer(missing=missing)

    monkeypatch.setattr(reindex.time, "sleep", tick)
    number = active_generation().pk
    printed = json.loads(run("check", number, "--wait", "--json"))
    assert (printed["is_finished"], printed["is_consistent"]) == (True, False)
    assert (printed["face_count"], printed["missing"]) == (1, [face_of(photo)])
    shown = run("status")
    assert (
        f"compared with the database: 1 faces, 1 missing, 0 orphaned, 0 duplicated; missing {face_of(photo)}" in shown
    )


def test_staff_start_a_check_by_the_api_and_see_it_on_the_page(worker: Worker, user: User) -> None:
    user.is_staff = user.is_superuser = True
    user.save()
    client = Client()
    client.force_login(user)
    number = active_generation().pk
    answer = client.post(f"/api/v1/generations/{number}/check", {"is_repair": True}, content_type="application/json")
    assert (answer.status_code, answer.json()["check"]["is_repair"]) == (202, True)
    assert "being compared" in run("status")
    page = client.get(f"/generations/{number}/").content.decode()
    assert "running</span> Compared with the database" in page
    assert AuditEntry.objects.get(action="reindex.check").actor == "ada"


# -- live recall -----------------------------------------------------------------------------------------------------


def test_search_workers_of_every_live_pack_are_asked_what_their_searches_lose(
    db: None, queue: WatchedQueue, reports: list[WorkerReport]
) -> None:
    active_generation()
    Generation.objects.create(pack="other", collection="c")
    Generation.objects.create(pack="nobody", collection="d")
    reports += [report_of("dlib", "search"), report_of("other"), report_of("nobody", "index", "reindex")]
    live_recall.recall_ask()
    assert [sample.target.collection for sample in queue.messages(RecallSample)] == ["faces_dlib", "c"]


@pytest.mark.parametrize(("recall", "is_ok"), [(0.98, False), (0.995, True)])
def test_doctor_says_when_searches_of_a_gallery_lose_too_much(db: None, recall: float, is_ok: bool) -> None:
    recalls = tuple(GalleryRecall(gallery_id=str(uuid.uuid4()), recall=each, at=0) for each in (recall, 1.0))
    report = judge((), active_generation().target, recalls=recalls, recall_min=0.99)
    [finding] = [each for each in report.findings if each.name == "live recall"]
    assert (finding.ok, f"the lowest {recall:.2%}" in finding.detail) == (is_ok, True)
    assert (recalls[0].gallery_id in finding.remedy) != is_ok
