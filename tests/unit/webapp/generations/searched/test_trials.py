"""Search parameters change while a generation is searched, and stay only if its match recall does."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from tasks.errors import QueueUnavailable
from tasks.messages.generations import Measured, MeasureRequest
from tests.unit.webapp.conftest import WatchedQueue, report_of
from webapp.accounts.models import AuditEntry
from webapp.generations import gates, measuring, services
from webapp.generations.models import Generation, Trial
from webapp.generations.searched import recall, trials
from webapp.generations.selectors import active_generation
from webapp.http.problems import Problem

pytestmark = pytest.mark.django_db(transaction=True)

State = Generation.State
OLD, NEW = {"nprobe": 64}, {"nprobe": 8}


class Measurements:
    """What index workers are asked to measure, and their answers."""

    def __init__(self, queue: WatchedQueue) -> None:
        self.queue = queue

    @property
    def requests(self) -> list[MeasureRequest]:
        assert {each.queue for each in self.queue.sent if isinstance(each.message, MeasureRequest)} <= {"index.dlib"}
        return self.queue.messages(MeasureRequest)

    def answer(self, share: float | None, *, number: int = -1, seconds: float = 1.0) -> None:
        request = self.requests[number]
        measured = Measured(
            collection=request.target.collection,
            run_id=request.run_id,
            face_count=5,
            match_recall=share,
            seconds=seconds,
        )
        measuring.measurement_record(measured=measured)


@pytest.fixture
def measurements(queue: WatchedQueue, settings: Any) -> Measurements:
    """An active generation with an approximate index, and an index worker of its pack."""
    settings.COLLECTION_CONFIG = {"INDEX_TYPE": "IVF_FLAT", "INDEX_PARAMS": {"nlist": 64}, "SEARCH_PARAMS": OLD}
    queue.reports.append(report_of("dlib", "index"))
    active_generation()
    return Measurements(queue)


def tick() -> Generation:
    recall.searched_recall_tick()
    return active_generation()


def measured_before(measurements: Measurements, share: float | None) -> Generation:
    tick()
    measurements.answer(share)
    return tick()


def change(search_params: dict[str, int] | None = None, **options: Any) -> Generation:
    trials.search_params_set(
        generation=active_generation(),
        actor="ada",
        search_params=NEW if search_params is None else search_params,
        **options,
    )
    return active_generation()


def audited() -> list[str]:
    return [entry.action for entry in AuditEntry.objects.order_by("at", "id")]


# -- a trial --------------------------------------------------------------------------------------------------


def test_new_parameters_are_used_at_once_and_measured(measurements: Measurements) -> None:
    measured_before(measurements, 1.0)
    assert change().target.index.search_params == NEW
    tick()
    assert measurements.requests[-1].target.index.search_params == NEW
    assert "Searching with nprobe=8 until its match recall" in trials.trial_summary(active_generation())["detail"]  # type: ignore[index]


def test_a_change_that_finds_as_much_is_kept(measurements: Measurements) -> None:
    measured_before(measurements, 1.0)
    change()
    tick()
    measurements.answer(0.998)
    assert tick().search_params == NEW
    trial = Trial.objects.get()
    assert (trial.state, trial.recall_before, trial.recall_after) == ("kept", 1.0, 0.998)
    assert audited() == ["reindex.set", "reindex.set.kept"]


def test_a_change_that_finds_less_is_undone_and_says_so(measurements: Measurements) -> None:
    measured_before(measurements, 1.0)
    change()
    tick()
    measurements.answer(0.9)
    assert tick().search_params == OLD
    assert audited() == ["reindex.set", "reindex.set.undone"]
    summary = trials.trial_summary(active_generation())
    assert summary is not None
    assert summary["detail"] == (
        "Undone, back to nprobe=64: with nprobe=8 searches find 90.00% of the matches that exact search finds "
        "(100.00% with nprobe=64); at least 99.00% are required."
    )


def test_a_change_that_was_confirmed_is_kept_although_it_finds_less(measurements: Measurements) -> None:
    measured_before(measurements, 1.0)
    change(is_confirmed=True)
    tick()
    measurements.answer(0.9)
    assert tick().search_params == NEW
    assert "which is worse but was confirmed" in trials.trial_summary(active_generation())["detail"]  # type: ignore[index]


@pytest.mark.parametrize(
    ("before", "after", "state"),
    [
        pytest.param(0.8, 0.9, "kept", id="better, though not enough"),
        pytest.param(0.991, 0.989, "undone", id="no longer enough"),
        pytest.param(0.9, 0.897, "kept", id="the same, but for the sample"),
        pytest.param(None, 0.98, "undone", id="nothing to compare with, and not enough"),
        pytest.param(None, 0.995, "kept", id="nothing to compare with, and enough"),
        pytest.param(1.0, None, "kept", id="no faces to measure with"),
    ],
)
def test_what_counts_as_worse(
    measurements: Measurements, before: float | None, after: float | None, state: str
) -> None:
    measured_before(measurements, before)
    change()
    tick()
    measurements.answer(after)
    tick()
    assert Trial.objects.get().state == state


def test_an_answer_that_was_on_its_way_settles_nothing(measurements: Measurements) -> None:
    measured_before(measurements, 1.0)
    Generation.objects.update(measured_at=timezone.now() - timedelta(hours=2))
    tick()
    change()
    measurements.answer(1.0)  # it has measured the old parameters
    assert tick().search_params == NEW
    assert Trial.objects.get().state == "running"


def test_a_second_change_is_compared_with_what_was_proved_last(measurements: Measurements) -> None:
    measured_before(measurements, 1.0)
    change({"nprobe": 1})
    tick()
    change({"nprobe": 2})
    tick()
    measurements.answer(0.5, number=-2)
    assert tick().search_params == {"nprobe": 2}
    measurements.answer(0.6)
    assert tick().search_params == OLD


def test_a_trial_outlives_a_queue_that_is_down(measurements: Measurements) -> None:
    measured_before(measurements, 1.0)
    change()
    measurements.queue.sends_until_down = 0
    with pytest.raises(QueueUnavailable):
        tick()
    measurements.queue.is_down, measurements.queue.sends_until_down = False, None
    tick()
    measurements.answer(0.5)
    assert tick().search_params == OLD


def test_parameters_that_the_index_does_not_take_are_refused(measurements: Measurements) -> None:
    with pytest.raises(Problem, match="SEARCH_PARAMS") as refused:
        change({"ef": 10})
    assert refused.value.code == "bad_index"
    assert active_generation().search_params == OLD
    assert not Trial.objects.exists()


def test_one_that_is_being_built_is_measured_again_for_its_gates(measurements: Measurements) -> None:
    active_generation()
    generation = services.generation_start(actor="ada", index_type="IVF_FLAT")
    measured = {"own": {"match_recall": 1.0, "run_id": "t", "face_count": 1, "database_count": 1}}
    Generation.objects.filter(pk=generation.pk).update(
        state=State.READY, measuring="t", measured_at=timezone.now(), measurements=measured
    )
    trials.search_params_set(generation=generation, actor="ada", search_params=NEW)
    generation.refresh_from_db()
    assert (generation.state, generation.search_params, generation.measured_at) == (State.BUILDING, NEW, None)
    assert not next(gate for gate in gates.measured_gates(generation) if gate.name == gates.RECALL).is_open
    assert not Trial.objects.exists()


def test_a_tick_that_read_one_before_its_change_measures_the_new_parameters(
    measurements: Measurements, queue: WatchedQueue
) -> None:
    generation = services.generation_start(actor="ada", index_type="IVF_FLAT", search_params=OLD)
    as_read = Generation.objects.get(pk=generation.pk)
    trials.search_params_set(generation=generation, actor="ada", search_params=NEW)
    measuring.measurement_start(as_read)
    own = next(each for each in queue.messages(MeasureRequest) if each.target.collection == generation.collection)
    assert own.target.index.search_params == NEW


def test_one_is_not_activated_with_parameters_that_its_gates_have_not_seen(measurements: Measurements) -> None:
    generation = services.generation_start(actor="ada", index_type="IVF_FLAT", search_params=OLD)
    as_read = Generation.objects.get(pk=generation.pk)
    trials.search_params_set(generation=generation, actor="ada", search_params=NEW)
    with pytest.raises(Problem, match="have just been changed"):
        services.generation_activate(generation=as_read, actor="ada", override=gates.GATES)
    assert active_generation().pk != generation.pk


def test_one_that_is_being_dropped_takes_none(measurements: Measurements) -> None:
    generation = services.generation_start(actor="ada", index_type="IVF_FLAT")
    Generation.objects.filter(pk=generation.pk).update(is_dropping=True)
    with pytest.raises(Problem, match="is no longer live"):
        trials.search_params_set(generation=generation, actor="ada", search_params=NEW)


# -- measuring what is searched -------------------------------------------------------------------------------


def test_the_active_generation_is_measured_and_then_once_an_hour(measurements: Measurements) -> None:
    assert measured_before(measurements, 0.75).match_recall == 0.75
    for minutes, count in ((59, 1), (61, 2)):
        Generation.objects.update(measured_at=timezone.now() - timedelta(minutes=minutes))
        tick()
        assert len(measurements.requests) == count


def test_a_collection_without_faces_is_measured_again_soon(measurements: Measurements) -> None:
    measured_before(measurements, None)
    Generation.objects.update(measured_at=timezone.now() - timedelta(seconds=measuring.AGAIN_SECONDS + 1))
    tick()
    assert len(measurements.requests) == 2


def test_a_measurement_takes_no_more_than_a_tenth_of_a_workers_time(measurements: Measurements) -> None:
    tick()
    measurements.answer(1.0, seconds=1000.0)
    for seconds, count in ((9_000, 1), (10_001, 2)):
        Generation.objects.update(measured_at=timezone.now() - timedelta(seconds=seconds))
        tick()
        assert len(measurements.requests) == count


def test_without_a_worker_none_is_asked_for(measurements: Measurements) -> None:
    measurements.queue.reports.clear()
    tick()
    assert not measurements.requests


def test_while_a_request_waits_behind_an_import_no_other_is_sent(
    measurements: Measurements, queue: WatchedQueue
) -> None:
    long_ago = timezone.now() - timedelta(hours=1)
    queue.have_waiting(1, sent_at=(long_ago - timedelta(minutes=1)).timestamp())
    tick()
    Generation.objects.update(measured_at=long_ago)
    tick()
    assert len(measurements.requests) == 1
    queue.have_waiting(0)
    tick()
    assert len(measurements.requests) == 2


def test_it_is_measured_after_it_was_activated(measurements: Measurements) -> None:
    measured_before(measurements, 1.0)
    generation = services.generation_start(actor="ada", index_type="FLAT")
    own = {"match_recall": 0.995, "run_id": "t", "face_count": 0, "database_count": 0, "neighbours": {}}
    Generation.objects.filter(pk=generation.pk).update(
        measuring="t", measured_at=timezone.now(), measurements={"own": own, "active": own}
    )
    services.generation_activate(generation=generation, actor="ada", override=gates.GATES)
    assert active_generation().match_recall == 0.995, "until then it is what the gates have seen"
    tick()
    assert measurements.requests[-1].target.collection == generation.collection
    measurements.answer(0.97)
    assert active_generation().match_recall == 0.97
