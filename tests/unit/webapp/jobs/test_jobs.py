"""Jobs: they begin with what a user asks for, count rows, finish once, and can be cancelled and retried."""

import io
import json
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from tasks import clock
from tests.unit.webapp.conftest import WatchedQueue, add_photo, face_info, failed, indexed, upload
from webapp.accounts.callers import Caller
from webapp.gallery import selectors as gallery_selectors
from webapp.gallery.models import Face, Gallery, Photo, Tombstone
from webapp.generations.selectors import active_generation
from webapp.http.problems import Problem
from webapp.indexing import adding, deleting, feeding, retrying, sweeping
from webapp.indexing import recording as indexing_outcomes
from webapp.jobs import selectors
from webapp.jobs import services as jobs
from webapp.jobs.models import Job

State = Photo.State


def add_photos(gallery: Gallery, count: int) -> tuple[Job, list[Photo]]:
    added = adding.photos_add(gallery=gallery, files=[upload(bytes([number])) for number in range(count)])
    return added.job, added.added


def record(photo: Photo, *outcomes: Any) -> None:
    indexing_outcomes.outcomes_record(
        gallery_id=photo.gallery_id,
        outcomes=list(outcomes) or [indexed(photo, face_info())],
        collection=active_generation().collection,
    )


def counts_of(job: Job) -> dict[str, int]:
    progress = selectors.progress_of(Job.objects.get(id=job.id))
    names = ("pending", "indexed", "no_faces", "failed", "cancelled", "gone")
    return {name: getattr(progress, name) for name in names if getattr(progress, name)}


def state_of(job: Job) -> str:
    return Job.objects.get(id=job.id).state


# -- importing ----------------------------------------------------------------------------------------------


def test_an_upload_is_a_job_with_its_photos(gallery: Gallery, user: User) -> None:
    job, photos = add_photos(gallery, 3)
    job.refresh_from_db()
    assert (job.owner, job.gallery, job.kind, job.state, job.total) == (user, gallery, "import", "running", 3)
    assert {photo.job_id for photo in Photo.objects.all()} == {job.id}
    assert counts_of(job) == {"pending": 3}
    assert len(photos) == 3


def test_an_upload_that_adds_nothing_is_no_job(gallery: Gallery) -> None:
    add_photo(gallery)
    adding.photos_add(gallery=gallery, files=[upload()])
    assert Job.objects.count() == 1


def test_a_job_finishes_with_its_last_outcome_and_counts_each(gallery: Gallery) -> None:
    job, (one, two, three) = add_photos(gallery, 3)
    record(one, indexed(one, face_info()), indexed(two))
    assert state_of(job) == "running"
    record(three, failed(three))
    assert state_of(job) == "finished"
    assert Job.objects.get().finished_at is not None
    assert counts_of(job) == {"indexed": 1, "no_faces": 1, "failed": 1}


def test_a_job_does_not_finish_while_its_producer_still_adds(gallery: Gallery) -> None:
    job = jobs.import_prepare(gallery=gallery)
    (photo,) = adding.photos_add(gallery=gallery, files=[upload()], job=job).added
    record(photo)
    assert state_of(job) == "running"
    (other,) = adding.photos_add(gallery=gallery, files=[upload(b"2")], job=job).added
    jobs.import_close(job=job)
    assert state_of(job) == "running"
    record(other)
    assert (state_of(job), counts_of(job)) == ("finished", {"indexed": 2})


def test_a_producer_that_died_leaves_no_job_running_for_ever(gallery: Gallery) -> None:
    job = jobs.import_prepare(gallery=gallery)
    (photo,) = adding.photos_add(gallery=gallery, files=[upload()], job=job).added
    record(photo)
    Job.objects.update(open_until=timezone.now() - timedelta(seconds=1))
    sweeping.stale_photos_requeue()
    assert state_of(job) == "finished"


def test_the_sweep_finishes_what_nobody_finished(gallery: Gallery) -> None:
    job, _ = add_photos(gallery, 1)
    Photo.objects.update(state=State.INDEXED)
    sweeping.stale_photos_requeue()
    assert state_of(job) == "finished"
    assert counts_of(job) == {"indexed": 1}


