"""`manage.py reindex` and `manage.py workers`."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from tasks.health.reports import WorkerReport
from tests.unit.webapp.conftest import WatchedQueue, add_indexed_photo, report_of
from tests.unit.worker.recognition.synthetic_packs import make_pack
from webapp.accounts.models import AuditEntry
from webapp.gallery.models import Gallery
from webapp.generations.gates import GATES
from webapp.generations.management.commands import reindex
from webapp.generations.models import Entry, Generation, Trial
from webapp.generations.selectors import active_generation
from webapp.http.commands import command_actor
from webapp.operations import local
from webapp.operations.management.commands import workers

State = Generation.State


@pytest.fixture(autouse=True)
def the_database(db: None) -> None:
    """Every command reads it."""


@pytest.fixture
def other_is_known(reports: list[WorkerReport]) -> None:
    """A worker of the pack “other” has started, though it cannot work."""
    reports.append(report_of("other", is_healthy=False))


def run(*arguments: Any) -> str:
    out = io.StringIO()
    call_command("reindex", *map(str, arguments), stdout=out)
    return out.getvalue()


def run_json(*arguments: Any) -> Any:
    return json.loads(run(*arguments, "--json"))


# -- reindex --------------------------------------------------------------------------------------------------


def test_start_says_who_is_missing_and_how_to_follow(reports: list[WorkerReport]) -> None:
    reports.append(report_of("other", "search", "index"))
    printed = run("start", "--pack", "other", "--rate", 5)
    generation = Generation.objects.get(pack="other")
    assert f"Generation {generation.pk} (other) is being built in {generation.collection}." in printed
    assert "No worker consumes reindex.other yet: run `python manage.py workers other`." in printed
    assert "reindex status --watch" in printed
    assert (generation.rate_limit, generation.state) == (5.0, State.BUILDING)
    assert AuditEntry.objects.get().actor == command_actor()


def test_a_pack_that_nobody_has_is_refused_and_blocks_nothing(
    settings: Any, tmp_path: Path, reports: list[WorkerReport]
) -> None:
    settings.FACE_CONFIG = {"PACKS_DIR": str(tmp_path)}
    with pytest.raises(CommandError, match=r"other is not installed here: .*packs fetch other"):
        run("start", "--pack", "other")
    (tmp_path / "other").mkdir()
    with pytest.raises(CommandError, match="not installed"):
        run("start", "--pack", "other")
    assert Generation.objects.count() == 1
    make_pack(tmp_path / "mine")
    number = run_json("start", "--pack", "mine")["number"]
    with pytest.raises(CommandError, match=rf"activate or drop generation {number} \(mine\)"):
        run("start", "--index-type", "HNSW")
    run("drop", number)
    reports.append(report_of("other", is_healthy=False))
    assert run_json("start", "--pack", "other")["pack"] == "other"


def test_start_takes_an_index_and_its_parameters() -> None:
    started = run_json(
        "start", "--index-type", "IVF_FLAT", "--index-params", '{"nlist": 64}', "--search-params", '{"nprobe": 8}'
    )
    assert (started["pack"], started["index"]["index_type"]) == ("dlib", "IVF_FLAT")
    assert (started["index"]["index_params"], started["index"]["search_params"]) == ({"nlist": 64}, {"nprobe": 8})


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("start", "--index-params", "[1]"), "must be a JSON object of whole numbers"),
        (("start", "--index-params", '{"nlist": true}'), "must be a JSON object of whole numbers"),
        (("start", "--rate", "0"), "must be"),
        (("start", "--rate", "nan"), "must be"),
        (("start", "--rate", "1e308"), "must be less than or equal to 10000"),
        (("pause", "9" * 30), "must be less than or equal to"),
        (("start", "--index-params", '{"nlist": 1e999}'), "must be a JSON object of whole numbers"),
        (("start", "--index-type", "NONSENSE"), "NONSENSE"),
        (("start", "--gallery", "Nobody's"), "There is no gallery"),
        (("start", "--gallery", "Friends", "--pack", "other"), "do not combine it with another pack"),
        (("activate",), "No generation is being built"),
        (("pause", "7"), "There is no such generation."),
        (("rollback",), "no retired generation"),
        (("set", "--index-params", '{"nlist": 9}'), "reindex start --index-params"),
        (("set",), "Give the parameters"),
        (("set", "--search-params", '{"ef": 9}'), "SEARCH_PARAMS is {'ef': 9}"),
        (("set", "7", "--search-params", "{}"), "There is no such generation."),
        (("drop", "7"), "There is no such generation."),
    ],
)
def test_what_cannot_be_is_told_in_a_sentence(gallery: Gallery, arguments: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(CommandError, match=sentence):
        run(*arguments)


def test_a_gallery_is_indexed_again(gallery: Gallery, their_gallery: Gallery) -> None:
    add_indexed_photo(gallery)
    theirs = add_indexed_photo(their_gallery)
    assert "1 photo of Friends will be indexed again." in run("start", "--gallery", "Friends", "--owner", "ada")
    assert [entry.photo for entry in Entry.objects.all()] == [theirs]


def test_status_shows_progress_workers_and_gates(gallery: Gallery, reports: list[WorkerReport]) -> None:
    add_indexed_photo(gallery)
    reports.append(report_of("other", "search"))
    run("start", "--pack", "other", "--search-params", "{}")
    Generation.objects.filter(pack="other").update(fingerprint="0123456789abcdef", chosen_rate=2.5)
    printed = run("status")
    first, number = active_generation().pk, Generation.objects.get(pack="other").pk
    assert f"Generation {number}: building" in printed
    assert f"Generation {first}: active" in printed
    assert "pack other (0123456789ab), collection faces_other_" in printed
    assert "0 of 1 photos done" in printed
    assert "as fast as searches allow, lately 2.5" in printed
    assert "workers: search.other 1, index.other none, reindex.other none" in printed
    assert "gate recall is CLOSED: Match recall has not been measured yet." in printed
    assert printed.count("gate ") == len(GATES)
    assert [each["number"] for each in run_json()] == [number, first]


def test_watching_ends_when_nothing_is_being_built(other_is_known: None, monkeypatch: pytest.MonkeyPatch) -> None:
    run("start", "--pack", "other")
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            Generation.objects.filter(state=State.BUILDING).update(state=State.READY)

    monkeypatch.setattr(reindex.time, "sleep", pause)
    printed = run("status", "--watch")
    assert (printed.count(": building"), printed.count(": ready")) == (2, 1)


def test_from_start_to_drop(other_is_known: None) -> None:
    first, number = active_generation().pk, run_json("start", "--pack", "other")["number"]
    assert run_json("pause")["is_paused"]
    assert not run_json("resume", number)["is_paused"]
    assert run_json("rate", 2)["rate_limit"] == 2
    assert run_json("rate", "auto", number)["rate_limit"] is None
    with pytest.raises(CommandError, match="is not activated"):
        run("activate")
    assert "is searched now" in run("activate", "--override", *GATES)
    assert run_json("rollback", "--override", "workers")["number"] == first
    with pytest.raises(CommandError, match="cannot be dropped"):
        run("drop", first)
    assert run_json("drop", number) == {"number": number, "warning": ""}


def test_search_parameters_are_changed_while_it_is_searched(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.COLLECTION_CONFIG = {"INDEX_TYPE": "IVF_FLAT"}
    assert "Searching with nprobe=9 until its match recall" in run("set", "--search-params", '{"nprobe": 9}')
    assert "search parameters: Searching with nprobe=9" in run("status")
    assert active_generation().search_params == {"nprobe": 9}
    found = run_json("set", active_generation().pk, "--search-params", "{}", "--confirm")
    assert (found["trial"]["state"], found["trial"]["is_confirmed"]) == ("running", True)

    def settle(seconds: float) -> None:
        Trial.objects.update(state=Trial.State.KEPT, recall_after=0.995)

    monkeypatch.setattr(reindex.time, "sleep", settle)
    assert "Kept nprobe=8: searches find 99.50%" in run("set", "--search-params", '{"nprobe": 8}', "--wait")


def test_waiting_for_parameters_that_are_undone_fails(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.COLLECTION_CONFIG = {"INDEX_TYPE": "IVF_FLAT"}
    monkeypatch.setattr(reindex.time, "sleep", lambda seconds: Trial.objects.update(state=Trial.State.UNDONE))
    with pytest.raises(CommandError, match="--confirm keeps the new ones"):
        run("set", "--search-params", '{"nprobe": 8}', "--wait")


def test_waiting_for_the_parameters_of_a_generation_that_is_dropped_fails(
    other_is_known: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = active_generation().pk
    run("start", "--pack", "other")
    run("activate", "--override", *GATES)
    monkeypatch.setattr(reindex.time, "sleep", lambda seconds: Generation.objects.filter(pk=first).delete())
    with pytest.raises(CommandError, match="was dropped"):
        run("set", first, "--search-params", "{}", "--wait")


def test_a_drop_while_the_queue_is_down_says_when(other_is_known: None, queue: WatchedQueue) -> None:
    number = run_json("start", "--pack", "other")["number"]
    queue.is_down = True
    assert "once the queue is back" in run("drop", number)


# -- workers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_path", [False, True])
def test_workers_of_a_pack_are_the_procfiles_with_its_name(
    monkeypatch: pytest.MonkeyPatch, settings: Any, tmp_path: Path, is_path: bool
) -> None:
    settings.FACE_CONFIG = {"PACKS_DIR": str(tmp_path)}
    folder = make_pack(tmp_path / "mine")
    pack = f"{folder}/" if is_path else folder.name
    started: list[tuple[list[local.LocalProcess], dict[str, str]]] = []

    def run_processes(processes: list[local.LocalProcess], environment: dict[str, str]) -> int:
        started.append((processes, environment))
        return 3

    monkeypatch.setattr(workers, "run_processes", run_processes)
    with pytest.raises(SystemExit) as ended:
        call_command("workers", pack)
    assert ended.value.code == 3
    [(processes, environment)] = started
    assert {process.name for process in processes} == {"worker-search", "worker-index", "worker-reindex"}
    assert (Path(environment["FACE_PACK"]), environment["PACK_NAME"]) == (Path(pack), "mine")


def test_a_service_has_a_re_index_worker_of_its_own_pack() -> None:
    [process] = [each for each in local.local_processes(local.settings.PORTS) if each.name == "worker-reindex"]
    assert '--queues "reindex.$PACK_NAME"' in process.command
    assert "$REINDEX_CONCURRENCY" in process.command
