"""Generations are filled from what the database says, and one takes over from another in one step."""

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from tasks.errors import QueueUnavailable
from tasks.health.reports import WorkerReport
from tasks.messages.base import ErrorInfo
from tasks.messages.generations import Copied, CopyRequest, DropRequest, Measured, MeasureRequest
from tasks.messages.indexing import IndexRequest
from tasks.messages.search import Match
from tests.unit.webapp.conftest import WatchedQueue, add_indexed_photo, add_photo, face_info, failed, indexed, upload
from webapp.accounts.models import AuditEntry
from webapp.gallery.attempts import SILENT_FACTOR
from webapp.gallery.models import Face, Gallery, Photo, Tombstone
from webapp.generations import gates, measuring, selectors
from webapp.generations import services as generation_services
from webapp.generations.models import Entry, Generation
from webapp.generations.selectors import active_generation
from webapp.http.problems import Problem
from webapp.indexing import adding, deleting, feeding, filling
from webapp.indexing import recording as indexing_outcomes
from webapp.jobs.services import job_cancel
from webapp.people.models import Person

pytestmark = pytest.mark.django_db(transaction=True)

FINGERPRINT = "f" * 64
State = Generation.State


class Workers:
    """What workers report, and what is sent to re-index queues."""

    def __init__(self, queue: WatchedQueue) -> None:
        self._queue = queue

    @property
    def reports(self) -> list[WorkerReport]:
        return self._queue.reports

    @property
    def copies(self) -> list[CopyRequest]:
        return self._queue.messages(CopyRequest)

    @property
    def measurements(self) -> list[tuple[MeasureRequest, str]]:
        """Each with its queue."""
        sent = [(each.message, each.queue) for each in self._queue.sent]
        return [(request, queue) for request, queue in sent if isinstance(request, MeasureRequest)]

    @property
    def drops(self) -> list[str]:
        return [request.target.collection for request in self._queue.messages(DropRequest)]

    def add(self, pack: str, *roles: str, fingerprint: str = FINGERPRINT, detector: str = "") -> None:
        queues = tuple(f"{role}.{pack}" for role in roles or ("search", "index", "reindex"))
        self.reports.append(
            WorkerReport(
                name=pack,
                pid=1,
                queues=queues,
                is_healthy=True,
                pack=pack,
                fingerprint=fingerprint,
                dimension=128,
                detector=detector,
            )
        )


@pytest.fixture
def workers(queue: WatchedQueue) -> Workers:
    workers = Workers(queue)
    workers.add("dlib", fingerprint="a" * 64)
    return workers


def start(workers: Workers, pack: str = "other", **options: Any) -> Generation:
    """Begin a generation, with workers of its pack; the queue forgets what was sent before."""
    if pack:
        workers.add(pack)
    filling.generations_advance()  # the active generation learns its fingerprint
    return generation_services.generation_start(actor="ada", pack=pack, **options)


def advance(generation: Generation) -> Generation:
    filling.generations_advance()
    generation.refresh_from_db()
    return generation


def record(generation: Generation, *outcomes: Any) -> None:
    gallery_id = Photo.objects.get(id=outcomes[0].photo_id).gallery_id
    indexing_outcomes.outcomes_record(gallery_id=gallery_id, outcomes=list(outcomes), collection=generation.collection)


def answer(
    workers: Workers,
    *,
    face_count: int | None = None,
    recall: float = 1.0,
    seconds: float = 0.0,
    **neighbours: Any,
) -> None:
    """Answer the latest request for a measurement as workers would."""
    for request, _ in workers.measurements[-2:]:
        looked_at = Generation.objects.get(collection=request.target.collection)
        count = selectors.face_count(looked_at) if face_count is None else face_count
        key = "new" if looked_at.state != State.ACTIVE else "old"
        measuring.measurement_record(
            measured=Measured(
                collection=request.target.collection,
                run_id=request.run_id,
                face_count=count,
                match_recall=recall,
                neighbours=neighbours.get(key, {}),
                seconds=seconds,
            )
        )


