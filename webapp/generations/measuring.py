"""Measuring a generation for its gates: GPU workers examine the collections; the results are stored in its row."""

import uuid
from collections import defaultdict
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction

from tasks import clock
from tasks.messages.generations import Measured, MeasureRequest
from tasks.queues import index_queue, reindex_queue
from tasks.work_queue import work_queue
from webapp.gallery.models import Face
from webapp.generations import selectors
from webapp.generations.gates import measured_gates, outcomes_gate
from webapp.generations.models import Generation

#: Seconds until a new measurement: when the gates are closed, and when they are open.
AGAIN_SECONDS, RENEWED_SECONDS = 30.0, 300.0
#: A worker spends at most a tenth of its time on measurements: the pause is this many times the measurement.
PAUSE_FACTOR = 10.0
#: How many faces have their neighbours compared between the active generation and this one.
COMPARED_FACES = 100


def advance(generation: Generation) -> None:
    """Request a measurement if the generation is filled and its last one is too old. Raises QueueUnavailable.

    Photos are counted only when the result matters, so that the cost of a tick does not grow with their number.
    """
    if selectors.is_being_filled(generation):
        _become(generation, Generation.State.BUILDING)
        return
    has_passed = all(gate.is_open for gate in measured_gates(generation))
    is_due = generation.measured_at is None or _is_due(generation, generation.measured_at, has_passed=has_passed)
    becomes_ready = has_passed and generation.state != Generation.State.READY
    if not is_due and not becomes_ready:
        return
    if not outcomes_gate(generation).is_open:
        _become(generation, Generation.State.BUILDING)
        return
    if has_passed:
        _become(generation, Generation.State.READY)
    if is_due:
        measurement_start(generation)


def _is_due(generation: Generation, requested_at: datetime, *, has_passed: bool) -> bool:
    answers = [generation.measurements.get(key, {}) for key in ("own", "active")]
    if any(answer.get("run_id") != generation.measuring for answer in answers):
        queues = reindex_queue(generation.pack), index_queue(selectors.active_generation().pack)
        return all(is_lost(requested_at, queue) for queue in queues)
    longest_seconds = max(answer.get("seconds", 0.0) for answer in answers)
    patience_seconds = RENEWED_SECONDS if has_passed else max(AGAIN_SECONDS, PAUSE_FACTOR * longest_seconds)
    return clock.utcnow() - requested_at > timedelta(seconds=patience_seconds)


def is_lost(requested_at: datetime, queue: str) -> bool:
    """Return whether an unanswered request that was sent to the queue then will never be answered.

    A request may wait behind an import, and another one would wait behind it. But once it has left its queue, a worker
    answers within the visibility timeout, or the queue has delivered again what a dead worker held. Raises
    QueueUnavailable.
    """
    return requested_at.timestamp() < work_queue().left_before(queue, settings.VISIBILITY_TIMEOUT_SECONDS)


def measurement_start(generation: Generation) -> None:
    """Send requests to measure this generation's collection and the active one. Raises QueueUnavailable."""
    active = selectors.active_generation()
    face_ids = _sample(generation, active)
    generation.measuring, generation.measured_at = str(uuid.uuid4()), clock.utcnow()
    generation.save(update_fields=["measuring", "measured_at"])
    # Whoever changes them from now on also forgets the run; until now they may have changed.
    generation.refresh_from_db(fields=["search_params"])
    for each, queue in ((generation, reindex_queue(generation.pack)), (active, index_queue(active.pack))):
        request = MeasureRequest(target=each.target, run_id=generation.measuring, face_ids=face_ids)
        work_queue().send(request, queue=queue)


def measurement_record(*, measured: Measured) -> None:
    """Store what a worker measured, with the database's present count; answers to old requests are ignored."""
    looked_at = Generation.objects.filter(collection=measured.collection).first()
    if looked_at is None:
        return
    found = measured.model_dump(mode="json", exclude={"version", "run_id", "collection"})
    found |= {"run_id": measured.run_id, "database_count": selectors.face_count(looked_at)}
    with transaction.atomic(durable=True):
        generation = Generation.objects.select_for_update().filter(measuring=measured.run_id).first()
        if generation is None:
            return
        is_proven = generation.state in (Generation.State.ACTIVE, Generation.State.RETIRED)
        own = "searched" if is_proven else "own"
        key = own if looked_at == generation else "active"
        generation.measurements = {**generation.measurements, key: found}
        generation.save(update_fields=["measurements"])


def _become(generation: Generation, state: Generation.State) -> None:
    """Switch between building and ready, unless an operator has activated the generation meanwhile."""
    before = Generation.objects.filter(pk=generation.pk, state__in=(Generation.State.BUILDING, Generation.State.READY))
    before.exclude(state=state).update(state=state)


def _sample(generation: Generation, active: Generation) -> dict[str, tuple[str, ...]]:
    """Return ids of faces that both generations have, by gallery: the same ones each time, evenly spread by id."""
    both = Face.objects.filter(generations=generation).filter(generations=active).order_by("id")
    step = max(1, both.count() // COMPARED_FACES)
    chosen: defaultdict[str, list[str]] = defaultdict(list)
    for face_id, gallery_id in both.values_list("id", "photo__gallery_id")[::step][:COMPARED_FACES]:
        chosen[str(gallery_id)].append(str(face_id))
    return {gallery_id: tuple(ids) for gallery_id, ids in chosen.items()}