def test_finishing_twice_keeps_the_first_time(gallery: Gallery) -> None:
    job, (photo,) = add_photos(gallery, 1)
    record(photo)
    first = Job.objects.get().finished_at
    record(photo)
    jobs.jobs_finish([job.id])
    assert Job.objects.get().finished_at == first


def test_a_photo_deleted_since_is_gone_from_its_job(gallery: Gallery) -> None:
    job, (one, two) = add_photos(gallery, 2)
    record(one, indexed(one, face_info()), indexed(two, face_info(left=90)))
    deleting.photos_delete(gallery=gallery, photo_ids=[one.id])
    assert counts_of(job) == {"indexed": 1, "gone": 1}
    deleting.removals_record(gallery_id=gallery.id, photo_ids=[one.id])
    assert counts_of(job) == {"indexed": 1, "gone": 1}


# -- rate and time left -------------------------------------------------------------------------------------


def test_the_rate_is_that_of_the_last_minute(gallery: Gallery) -> None:
    _, photos = add_photos(gallery, 4)
    for photo in photos[:3]:
        record(photo)
    hour_ago = timezone.now() - timedelta(hours=1)
    Job.objects.update(created=hour_ago)
    Photo.objects.filter(id=photos[0].id).update(settled_at=hour_ago)
    progress = selectors.progress_of(Job.objects.get())
    assert progress.rate == pytest.approx(2 / 60)
    assert progress.seconds_left == pytest.approx(30)


def test_a_job_that_stood_still_for_a_minute_has_the_rate_since_its_start(gallery: Gallery) -> None:
    _, photos = add_photos(gallery, 2)
    record(photos[0])
    Job.objects.update(created=timezone.now() - timedelta(seconds=100))
    Photo.objects.update(settled_at=timezone.now() - timedelta(seconds=90))
    progress = selectors.progress_of(Job.objects.get())
    assert progress.rate == pytest.approx(0.01, rel=0.1)


def test_a_job_that_has_done_nothing_has_no_rate(gallery: Gallery) -> None:
    job, _ = add_photos(gallery, 1)
    progress = selectors.progress_of(job)
    assert (progress.rate, progress.seconds_left, progress.done) == (None, None, 0)


# -- cancelling ---------------------------------------------------------------------------------------------


def test_cancelling_stops_what_still_waits_and_workers_are_told(gallery: Gallery, queue: WatchedQueue) -> None:
    job, (one, two) = add_photos(gallery, 2)
    record(one)
    assert jobs.job_cancel(job=job) == 1
    assert (state_of(job), counts_of(job)) == ("cancelled", {"indexed": 1, "cancelled": 1})
    two.refresh_from_db()
    assert (two.state, two.code) == ("cancelled", "cancelled")
    assert two.message.endswith(".")
    assert queue.withdrawn == {str(job.id)}


def test_a_job_is_cancelled_once_and_not_when_it_is_over(gallery: Gallery) -> None:
    job, (photo,) = add_photos(gallery, 1)
    record(photo)
    with pytest.raises(Problem, match="already over"):
        jobs.job_cancel(job=job)
    assert state_of(job) == "finished"


def test_a_late_outcome_does_not_index_a_cancelled_photo(gallery: Gallery, queue: WatchedQueue) -> None:
    job, (photo,) = add_photos(gallery, 1)
    jobs.job_cancel(job=job)
    record(photo)
    photo.refresh_from_db()
    assert photo.state == State.CANCELLED
    assert Face.objects.count() == 0
    assert queue.removed == [(str(gallery.id), [str(photo.id)])]
    deleting.removals_record(gallery_id=gallery.id, photo_ids=[photo.id])
    assert Photo.objects.get().state == State.CANCELLED, "only its faces are removed"


def test_a_cancelled_photo_is_neither_fed_nor_swept(gallery: Gallery, queue: WatchedQueue, settings: Any) -> None:
    settings.INDEX_QUEUE_BOUND = 5
    queue.have_waiting(5)
    job, _ = add_photos(gallery, 2)
    jobs.job_cancel(job=job)
    queue.have_waiting(0)
    feeding.index_queue_feed()
    sweeping.stale_photos_requeue()
    assert queue.indexed == []