def make_ready(workers: Workers, generation: Generation) -> Generation:
    Photo.objects.update(settled_at=timezone.now() - timedelta(hours=1))
    advance(generation)
    answer(workers)
    return advance(generation)


# -- filling ------------------------------------------------------------------------------------------------


def test_the_first_generation_is_what_the_settings_describe(db: None) -> None:
    generation = selectors.active_generation()
    assert (generation.pack, generation.collection, generation.state) == ("dlib", "faces_dlib", State.ACTIVE)
    assert selectors.active_generation() == generation


def test_settled_photos_are_sent_to_a_new_generation_with_the_faces_they_have(
    gallery: Gallery, queue: WatchedQueue, workers: Workers
) -> None:
    face = face_info()
    photo, pending = add_indexed_photo(gallery, face), add_photo(gallery, b"2")
    generation = start(workers)
    queue.forget()
    advance(generation)
    assert queue.indexed_ids == [str(photo.id)], f"{pending.id} is not settled yet"
    assert queue.index_targets == [(generation.collection, "reindex.other")]
    [(_, [sent])] = queue.indexed
    assert [known.face_id for known in sent.known_faces] == [face.face_id]
    advance(generation)
    assert len(queue.indexed) == 1, "it is sent once"


def test_a_new_generation_is_not_sent_cancelled_photos_and_does_not_count_them(
    gallery: Gallery, queue: WatchedQueue, workers: Workers
) -> None:
    files = [upload(b"1"), upload(b"2")]
    added = adding.photos_add(gallery=gallery, files=files)
    kept, cancelled = added.added
    active = active_generation()
    record(active, indexed(kept, face_info()))
    job_cancel(job=added.job)
    generation = start(workers)
    queue.forget()
    advance(generation)
    assert queue.indexed_ids == [str(kept.id)], f"{cancelled.id} is cancelled"
    [(_, [sent])] = queue.indexed
    assert sent.job_id == "", "a worker must not skip it as one of a cancelled job"
    assert selectors.progress_of(generation).total == selectors.progress_of(active).total == 1


@pytest.mark.parametrize("detector", ["d" * 64, "e" * 64])
def test_where_only_the_recognizer_differs_photos_are_sent_with_what_was_found(
    gallery: Gallery, queue: WatchedQueue, workers: Workers, detector: str
) -> None:
    photo = add_photo(gallery)
    outcome = indexed(photo, face_info()).model_copy(update={"detector": "d" * 64})
    record(active_generation(), outcome)
    workers.reports[:] = [each.model_copy(update={"detector": "d" * 64}) for each in workers.reports]
    workers.add("other", detector=detector)
    generation = start(workers, pack="other")
    queue.forget()
    advance(generation)
    [(_, [sent])] = queue.indexed
    is_same = detector == "d" * 64
    assert (sent.detector, len(sent.known_faces[0].landmarks)) == (("d" * 64, 5) if is_same else ("", 0))


def test_without_a_worker_nothing_is_sent_and_no_attempt_is_lost(
    gallery: Gallery, queue: WatchedQueue, workers: Workers
) -> None:
    add_indexed_photo(gallery)
    generation = start(workers)
    del workers.reports[1:]
    queue.forget()
    advance(generation)
    assert not queue.indexed
    assert not generation.entries.exists()


def test_a_worker_with_other_files_under_the_same_name_gets_nothing(
    gallery: Gallery, queue: WatchedQueue, workers: Workers
) -> None:
    add_indexed_photo(gallery)
    generation = advance(start(workers))
    generation.entries.all().delete()
    workers.reports[-1] = workers.reports[-1].model_copy(update={"fingerprint": "e" * 64})
    queue.forget()
    advance(generation)
    assert not queue.indexed


