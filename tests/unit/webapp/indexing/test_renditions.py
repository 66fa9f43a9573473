"""`manage.py renditions`: which photos it is for, how they are sent, and what is recorded."""

import json
from collections.abc import Iterable, Sequence
from io import StringIO
from typing import Any
from uuid import UUID

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone

from tasks import clock
from tasks.messages.renditions import RenderedPhoto, RenderRequest
from tasks.storage.photo_files import digest_of, photo_files_delete, rendition_key, rendition_save
from tests.stored_files import stored_keys
from tests.unit.webapp.conftest import (
    WatchedQueue,
    add_indexed_photo,
    add_photo,
    face_info,
    failed,
    indexed,
    record,
    rendered,
)
from webapp.gallery.models import Face, Gallery, Photo, Rendering
from webapp.gallery.services import gallery_create
from webapp.generations.models import Generation
from webapp.indexing import deleting, recording, retrying, sweeping
from webapp.indexing.renditions import starting
from webapp.indexing.renditions.feeding import renditions_feed
from webapp.indexing.renditions.recording import renditions_record
from webapp.indexing.renditions.starting import renditions_start
from webapp.jobs import selectors
from webapp.jobs.models import Job
from webapp.jobs.services import job_cancel, jobs_finish


def requests(queue: WatchedQueue) -> list[RenderRequest]:
    return queue.messages(RenderRequest)


def sent_ids(queue: WatchedQueue) -> list[str]:
    return [photo.photo_id for request in requests(queue) for photo in request.photos]


def made(photo_id: str, crops: Iterable[str] = (), content: bytes = b"again") -> RenderedPhoto:
    """Make renditions as a worker does."""
    digest = digest_of(content)
    for kind in ("thumbnail", "preview"):
        rendition_save(photo_id, kind, digest, content)  # type: ignore[arg-type]
    for _ in crops:
        rendition_save(photo_id, "face", digest, content)
    return RenderedPhoto(photo_id=photo_id, renditions=digest, crops=dict.fromkeys(crops, digest))


def lose(*photos: Photo) -> None:
    """Delete the renditions of photos, but not what the rows say of them."""
    for photo in photos:
        photo_files_delete(photo.id)


def started(gallery: Gallery, **how: Any) -> Job:
    job, warning = renditions_start(gallery=gallery, **how)
    assert job is not None
    assert warning == ""
    return job


# -- which photos -------------------------------------------------------------------------------------------


def test_only_indexed_photos_without_all_of_their_renditions_are_sent(gallery: Gallery, queue: WatchedQueue) -> None:
    complete, without, gone, no_crop, no_faces = (
        add_indexed_photo(gallery, content=bytes([number])) for number in range(5)
    )
    add_photo(gallery, b"pending")
    record(gallery, failed(add_photo(gallery, b"failed")))
    Photo.objects.filter(id=without.id).update(renditions="")
    lose(gone)
    no_crop.faces.update(crop="")
    no_faces.faces.all().delete()
    Photo.objects.filter(id=no_faces.id).update(state=Photo.State.NO_FACES, renditions="")
    job = started(gallery)
    assert set(sent_ids(queue)) == {str(photo.id) for photo in (without, gone, no_crop, no_faces)}
    assert (job.kind, job.total) == (Job.Kind.RENDITIONS, 4)
    assert str(complete.id) not in sent_ids(queue)


def test_with_nothing_missing_there_is_no_job_unless_all_are_made_anew(gallery: Gallery, queue: WatchedQueue) -> None:
    photo = add_indexed_photo(gallery)
    assert renditions_start(gallery=gallery) == (None, "")
    assert not Job.objects.filter(kind=Job.Kind.RENDITIONS).exists()
    started(gallery, is_anew=True)
    assert sent_ids(queue) == [str(photo.id)]


def test_the_worker_is_told_where_the_known_faces_are_and_no_collection(gallery: Gallery, queue: WatchedQueue) -> None:
    photo = add_indexed_photo(gallery, face_info(), face_info(left=200))
    job = started(gallery, is_anew=True)
    [request] = requests(queue)
    [sent] = request.photos
    assert (sent.storage_key, sent.job_id) == (photo.file.name, str(job.id))
    assert {known.face_id for known in sent.known_faces} == {str(face.id) for face in photo.faces.all()}
    assert request.task_name == "render_photos"
    assert "target" not in request.model_fields_set


def test_a_photo_is_in_one_job_at_a_time(gallery: Gallery, queue: WatchedQueue) -> None:
    add_indexed_photo(gallery)
    started(gallery, is_anew=True)
    assert renditions_start(gallery=gallery, is_anew=True) == (None, "")
    assert len(requests(queue)) == 1