def test_a_cancelled_import_takes_no_more_photos(gallery: Gallery) -> None:
    job = jobs.import_prepare(gallery=gallery)
    adding.photos_add(gallery=gallery, files=[upload()], job=job)
    jobs.job_cancel(job=job)
    with pytest.raises(Problem, match="takes no more photos"):
        adding.photos_add(gallery=gallery, files=[upload(b"2")], job=job)
    assert Photo.objects.count() == 1


def test_a_deletion_cannot_be_cancelled(gallery: Gallery) -> None:
    add_photos(gallery, 2)
    deleting.gallery_delete(gallery=gallery)
    with pytest.raises(Problem, match="cannot be cancelled"):
        jobs.job_cancel(job=Job.objects.get(kind="delete"))


def test_cancelled_photos_are_not_counted_as_failed_and_a_retry_of_the_failed_ones_leaves_them(
    client: Client, gallery: Gallery, queue: WatchedQueue
) -> None:
    job, (bad, *_) = add_photos(gallery, 3)
    record(bad, failed(bad, "gave_up"))
    jobs.job_cancel(job=job)
    assert gallery_selectors.progress_of(gallery) == dict.fromkeys(State, 0) | {"failed": 1, "cancelled": 2}
    assert counts_of(job) == {"failed": 1, "cancelled": 2}
    assert list(selectors.failed_photos_of(job)) == [bad]
    page = client.get(f"/galleries/{gallery.id}/?state=cancelled").content.decode()
    assert "2 cancelled" in page
    assert page.count('class="badge cancelled">cancelled') == 2
    assert len(client.get(f"/api/v1/galleries/{gallery.id}/photos?state=cancelled").json()["items"]) == 2
    queue.forget()
    assert retrying.failed_photos_retry(gallery=gallery) == (Job.objects.get(kind="retry"), "")
    assert queue.indexed_ids == [str(bad.id)]


def test_a_cancelled_photo_can_be_indexed_after_all(client: Client, gallery: Gallery, queue: WatchedQueue) -> None:
    job, (photo,) = add_photos(gallery, 1)
    jobs.job_cancel(job=job)
    assert "Index this photo" in client.get(f"/photos/{photo.id}/").content.decode()
    queue.forget()
    client.post(f"/photos/{photo.id}/retry/")
    [(_, [sent])] = queue.indexed
    assert sent.photo_id == str(photo.id)
    assert sent.job_id not in queue.withdrawn


def test_the_content_of_a_cancelled_photo_may_be_added_again(gallery: Gallery, queue: WatchedQueue) -> None:
    job, (photo,) = add_photos(gallery, 1)
    jobs.job_cancel(job=job)
    queue.forget()
    again = adding.photos_add(gallery=gallery, files=[upload(bytes([0]))])
    assert ([each.id for each in again.added], queue.indexed_ids) == ([photo.id], [str(photo.id)])
    assert (counts_of(again.job), counts_of(job)) == ({"pending": 1}, {"gone": 1})
    assert not Tombstone.objects.exists()


# -- retrying -----------------------------------------------------------------------------------------------


def test_a_retry_is_a_job_of_its_own_that_takes_the_photos_over(gallery: Gallery, queue: WatchedQueue) -> None:
    job, (good, bad) = add_photos(gallery, 2)
    record(good, indexed(good, face_info()), failed(bad, "gave_up"))
    queue.forget()
    assert retrying.job_retry(job=job) == (Job.objects.get(kind="retry"), "")
    retry = Job.objects.get(kind="retry")
    assert (retry.total, counts_of(retry), counts_of(job)) == (1, {"pending": 1}, {"indexed": 1, "gone": 1})
    assert state_of(job) == "finished"
    assert queue.indexed_ids == [str(bad.id)]
    record(bad)
    assert (state_of(retry), counts_of(retry)) == ("finished", {"indexed": 1})


def test_a_retry_leaves_the_photos_of_other_jobs_alone(gallery: Gallery) -> None:
    job, (photo,) = add_photos(gallery, 1)
    other = add_photo(gallery, b"other")
    record(photo, failed(photo, "gave_up"), failed(other, "gave_up"))
    retrying.job_retry(job=job)
    other.refresh_from_db()
    assert other.state == State.FAILED