def test_paused_it_is_sent_nothing(gallery: Gallery, queue: WatchedQueue, workers: Workers) -> None:
    add_indexed_photo(gallery)
    generation = start(workers)
    generation_services.generation_pause(generation=generation, actor="ada", is_paused=True)
    queue.forget()
    advance(generation)
    assert not queue.indexed
    generation_services.generation_pause(generation=generation, actor="ada", is_paused=False)
    advance(generation)
    assert len(queue.indexed) == 1


def test_a_rate_limits_what_is_sent(gallery: Gallery, queue: WatchedQueue, workers: Workers, settings: Any) -> None:
    settings.INDEX_CHUNK_SIZE = 1
    for number in range(8):
        add_indexed_photo(gallery, content=b"%d" % number)
    generation = start(workers, rate_limit=1.0)
    Generation.objects.filter(pk=generation.pk).update(created=timezone.now() - timedelta(seconds=3))
    queue.forget()
    advance(generation)
    assert len(queue.indexed_ids) == 3


def test_a_queue_that_dies_costs_no_attempt(gallery: Gallery, queue: WatchedQueue, workers: Workers) -> None:
    photo = add_indexed_photo(gallery)
    generation = start(workers)
    queue.sends_until_down = 0
    with pytest.raises(QueueUnavailable):
        filling.generations_advance()
    entry = generation.entries.get(photo=photo)
    assert (entry.attempts, entry.enqueued_at) == (0, None)


def test_what_nobody_answers_is_sent_again_and_given_up_in_the_end(
    gallery: Gallery, queue: WatchedQueue, workers: Workers, settings: Any
) -> None:
    settings.INDEX_MAX_ATTEMPTS = 2
    photo = add_indexed_photo(gallery)
    generation = advance(start(workers))
    long_ago = timezone.now() - timedelta(seconds=settings.INDEX_LEASE_SECONDS + 1)
    for _ in range(settings.INDEX_MAX_ATTEMPTS * SILENT_FACTOR):
        generation.entries.update(enqueued_at=long_ago)
        advance(generation)
    entry = generation.entries.get(photo=photo)
    assert (entry.state, entry.code) == ("failed", "gave_up")
    photo.refresh_from_db()
    assert photo.state == "indexed", "what is searched is not touched"


def test_a_photo_that_has_killed_workers_is_sent_to_a_generation_alone(
    gallery: Gallery, queue: WatchedQueue, workers: Workers
) -> None:
    photos = [add_indexed_photo(gallery, content=bytes([number])) for number in range(3)]
    Photo.objects.filter(id=photos[1].id).update(state=Photo.State.FAILED, code="kills_workers")
    queue.forget()
    advance(start(workers))
    sent = sorted((each.alone, len(each.photos)) for each in queue.messages(IndexRequest))
    assert sent == [(False, 2), (True, 1)]


def test_while_messages_wait_nothing_is_stale(
    gallery: Gallery, queue: WatchedQueue, workers: Workers, settings: Any
) -> None:
    add_indexed_photo(gallery)
    generation = advance(start(workers))
    generation.entries.update(enqueued_at=timezone.now() - timedelta(days=1))
    queue.have_waiting(1, queue="reindex.other")
    advance(generation)
    assert generation.entries.get().enqueued_at is not None


def test_photos_that_were_looked_at_are_left_alone_until_the_next_full_look(
    gallery: Gallery, queue: WatchedQueue, workers: Workers
) -> None:
    """Nothing but a full look can find a photo that was settled long ago and has lost its entry."""
    add_indexed_photo(gallery)
    generation = advance(start(workers))
    forgotten = add_indexed_photo(gallery, content=b"forgotten")
    settle_long_ago(forgotten)
    queue.forget()
    advance(generation)
    assert not queue.indexed

    recent = add_indexed_photo(gallery, content=b"recent")
    queue.forget()
    advance(generation)
    assert queue.indexed_ids == [str(recent.id)]

    long_ago = timezone.now() - timedelta(seconds=filling.FULL_LOOK_SECONDS + 1)
    Generation.objects.filter(pk=generation.pk).update(looked_through_at=long_ago)
    queue.forget()
    advance(generation)
    assert queue.indexed_ids == [str(forgotten.id)]