# -- sending ------------------------------------------------------------------------------------------------


def test_renditions_wait_until_few_photos_wait_to_be_indexed(gallery: Gallery, queue: WatchedQueue) -> None:
    add_indexed_photo(gallery)
    queue.have_waiting(4)
    started(gallery, is_anew=True)
    assert requests(queue) == []
    queue.have_waiting(0)
    assert renditions_feed() == ""
    assert len(requests(queue)) == 1


def test_a_few_messages_are_under_way_and_each_that_is_recorded_makes_room(
    gallery: Gallery, queue: WatchedQueue, settings: Any
) -> None:
    settings.INDEX_CHUNK_SIZE = 1
    for number in range(6):
        add_indexed_photo(gallery, content=bytes([number]))
    queue.are_workers_idle = False
    while queue.take("index.dlib"):
        pass
    started(gallery, is_anew=True)
    assert len(requests(queue)) == 4
    assert queue.take("index.dlib")
    renditions_record(photos=[made(sent_ids(queue)[0])])
    assert Rendering.objects.filter(enqueued_at=None).count() == 1


def test_when_the_queue_is_down_they_wait(gallery: Gallery, queue: WatchedQueue) -> None:
    add_indexed_photo(gallery)
    queue.is_down = True
    job, warning = renditions_start(gallery=gallery, is_anew=True)
    assert job is not None
    assert warning
    assert list(Rendering.objects.values_list("enqueued_at", "attempts")) == [(None, 0)]
    queue.is_down = False
    sweeping.stale_photos_requeue()
    assert len(requests(queue)) == 1


def test_one_that_nobody_answers_about_is_sent_again_alone_and_given_up_in_the_end(
    gallery: Gallery, queue: WatchedQueue, settings: Any
) -> None:
    settings.INDEX_MAX_ATTEMPTS = 1
    add_indexed_photo(gallery)
    job = started(gallery, is_anew=True)

    def sweep_later() -> None:
        Rendering.objects.update(enqueued_at=timezone.now() - timezone.timedelta(hours=1))
        sweeping.stale_photos_requeue()

    sweep_later()
    assert [request.alone for request in requests(queue)] == [False, True]
    for _ in range(2):
        sweep_later()
    assert [photo.code for photo in selectors.failed_photos_of(job)] == ["gave_up"]
    sweeping.stale_photos_requeue()
    job.refresh_from_db()
    assert job.state == Job.State.FINISHED


# -- recording ----------------------------------------------------------------------------------------------


def test_what_was_made_is_named_by_the_rows_and_what_it_replaces_goes(gallery: Gallery, queue: WatchedQueue) -> None:
    photo = add_indexed_photo(gallery)
    face_id = str(photo.faces.get().id)
    job = started(gallery, is_anew=True)
    renditions_record(photos=[made(str(photo.id), [face_id])])
    photo.refresh_from_db()
    digest = digest_of(b"again")
    assert (photo.renditions, photo.faces.get().crop) == (digest, digest)
    kept = {rendition_key(photo.id, kind, digest) for kind in ("thumbnail", "preview", "face")}  # type: ignore[arg-type]
    assert stored_keys() == kept | {photo.file.name}
    job.refresh_from_db()
    progress = selectors.progress_of(job)
    assert (job.state, progress.rendered, progress.done, progress.gone) == (Job.State.FINISHED, 1, 1, 0)
    assert not Rendering.objects.exists()


def test_a_report_that_comes_twice_changes_nothing(gallery: Gallery) -> None:
    photo = add_indexed_photo(gallery)
    started(gallery, is_anew=True)
    report = made(str(photo.id), [str(photo.faces.get().id)])
    for _ in range(2):
        renditions_record(photos=[report])
        assert len(stored_keys()) == 4


def test_a_photo_that_fails_says_why_and_can_be_tried_again(gallery: Gallery, queue: WatchedQueue) -> None:
    photo = add_indexed_photo(gallery)
    job = started(gallery, is_anew=True)
    renditions_record(photos=[RenderedPhoto(photo_id=str(photo.id), code="image_too_large", message="Too large.")])
    photo.refresh_from_db()
    assert (photo.state, photo.code) == (Photo.State.INDEXED, ""), "it is still found"
    job.refresh_from_db()
    assert (job.state, selectors.progress_of(job).failed) == (Job.State.FINISHED, 1)
    assert [(each.id, each.code) for each in selectors.failed_photos_of(job)] == [(photo.id, "image_too_large")]
    again, _ = retrying.job_retry(job=job)
    assert again is not None
    assert (again.kind, again.total, len(requests(queue))) == (Job.Kind.RENDITIONS, 1, 2)