def test_only_what_may_succeed_is_tried_again(client: Client, gallery: Gallery) -> None:
    job, (broken, hopeful, other) = add_photos(gallery, 3)
    record(broken, failed(broken, "not_an_image"), failed(hopeful, "gave_up"), failed(other, "not_an_image"))
    page = client.get(f"/jobs/{job.id}/").content.decode()
    assert "Retry 1 failed photo<" in page
    assert "The other failed photos would fail again" in page
    retry, _ = retrying.job_retry(job=job)
    assert retry is not None
    assert list(retry.photos.values_list("id", flat=True)) == [hopeful.id]
    page = client.get(f"/jobs/{job.id}/").content.decode()
    assert "again</button>" not in page
    assert "The failed photos would fail again" in page
    assert retrying.job_retry(job=job) == (None, "")


def test_the_page_says_in_words_how_long_it_takes(client: Client, gallery: Gallery) -> None:
    job, photos = add_photos(gallery, 4)
    record(photos[0])
    Photo.objects.filter(id=photos[0].id).update(settled_at=clock.utcnow() - timedelta(hours=1))
    Job.objects.update(created=clock.utcnow() - timedelta(hours=2, minutes=20))
    assert "about 7 h left" in client.get(f"/jobs/{job.id}/").content.decode()
    assert "about 7 h left" in client.get("/jobs/").content.decode()
    assert "about 7 h left" in run("show", str(job.id))
    record(photos[1], *(indexed(photo) for photo in photos[1:]))
    assert "after 2 h 20 min" in client.get(f"/jobs/{job.id}/").content.decode()


def test_nothing_to_retry_is_no_job(gallery: Gallery) -> None:
    job, (photo,) = add_photos(gallery, 1)
    record(photo)
    assert retrying.job_retry(job=job) == (None, "")
    assert Job.objects.count() == 1


def test_cancelled_photos_can_be_retried(gallery: Gallery) -> None:
    job, (photo,) = add_photos(gallery, 1)
    jobs.job_cancel(job=job)
    retrying.job_retry(job=job)
    record(photo)
    photo.refresh_from_db()
    assert photo.state == State.INDEXED


def test_a_removal_that_overtakes_a_retry_has_the_photo_indexed_again(gallery: Gallery, queue: WatchedQueue) -> None:
    job, (photo,) = add_photos(gallery, 1)
    jobs.job_cancel(job=job)
    record(photo)
    retrying.job_retry(job=job)
    record(photo)
    queue.forget()
    deleting.removals_record(gallery_id=gallery.id, photo_ids=[photo.id])
    photo.refresh_from_db()
    assert (photo.state, queue.indexed_ids) == ("pending", [str(photo.id)])


# -- deleting -----------------------------------------------------------------------------------------------


def test_deleting_a_gallery_is_a_job_that_outlives_it(gallery: Gallery) -> None:
    _, photos = add_photos(gallery, 3)
    deleting.gallery_delete(gallery=gallery)
    job = Job.objects.get(kind="delete")
    assert (job.total, counts_of(job)) == (3, {"pending": 3})
    deleting.removals_record(gallery_id=gallery.id, photo_ids=[photos[0].id])
    assert (state_of(job), counts_of(job)) == ("running", {"pending": 2, "gone": 1})
    deleting.removals_record(gallery_id=gallery.id, photo_ids=[photo.id for photo in photos])
    job.refresh_from_db()
    assert (job.state, job.gallery, job.gallery_name, counts_of(job)) == ("finished", None, "Friends", {"gone": 3})


def test_deleting_one_photo_is_no_job(gallery: Gallery) -> None:
    _, (one, two, three) = add_photos(gallery, 3)
    deleting.photos_delete(gallery=gallery, photo_ids=[one.id])
    assert not Job.objects.filter(kind="delete").exists()
    deleting.photos_delete(gallery=gallery, photo_ids=[two.id, three.id])
    assert Job.objects.get(kind="delete").total == 2


def test_an_import_whose_last_photo_was_deleted_is_finished(gallery: Gallery) -> None:
    job, (photo,) = add_photos(gallery, 1)
    deleting.photos_delete(gallery=gallery, photo_ids=[photo.id])
    sweeping.stale_photos_requeue()
    assert (state_of(job), counts_of(job)) == ("finished", {"gone": 1})


# -- who sees what ------------------------------------------------------------------------------------------