def test_photos_are_looked_for_many_at_a_time_and_sent_as_many_as_there_is_room_for(
    gallery: Gallery,
    queue: WatchedQueue,
    workers: Workers,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(filling, "PLAN_SIZE", 6)
    monkeypatch.setattr(filling, "QUEUE_BOUND", 2)
    settings.INDEX_CHUNK_SIZE = 2
    photos = {str(add_indexed_photo(gallery, content=b"%d" % number).id) for number in range(9)}
    generation = start(workers)
    queue.forget()
    progress = []
    for _ in range(4):
        advance(generation)
        progress.append((len(queue.indexed_ids), generation.entries.count()))
    assert progress == [(4, 6), (8, 9), (9, 9), (9, 9)]
    assert set(queue.indexed_ids) == photos


def test_as_long_as_not_every_photo_was_looked_at_it_is_being_filled(
    gallery: Gallery, queue: WatchedQueue, workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filling, "PLAN_SIZE", 1)
    photos = [add_indexed_photo(gallery, content=b"%d" % number) for number in range(3)]
    generation = start(workers, rate_limit=0.001)
    for photo in photos:
        settle_long_ago(photo)
        Generation.objects.filter(pk=generation.pk).update(fed_at=timezone.now() - timedelta(hours=1))
        assert advance(generation).state == State.BUILDING
        record(generation, indexed(Photo.objects.get(id=queue.indexed_ids[-1]), face_info()))
    assert not workers.measurements
    advance(generation)
    assert workers.measurements


# -- what is written down -------------------------------------------------------------------------------------


def test_faces_that_only_the_new_generation_finds_are_new_and_lost_ones_are_kept(
    gallery: Gallery, workers: Workers
) -> None:
    kept, lost, new = face_info(), face_info(left=100), face_info(left=200)
    photo = add_indexed_photo(gallery, kept, lost)
    generation = advance(start(workers))
    record(generation, indexed(photo, face_info(kept.face_id, left=12), new))
    active = selectors.active_generation()
    assert {str(face.id) for face in photo.faces.all()} == {kept.face_id, lost.face_id, new.face_id}
    assert {str(face.id) for face in photo.faces.filter(generations=active)} == {kept.face_id, lost.face_id}
    assert {str(face.id) for face in photo.faces.filter(generations=generation)} == {kept.face_id, new.face_id}
    assert photo.faces.get(id=kept.face_id).left == 10.5, "the active generation says where a face is"


def test_names_stay_with_faces(gallery: Gallery, workers: Workers) -> None:
    face = face_info()
    photo = add_indexed_photo(gallery, face)
    ada = Person.objects.create(gallery=gallery, name="Ada")
    Face.objects.filter(id=face.face_id).update(person=ada)
    record(advance(start(workers)), indexed(photo))  # the new pack finds no face at all
    assert Face.objects.get(id=face.face_id).person == ada


def test_a_late_failure_does_not_undo_a_success(gallery: Gallery, workers: Workers) -> None:
    photo = add_indexed_photo(gallery)
    generation = advance(start(workers))
    record(generation, indexed(photo, face_info()))
    record(generation, failed(photo))
    assert generation.entries.get().state == "indexed"


def test_a_photo_that_was_indexed_anew_follows_in_the_other_generations(
    gallery: Gallery, queue: WatchedQueue, workers: Workers
) -> None:
    photo = add_indexed_photo(gallery)
    generation = advance(start(workers))
    record(generation, indexed(photo, face_info()))
    queue.forget()
    record(active_generation(), indexed(photo, face_info(left=300)))
    advance(generation)
    assert queue.indexed_ids == [str(photo.id)]


def test_an_outcome_for_a_dropped_generation_is_of_no_use(gallery: Gallery, workers: Workers) -> None:
    photo = add_indexed_photo(gallery)
    generation = advance(start(workers))
    generation_services.generation_drop(generation=generation, actor="ada")
    record(generation, indexed(photo, face_info(left=500)))
    assert photo.faces.count() == 1


def test_a_deleted_photo_is_removed_from_every_live_generation(
    gallery: Gallery, queue: WatchedQueue, workers: Workers
) -> None:
    photo = add_indexed_photo(gallery)
    generation = advance(start(workers))
    deleting.photos_delete(gallery=gallery, photo_ids=[photo.id])
    assert queue.removal_targets == [["faces_dlib", generation.collection]]
    record(generation, indexed(photo, face_info(left=500)))  # a worker had it in hand
    assert len(queue.removed) == 2
    deleting.removals_record(photo_ids=[photo.id])
    assert not Entry.objects.exists()


def test_a_workers_last_cause_is_noted_in_the_entry(gallery: Gallery, workers: Workers) -> None:
    photo = add_indexed_photo(gallery)
    generation = advance(start(workers))
    error = ErrorInfo(code="busy", message="Busy.")
    indexing_outcomes.index_failure_record(photo_ids=[photo.id], error=error, collection=generation.collection)
    assert generation.entries.get().code == "busy"
    photo.refresh_from_db()
    assert photo.code == ""


# -- copies ------------------------------------------------------------------------------------------------------


def copy_all(workers: Workers, generation: Generation, *, face_count: int) -> None:
    [request] = workers.copies
    filling.copy_record(
        copied=Copied(
            collection=request.target.collection,
            source=request.source.collection,
            gallery_id=request.gallery_id,
            first=request.first,
            last=request.last,
            face_count=face_count,
        )
    )


def test_with_the_same_pack_embeddings_are_copied(gallery: Gallery, queue: WatchedQueue, workers: Workers) -> None:
    one, two = add_indexed_photo(gallery, face_info(), face_info(left=90)), add_photo(gallery, b"2")
    record(active_generation(), indexed(two))
    generation = start(workers, "", index_type="HNSW")
    queue.forget()
    advance(generation)
    assert not queue.indexed
    [request] = workers.copies
    assert (request.first, request.last) == tuple(sorted(map(str, (one.id, two.id))))
    assert (request.source.collection, request.target.index.index_type) == ("faces_dlib", "HNSW")
    copy_all(workers, generation, face_count=2)
    assert dict(generation.entries.values_list("photo_id", "state")) == {one.id: "indexed", two.id: "no_faces"}
    assert selectors.face_count(generation) == 2


def test_a_copy_with_another_count_is_made_again(gallery: Gallery, workers: Workers) -> None:
    add_indexed_photo(gallery)
    generation = advance(start(workers, "", index_type="HNSW"))
    copy_all(workers, generation, face_count=7)
    assert generation.entries.get().state == "pending"
    advance(generation)
    assert len(workers.copies) == 2


def test_what_was_deleted_while_it_was_copied_is_removed_everywhere(
    gallery: Gallery, queue: WatchedQueue, workers: Workers
) -> None:
    photo = add_indexed_photo(gallery)
    generation = advance(start(workers, "", index_type="HNSW"))
    deleting.photos_delete(gallery=gallery, photo_ids=[photo.id])
    deleting.removals_record(photo_ids=[photo.id])
    assert Tombstone.objects.count() == 1
    queue.forget()
    copy_all(workers, generation, face_count=0)
    assert queue.removed_ids == [str(photo.id)]


# -- gates, activation, rollback, drop -----------------------------------------------------------------------------


def ready_generation(gallery: Gallery, workers: Workers) -> tuple[Generation, Photo]:
    photo = add_indexed_photo(gallery)
    generation = advance(start(workers))
    record(generation, indexed(photo, face_info(str(photo.faces.get().id))))
    return make_ready(workers, generation), photo


def test_a_filled_generation_is_measured_and_then_ready(gallery: Gallery, workers: Workers) -> None:
    generation, _ = ready_generation(gallery, workers)
    assert generation.state == State.READY
    assert [queue for _, queue in workers.measurements] == ["reindex.other", "index.dlib"]
    assert all(gate.is_open for gate in gates.gates_of(generation))


def test_a_measurement_that_takes_long_is_made_less_often(gallery: Gallery, workers: Workers) -> None:
    photo = add_indexed_photo(gallery)
    generation = advance(start(workers))
    record(generation, indexed(photo, face_info(str(photo.faces.get().id))))
    settle_long_ago(photo)
    advance(generation)
    answer(workers, recall=0.5, seconds=40.0)
    asked_before = len(workers.measurements)
    for seconds, is_asked_again in ((100, False), (401, True)):
        Generation.objects.filter(pk=generation.pk).update(measured_at=timezone.now() - timedelta(seconds=seconds))
        advance(generation)
        assert (len(workers.measurements) > asked_before) == is_asked_again


def test_a_request_that_died_with_its_worker_is_sent_again(gallery: Gallery, workers: Workers, settings: Any) -> None:
    settings.VISIBILITY_TIMEOUT_SECONDS = 30
    photo = add_indexed_photo(gallery)
    generation = advance(start(workers))
    record(generation, indexed(photo, face_info(str(photo.faces.get().id))))
    settle_long_ago(photo)
    advance(generation)
    asked_before = len(workers.measurements)
    for seconds, is_asked_again in ((-1, False), (1, True)):
        long_ago = timezone.now() - timedelta(seconds=settings.VISIBILITY_TIMEOUT_SECONDS + seconds)
        Generation.objects.filter(pk=generation.pk).update(measured_at=long_ago)
        advance(generation)
        assert (len(workers.measurements) > asked_before) == is_asked_again


@pytest.mark.parametrize(("spoilt", "is_measured"), [({"face_count": 9}, True), ({}, False)])
def test_what_is_behind_a_closed_gate_is_measured_again_soon(
    gallery: Gallery, workers: Workers, spoilt: dict[str, Any], is_measured: bool
) -> None:
    """Uploads may have come between the two counts: nobody is to wait five minutes for the next ones."""
    generation, _ = ready_generation(gallery, workers)
    spoil_measurement(generation, **spoilt)
    a_while_ago = timezone.now() - timedelta(seconds=measuring.AGAIN_SECONDS + 1)
    Generation.objects.filter(pk=generation.pk).update(measured_at=a_while_ago)
    asked_before = len(workers.measurements)
    advance(generation)
    assert (len(workers.measurements) > asked_before) == is_measured


def test_a_new_photo_makes_it_building_again(gallery: Gallery, workers: Workers) -> None:
    generation, _ = ready_generation(gallery, workers)
    photo = add_indexed_photo(gallery, content=b"another")
    assert advance(generation).state == State.READY, "it follows within seconds"
    settle_long_ago(photo)
    assert advance(generation).state == State.BUILDING


@pytest.mark.parametrize(
    ("gate", "spoil"),
    [
        pytest.param(
            "outcomes",
            lambda g, w: settle_long_ago(add_indexed_photo(Gallery.objects.get(), content=b"new")),
            id="outcomes",
        ),
        pytest.param("counts", lambda g, w: spoil_measurement(g, face_count=9), id="counts"),
        pytest.param("recall", lambda g, w: spoil_measurement(g, match_recall=0.5), id="recall"),
        pytest.param(
            "answers", lambda g, w: spoil_measurement(g, neighbours={str(uuid.UUID(int=1)): []}), id="answers"
        ),
        pytest.param("workers", lambda g, w: w.reports.clear(), id="workers"),
    ],
)
def test_each_closed_gate_stops_the_activation_and_may_be_overridden_by_name(
    gallery: Gallery, workers: Workers, gate: str, spoil: Any
) -> None:
    generation, _ = ready_generation(gallery, workers)
    active = {**generation.measurements["active"], "neighbours": {str(uuid.UUID(int=1)): [hit(2)]}}
    Generation.objects.filter(pk=generation.pk).update(measurements={**generation.measurements, "active": active})
    generation.refresh_from_db()
    spoil(generation, workers)
    generation.refresh_from_db()
    with pytest.raises(Problem, match=gate) as refused:
        generation_services.generation_activate(generation=generation, actor="ada")
    assert refused.value.code == "gate_closed"
    assert selectors.active_generation().pack == "dlib"
    generation_services.generation_activate(generation=generation, actor="ada", override=[gate])
    assert selectors.active_generation() == generation
    entry = AuditEntry.objects.filter(action="reindex.activate").get()
    assert (entry.actor, list(entry.detail["overridden"])) == ("ada", [gate])


def settle_long_ago(photo: Photo) -> None:
    Photo.objects.filter(pk=photo.pk).update(settled_at=timezone.now() - timedelta(hours=1))


def spoil_measurement(generation: Generation, **changes: Any) -> None:
    own = {**generation.measurements["own"], **changes}
    Generation.objects.filter(pk=generation.pk).update(measurements={**generation.measurements, "own": own})


def hit(number: int) -> dict[str, Any]:
    face_id = str(uuid.UUID(int=number))
    return Match(face_id=face_id, photo_id=face_id, similarity=0.9).model_dump(mode="json")


def test_a_gate_that_does_not_exist_is_named(gallery: Gallery, workers: Workers) -> None:
    generation, _ = ready_generation(gallery, workers)
    with pytest.raises(Problem, match="'everything'"):
        generation_services.generation_activate(generation=generation, actor="ada", override=["everything"])


def test_activation_moves_uploads_and_pending_photos_over(
    gallery: Gallery, queue: WatchedQueue, workers: Workers
) -> None:
    generation, _ = ready_generation(gallery, workers)
    waiting = add_photo(gallery, b"waiting")
    generation_services.generation_activate(generation=generation, actor="ada")
    queue.forget()
    feeding.index_queue_feed()
    assert queue.indexed_ids == [str(waiting.id)]
    assert queue.index_targets == [(generation.collection, "index.other")]


def test_after_activation_the_old_generation_is_kept_up_to_date(
    gallery: Gallery, queue: WatchedQueue, workers: Workers
) -> None:
    generation, _ = ready_generation(gallery, workers)
    generation_services.generation_activate(generation=generation, actor="ada")
    photo = add_photo(gallery, b"later")
    record(generation, indexed(photo, face_info()))
    queue.forget()
    advance(generation)
    assert queue.indexed_ids == [str(photo.id)]
    assert queue.index_targets == [("faces_dlib", "reindex.dlib")]


def test_rollback_is_the_same_switch(gallery: Gallery, workers: Workers) -> None:
    generation, _ = ready_generation(gallery, workers)
    generation_services.generation_activate(generation=generation, actor="ada")
    back = generation_services.generation_rollback(actor="ada")
    generation.refresh_from_db()
    assert (back.pack, generation.state) == ("dlib", State.RETIRED)
    assert selectors.active_generation() == back
    again = generation_services.generation_rollback(actor="ada")
    assert again == generation


def test_a_rollback_to_a_generation_that_lags_behind_is_refused(gallery: Gallery, workers: Workers) -> None:
    generation, _ = ready_generation(gallery, workers)
    generation_services.generation_activate(generation=generation, actor="ada")
    later = add_photo(gallery, b"later")
    record(generation, indexed(later, face_info()))
    settle_long_ago(later)
    with pytest.raises(Problem, match="outcomes"):
        generation_services.generation_rollback(actor="ada")


def test_there_may_be_nothing_to_go_back_to(db: None, workers: Workers) -> None:
    with pytest.raises(Problem, match="no retired generation"):
        generation_services.generation_rollback(actor="ada")


def test_the_active_generation_cannot_be_dropped(db: None, workers: Workers) -> None:
    with pytest.raises(Problem, match="active"):
        generation_services.generation_drop(generation=selectors.active_generation(), actor="ada")


def test_a_dropped_generation_goes_when_its_collection_has_gone(gallery: Gallery, workers: Workers) -> None:
    generation, photo = ready_generation(gallery, workers)
    generation_services.generation_drop(generation=generation, actor="ada")
    assert workers.drops == [generation.collection]
    assert [each.pack for each in selectors.live_generations()] == ["dlib"]
    generation_services.drop_record(collection=generation.collection)
    assert not Generation.objects.filter(pk=generation.pk).exists()
    assert photo.faces.count() == 1


def test_a_drop_that_nobody_has_answered_is_asked_for_again(gallery: Gallery, workers: Workers) -> None:
    generation, _ = ready_generation(gallery, workers)
    generation_services.generation_drop(generation=generation, actor="ada")
    filling.generations_advance()
    assert len(workers.drops) == 1
    Generation.objects.filter(pk=generation.pk).update(fed_at=timezone.now() - timedelta(hours=1))
    filling.generations_advance()
    assert len(workers.drops) == 2


def test_only_one_generation_is_built_at_a_time(db: None, workers: Workers) -> None:
    start(workers)
    with pytest.raises(Problem, match="Another generation"):
        generation_services.generation_start(actor="ada", index_type="HNSW")


def test_an_index_that_does_not_exist_is_refused(db: None, workers: Workers) -> None:
    with pytest.raises(Problem, match="INDEX_TYPE"):
        generation_services.generation_start(actor="ada", index_type="PERFECT")
    assert Generation.objects.count() == 1


def test_a_gallery_is_rebuilt_in_place(gallery: Gallery, queue: WatchedQueue, workers: Workers) -> None:
    photo = add_indexed_photo(gallery)
    filling.generations_advance()
    settle_long_ago(photo)
    assert generation_services.gallery_rebuild(actor="ada", gallery=gallery) == 1
    queue.forget()
    filling.generations_advance()
    assert queue.indexed_ids == [str(photo.id)]
    assert queue.index_targets == [("faces_dlib", "reindex.dlib")]


def test_photos_show_what_the_active_generation_makes_of_them(gallery: Gallery, workers: Workers) -> None:
    generation, found = ready_generation(gallery, workers)
    empty = add_photo(gallery, b"empty")
    record(active_generation(), indexed(empty))
    record(generation, indexed(empty, face_info()))
    record(generation, indexed(found))
    generation_services.generation_activate(generation=generation, actor="ada")
    assert {photo.pk: photo.state for photo in Photo.objects.all()} == {found.pk: "no_faces", empty.pk: "indexed"}
    generation_services.generation_rollback(actor="ada")
    assert {photo.pk: photo.state for photo in Photo.objects.all()} == {found.pk: "indexed", empty.pk: "no_faces"}


def test_a_generation_on_its_way_out_takes_no_orders(gallery: Gallery, workers: Workers) -> None:
    generation, _ = ready_generation(gallery, workers)
    generation_services.generation_drop(generation=generation, actor="ada")
    with pytest.raises(Problem, match="no longer live"):
        generation_services.generation_pause(generation=generation, actor="ada", is_paused=False)


def test_neighbours_that_are_equally_near_may_change_places(gallery: Gallery, workers: Workers) -> None:
    generation, _ = ready_generation(gallery, workers)
    face, near, far = str(uuid.UUID(int=1)), hit(2), {**hit(3), "similarity": 0.7}
    same = {**hit(4), "similarity": 0.89}
    for old, new, expected in (([near, same], [same, near], 0), ([near, far], [far], 1), ([], [near], 1), ([], [], 0)):
        generation.measurements = {"active": {"neighbours": {face: old}}, "own": {"neighbours": {face: new}}}
        assert len(gates.changed_answers(generation)[1]) == expected