def test_only_renditions_that_may_be_made_now_are_tried_again(gallery: Gallery) -> None:
    hopeful, hopeless = add_indexed_photo(gallery), add_indexed_photo(gallery, content=b"hopeless")
    job = started(gallery, is_anew=True)
    codes = {hopeful: "photo_missing", hopeless: "not_an_image"}
    renditions_record(
        photos=[RenderedPhoto(photo_id=str(photo.id), code=code, message="No.") for photo, code in codes.items()]
    )
    progress = selectors.progress_of(job)
    assert (progress.failed, progress.retryable) == (2, 1)
    again, _ = retrying.job_retry(job=job)
    assert again is not None
    assert again.total == 1
    assert hopeful.rendering.job == again
    assert hopeless.rendering.job == job


def test_a_cancelled_job_makes_nothing_more_and_ignores_what_comes(gallery: Gallery, queue: WatchedQueue) -> None:
    photo = add_indexed_photo(gallery)
    files = stored_keys()
    job = started(gallery, is_anew=True)
    assert job_cancel(job=job) == 1
    renditions_record(photos=[made(str(photo.id), [str(photo.faces.get().id)])])
    photo.refresh_from_db()
    assert photo.state == Photo.State.INDEXED
    assert stored_keys() == files
    progress = selectors.progress_of(job)
    assert (progress.cancelled, progress.rendered) == (1, 0)
    again, _ = retrying.job_retry(job=job)
    assert again is not None


def test_what_comes_for_a_deleted_photo_goes(gallery: Gallery) -> None:
    photo = add_indexed_photo(gallery)
    job = started(gallery, is_anew=True)
    deleting.photos_delete(gallery=gallery, photo_ids=[photo.id])
    deleting.removals_record(gallery_id=gallery.id, photo_ids=[str(photo.id)])
    renditions_record(photos=[made(str(photo.id))])
    assert stored_keys() == set()
    sweeping.stale_photos_requeue()
    job.refresh_from_db()
    assert job.state == Job.State.FINISHED


def test_indexing_again_makes_a_job_superfluous(gallery: Gallery) -> None:
    photo = add_indexed_photo(gallery)
    job = started(gallery, is_anew=True)
    record(gallery, rendered(indexed(photo, face_info(str(photo.faces.get().id)))))
    sweeping.stale_photos_requeue()
    job.refresh_from_db()
    assert (job.state, selectors.progress_of(job).rendered) == (Job.State.FINISHED, 1)


def test_a_job_still_makes_the_crop_that_another_generation_did_not_record(gallery: Gallery) -> None:
    photo = add_indexed_photo(gallery)
    photo.faces.update(crop="")
    job = started(gallery)
    other = Generation.objects.create(pack="other", collection="others", state=Generation.State.BUILDING)
    outcome = rendered(indexed(photo, face_info(str(photo.faces.get().id))))
    recording.outcomes_record(gallery_id=gallery.id, outcomes=[outcome], collection=other.collection)
    assert selectors.progress_of(job).pending == 1