def test_jobs_are_their_owners(gallery: Gallery, user: User, stranger: User) -> None:
    job, _ = add_photos(gallery, 1)
    assert list(selectors.jobs_for(Caller(user=user))) == [job]
    assert not selectors.jobs_for(Caller(user=stranger))
    with pytest.raises(Problem, match="no such job"):
        selectors.job_for(Caller(user=stranger), job.id)


# -- pages --------------------------------------------------------------------------------------------------


@pytest.fixture
def client(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def test_the_list_shows_each_job(client: Client, gallery: Gallery) -> None:
    assert "No jobs yet" in client.get("/jobs/").content.decode()
    add_photos(gallery, 2)
    shown = client.get("/jobs/").content.decode()
    assert "import in Friends" in shown
    assert "0 of 2" in shown


def test_a_job_page_polls_until_the_job_is_over(client: Client, gallery: Gallery) -> None:
    job, (good, bad) = add_photos(gallery, 2)
    running = client.get(f"/jobs/{job.id}/").content.decode()
    assert f'hx-get="/jobs/{job.id}/progress/"' in running
    assert "0 of 2 photos done" in running
    assert client.get(f"/jobs/{job.id}/progress/").status_code == 200
    record(good, indexed(good, face_info()), failed(bad))
    over = client.get(f"/jobs/{job.id}/progress/")
    assert over.status_code == 286
    assert "This file is not a picture." in over.content.decode()
    assert "hx-get" not in client.get(f"/jobs/{job.id}/").content.decode()


def test_cancel_and_retry_by_their_buttons(client: Client, gallery: Gallery) -> None:
    job, _ = add_photos(gallery, 2)
    cancelled = client.post(f"/jobs/{job.id}/cancel/", follow=True).content.decode()
    assert "2 photos still pending" in cancelled
    assert "2 cancelled" in cancelled
    assert "Go on with 2 cancelled photos" in cancelled
    assert "already over" in client.post(f"/jobs/{job.id}/cancel/", follow=True).content.decode()
    retried = client.post(f"/jobs/{job.id}/retry/", follow=True)
    assert retried.redirect_chain[-1][0] == f"/jobs/{Job.objects.get(kind='retry').id}/"
    assert "2 photos sent again" in retried.content.decode()
    assert "no photo that may succeed" in client.post(f"/jobs/{job.id}/retry/", follow=True).content.decode()


@pytest.mark.parametrize(
    ("method", "address"),
    [
        ("get", "/jobs/{}/"),
        ("get", "/jobs/{}/progress/"),
        ("post", "/jobs/{}/cancel/"),
        ("post", "/jobs/{}/retry/"),
        ("get", "/api/v1/jobs/{}"),
        ("post", "/api/v1/jobs/{}/cancel"),
        ("post", "/api/v1/jobs/{}/retry"),
    ],
)
def test_a_job_of_another_user_is_not_found(client: Client, their_gallery: Gallery, method: str, address: str) -> None:
    job, _ = add_photos(their_gallery, 1)
    assert getattr(client, method)(address.format(job.id)).status_code == 404
    assert state_of(job) == "running"


# -- API ----------------------------------------------------------------------------------------------------


def test_the_api_follows_a_job(client: Client, gallery: Gallery) -> None:
    files = {"files": [upload(b"1", "a.jpg"), upload(b"2", "b.jpg")]}
    uploaded = client.post(f"/api/v1/galleries/{gallery.id}/photos", files).json()
    job = client.get(f"/api/v1/jobs/{uploaded['job_id']}").json()
    assert (job["kind"], job["state"], job["total"], job["gallery_name"]) == ("import", "running", 2, "Friends")
    assert job["counts"] == {
        "pending": 2,
        "indexed": 0,
        "no_faces": 0,
        "failed": 0,
        "cancelled": 0,
        "rendered": 0,
        "gone": 0,
    }
    assert [row["id"] for row in client.get("/api/v1/jobs").json()["items"]] == [job["id"]]

    cancelled = client.post(f"/api/v1/jobs/{job['id']}/cancel")
    assert (cancelled.json()["state"], cancelled.json()["counts"]["cancelled"]) == ("cancelled", 2)
    again = client.post(f"/api/v1/jobs/{job['id']}/cancel")
    assert (again.status_code, again.json()["code"]) == (409, "job_over")
    retried = client.post(f"/api/v1/jobs/{job['id']}/retry")
    assert (retried.status_code, retried.json()["job"]["total"]) == (202, 2)
    assert client.post(f"/api/v1/jobs/{job['id']}/retry").json()["job"] is None


def test_an_upload_that_adds_nothing_names_no_job(client: Client, gallery: Gallery) -> None:
    add_photo(gallery)
    answer = client.post(f"/api/v1/galleries/{gallery.id}/photos", {"files": upload()})
    assert answer.json()["job_id"] is None


# -- the dead-letter list -----------------------------------------------------------------------------------


def test_staff_replay_failed_photos_from_the_admin(
    gallery: Gallery, their_gallery: Gallery, queue: WatchedQueue, admin_client: Client
) -> None:
    photos = [add_photo(gallery, b"1"), add_photo(gallery, b"2"), add_photo(their_gallery, b"3")]
    for photo, code in zip(photos, ("gave_up", "not_an_image", "capacity_reached"), strict=True):
        Photo.objects.filter(id=photo.id).update(state="failed", code=code, filename=f"{code}.jpg")
    address = "/admin/gallery/failedphoto/"
    shown = admin_client.get(address).content.decode()
    assert "gave_up.jpg" in shown
    assert "capacity_reached.jpg" in shown
    assert "not_an_image.jpg" not in shown, "no attempt will make a picture of it"
    chosen = {"action": "replay", "_selected_action": [str(photos[0].id), str(photos[2].id)]}
    assert "2 photos sent again" in admin_client.post(address, chosen, follow=True).content.decode()
    assert sorted(Photo.objects.values_list("state", flat=True)) == ["failed", "pending", "pending"]
    assert {job.owner_id for job in Job.objects.filter(kind="retry")} == {gallery.owner_id, their_gallery.owner_id}


# -- the command --------------------------------------------------------------------------------------------


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command("jobs", *arguments, stdout=out)
    return out.getvalue()


def test_the_command_lists_shows_cancels_and_retries(gallery: Gallery) -> None:
    assert "No jobs" in run()
    job, _ = add_photos(gallery, 2)
    assert str(job.id) in run("list")
    [listed] = json.loads(run("list", "--json"))
    assert (listed["id"], listed["counts"]["pending"]) == (str(job.id), 2)
    assert "2 pending" in run("show", str(job.id))
    assert "2 photos" in run("cancel", str(job.id))
    assert json.loads(run("show", str(job.id), "--json"))["state"] == "cancelled"
    retried = json.loads(run("retry", str(job.id), "--json"))
    assert retried["total"] == 2
    with pytest.raises(CommandError, match="already over"):
        run("cancel", str(job.id))
    with pytest.raises(CommandError, match="no such job"):
        run("show", str(gallery.id))
    with pytest.raises(CommandError, match="no photo that may succeed"):
        run("retry", str(job.id))


# -- forgetting ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "days_ago", "is_kept"),
    [("finished", 91, False), ("cancelled", 91, False), ("finished", 89, True), ("running", 999, True)],
)
def test_a_job_that_ended_long_ago_is_forgotten_and_its_photos_stay(
    gallery: Gallery, state: str, days_ago: int, is_kept: bool
) -> None:
    job, _ = add_photos(gallery, 2)
    long_ago = timezone.now() - timedelta(days=days_ago)
    Job.objects.update(state=state, finished_at=None if state == "running" else long_ago, created=long_ago)
    assert jobs.jobs_purge() == (0 if is_kept else 1)
    assert Job.objects.exists() == is_kept
    assert set(Photo.objects.values_list("job_id", flat=True)) == {job.id if is_kept else None}


def test_many_jobs_are_forgotten_in_several_steps(
    gallery: Gallery, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.JOB_RETENTION_DAYS = 1
    monkeypatch.setattr(jobs, "PURGE_SIZE", 2)
    ended = timezone.now() - timedelta(days=2)
    Job.objects.bulk_create(
        Job(owner_id=gallery.owner_id, gallery=gallery, kind="import", state="finished", finished_at=ended)
        for _ in range(5)
    )
    assert jobs.jobs_purge() == 5
    assert not Job.objects.exists()