def test_photos_that_go_while_others_are_looked_for_are_left_out(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone, deleted, kept = (add_indexed_photo(gallery, content=bytes([number])) for number in range(3))
    lose(gone, deleted, kept)
    look = starting._without_renditions

    def look_while_photos_go(photo_ids: Sequence[UUID]) -> list[UUID]:
        found = look(photo_ids)
        deleting.photos_delete(gallery=gallery, photo_ids=[gone.id, deleted.id])
        deleting.removals_record(gallery_id=gallery.id, photo_ids=[str(gone.id)])
        return found

    monkeypatch.setattr(starting, "_without_renditions", look_while_photos_go)
    assert started(gallery).total == 1
    assert Rendering.objects.get().photo_id == kept.id


def test_a_job_stays_open_while_a_long_stretch_of_the_gallery_lacks_nothing(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = sorted(
        (add_indexed_photo(gallery, content=bytes([number])) for number in range(3)), key=lambda each: each.id
    )
    lose(photos[0], photos[2])
    look = starting._without_renditions

    def look_slowly(photo_ids: Sequence[UUID]) -> list[UUID]:
        jobs_finish()
        found = look(photo_ids)
        if not found:
            made_first = Rendering.objects.get()
            Job.objects.filter(kind=Job.Kind.RENDITIONS).update(open_until=clock.utcnow())
            made_first.delete()
        return found

    monkeypatch.setattr(starting, "IDS_PER_QUERY", 1)
    monkeypatch.setattr(starting, "_without_renditions", look_slowly)
    assert started(gallery).id == Job.objects.get(kind=Job.Kind.RENDITIONS).id
    assert Job.objects.get(kind=Job.Kind.RENDITIONS).total == 2


# -- what indexing records ----------------------------------------------------------------------------------


def test_renditions_that_an_outcome_replaces_go_and_those_it_does_not_bring_stay(gallery: Gallery) -> None:
    face = face_info()
    photo = add_indexed_photo(gallery, face)
    before = stored_keys()
    record(gallery, indexed(photo, face))
    photo.refresh_from_db()
    assert photo.renditions
    assert photo.faces.get().crop
    assert stored_keys() == before
    for kind in ("thumbnail", "preview"):
        rendition_save(photo.id, kind, "new", b"new")  # type: ignore[arg-type]
    record(gallery, indexed(photo, face).model_copy(update={"renditions": "new"}))
    new = {rendition_key(photo.id, kind, "new") for kind in ("thumbnail", "preview")}  # type: ignore[arg-type]
    assert {key for key in stored_keys() if "thumbnail" in key or "preview" in key} == new


def test_the_crop_of_a_face_that_is_gone_goes(gallery: Gallery) -> None:
    photo = add_indexed_photo(gallery, face_info(), face_info(left=200))
    kept = photo.faces.first()
    assert kept is not None
    assert len([key for key in stored_keys() if "/face." in key]) == 2
    record(gallery, indexed(photo, face_info(str(kept.id))))
    assert [key for key in stored_keys() if "/face." in key] == [rendition_key(photo.id, "face", kept.crop)]


def test_another_generation_adds_crops_of_its_faces_and_changes_none(gallery: Gallery) -> None:
    photo = add_indexed_photo(gallery)
    known = photo.faces.get()
    other = Generation.objects.create(pack="other", collection="others", state=Generation.State.BUILDING)
    new = face_info(left=300)
    outcome = rendered(indexed(photo, face_info(str(known.id)), new)).model_copy(update={"renditions": ""})
    changed = [outcome.faces[0].model_copy(update={"crop": "other"}), outcome.faces[1]]
    outcome = outcome.model_copy(update={"faces": tuple(changed)})
    recording.outcomes_record(gallery_id=gallery.id, outcomes=[outcome], collection=other.collection)
    known.refresh_from_db()
    assert known.crop == photo.faces.get(id=known.id).crop != "other"
    assert Face.objects.get(id=new.face_id).crop == outcome.faces[1].crop
    photo.refresh_from_db()
    assert photo.renditions


def test_a_photo_that_lacks_a_crop_counts_as_not_rendered_when_it_is_sent(
    gallery: Gallery, queue: WatchedQueue
) -> None:
    photo = add_indexed_photo(gallery)
    Photo.objects.update(state=Photo.State.FAILED, code="gave_up")
    retrying.photos_retry(gallery=gallery, photo_ids=[photo.id])
    Face.objects.update(crop="")
    Photo.objects.update(state=Photo.State.FAILED, code="gave_up")
    retrying.photos_retry(gallery=gallery, photo_ids=[photo.id])
    assert [sent.is_rendered for _, photos in queue.indexed[1:] for sent in photos] == [True, False]


# -- the command --------------------------------------------------------------------------------------------


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("renditions", *arguments, stdout=out, stderr=StringIO())
    return out.getvalue()


def test_the_command_starts_a_job_for_each_gallery_with_something_missing(gallery: Gallery) -> None:
    second, third = (gallery_create(owner=gallery.owner, name=name) for name in ("Family", "Work"))
    photos = [add_indexed_photo(each) for each in (gallery, second, third)]
    lose(*photos[:2])
    shown = json.loads(run("--json"))
    assert {(each["gallery_name"], each["kind"], each["total"]) for each in shown} == {
        ("Friends", "renditions", 1),
        ("Family", "renditions", 1),
    }
    assert "No renditions are missing" in run("--gallery", "Work")
    assert "Work: 1 photos, 1 pending" in run("--gallery", "Work", "--all")


def test_the_command_lists_what_failed(gallery: Gallery) -> None:
    photo = add_indexed_photo(gallery)
    started(gallery, is_anew=True)
    renditions_record(photos=[RenderedPhoto(photo_id=str(photo.id), code="photo_missing", message="It is gone.")])
    again, _ = retrying.job_retry(job=Job.objects.get(kind=Job.Kind.RENDITIONS))
    assert again is not None
    renditions_record(photos=[RenderedPhoto(photo_id=str(photo.id), code="photo_missing", message="It is gone.")])
    assert "photo_missing" in call("jobs", "show", str(again.id))


def call(*arguments: str) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


def test_waiting_ends_when_no_worker_answers(gallery: Gallery) -> None:
    lose(add_indexed_photo(gallery))
    with pytest.raises(CommandError, match="No worker answered"):
        run("--wait", "--timeout", "0")
