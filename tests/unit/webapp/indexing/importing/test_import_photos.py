"""`import_photos`: it accounts for all that it finds, and says in one sentence what goes wrong."""

import errno
import io
import itertools
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.storage import FileSystemStorage
from django.core.management import CommandError, call_command
from django.db import OperationalError

from tasks import clock
from tasks.health.reports import WorkerReport
from tests.unit.webapp.conftest import WatchedQueue, face_info, failed, indexed, record, report_of
from tests.unprivileged import no_reading_of_anything
from webapp.gallery import services
from webapp.gallery.models import Gallery, Photo
from webapp.indexing.importing import telling, waiting
from webapp.indexing.importing.folders import NO_PICTURE, Item, Result
from webapp.indexing.management.commands import import_photos
from webapp.jobs.models import Job
from webapp.jobs.services import job_cancel, jobs_finish


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three pictures (one in a folder below, one with an odd suffix), two other files, and two hidden items."""
    root = tmp_path / "pictures"
    (root / "below").mkdir(parents=True)
    (root / ".hidden").mkdir()
    for name in ("a.jpg", "below/b.PNG", "c.svg", "notes.txt", "README", ".d.jpg", ".hidden/e.jpg"):
        (root / name).write_bytes(name.encode())
    return root


@pytest.fixture(autouse=True)
def quick_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "POLL_SECONDS", 0.01)


def run(*arguments: Any, **options: Any) -> str:
    out = io.StringIO()
    call_command(*map(str, arguments), stdout=out, stderr=io.StringIO(), **options)
    return out.getvalue()


def test_a_folder_is_imported_with_all_below_it(folder: Path, gallery: Gallery) -> None:
    printed = run("import_photos", folder, "--gallery", "Friends")
    assert {photo.filename for photo in gallery.photos.all()} == {"a.jpg", "b.PNG", "c.svg"}
    assert "Gallery Friends: 3 added, 0 already there." in printed
    assert "Now: 3 pending." in printed
    assert "Not added: 0 refused, 0 left out, 4 skipped. Folders below: 1." in printed
    assert "Skipped, no pictures (2):" in printed
    assert "notes.txt: Neither its name nor its beginning is that of a picture. (no_picture)" in printed
    assert "Skipped, hidden (2):" in printed
    assert {photo.filename: photo.folder for photo in gallery.photos.all()} == {
        "a.jpg": "",
        "b.PNG": "below",
        "c.svg": "",
    }


def test_run_twice_it_adds_nothing_twice(folder: Path, gallery: Gallery, queue: WatchedQueue) -> None:
    run("import_photos", folder, "--gallery", "Friends")
    sent = len(queue.indexed)
    summary = json.loads(run("import_photos", folder, "--gallery", "Friends", "--json"))
    assert (summary["added"], summary["already_there"]) == (0, 3)
    assert len(queue.indexed) == sent
    assert gallery.photos.count() == 3


def test_waiting_ends_with_the_outcomes(
    folder: Path, gallery: Gallery, queue: WatchedQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(_: float) -> None:
        for photo in Photo.objects.filter(state="pending")[:1]:
            outcome = failed(photo) if photo.filename == "c.svg" else indexed(photo, face_info())
            record(gallery, outcome)

    monkeypatch.setattr(waiting.time, "sleep", answer)
    out = io.StringIO()
    with pytest.raises(CommandError, match=r"^1 failed: the summary says why") as caught:
        call_command("import_photos", str(folder), "--gallery", "Friends", "--wait", stdout=out)
    assert caught.value.returncode == import_photos.MISSED
    printed = out.getvalue()
    assert "Now: 2 indexed, 1 failed." in printed
    assert "c.svg: This file is not a picture. (not_an_image)" in printed


def test_an_import_is_one_job(folder: Path, gallery: Gallery, settings: Any) -> None:
    settings.INDEX_CHUNK_SIZE = 1
    printed = run("import_photos", folder, "--gallery", "Friends")
    job = Job.objects.get()
    assert (job.total, job.state, job.open_until) == (3, "running", None)
    assert f"Job {job.id}" in printed


def test_waiting_ends_when_somebody_cancels_the_job(
    folder: Path, gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting.time, "sleep", lambda _: job_cancel(job=Job.objects.get()))
    out = io.StringIO()
    with pytest.raises(CommandError, match=r"^3 cancelled: the summary says why") as caught:
        call_command("import_photos", str(folder), "--gallery", "Friends", "--wait", "--json", stdout=out)
    assert caught.value.returncode == import_photos.MISSED
    outcomes = json.loads(out.getvalue())["outcomes"]
    assert (outcomes["cancelled"], outcomes["failed"]) == (3, 0)


def test_every_picture_is_accounted_for_when_the_job_is_cancelled_while_it_is_filled(
    folder: Path, gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cancel_after_the_first(path: str) -> io.BufferedReader:
        if job := Job.objects.first():
            job_cancel(job=job)
        return open(path, "rb")

    monkeypatch.setattr(import_photos, "open_file", cancel_after_the_first)
    out = io.StringIO()
    with pytest.raises(CommandError, match="Run the command again for the other 3 pictures"):
        call_command("import_photos", str(folder), "--gallery", "Friends", "--json", stdout=out)
    items = json.loads(out.getvalue())["items"]
    assert [item["path"] for item in items if item["code"] == "stopped"] == ["a.jpg", "c.svg", "below/b.PNG"]


def test_waiting_without_a_worker_ends_with_a_sentence(folder: Path, gallery: Gallery) -> None:
    with pytest.raises(
        CommandError, match=r"No worker answered within 0\.05 seconds; 3 photos are still pending"
    ) as caught:
        run("import_photos", folder, "--gallery", "Friends", "--wait", "--timeout", "0.05")
    assert caught.value.returncode == import_photos.STILL_PENDING


def test_a_queue_that_is_down_stops_the_import(
    folder: Path, gallery: Gallery, queue: WatchedQueue, settings: Any
) -> None:
    settings.INDEX_CHUNK_SIZE = 1
    queue.is_down = True
    sentence = r"The queue does not answer; the work is saved.* Run the command again for the other 2 pictures\."
    with pytest.raises(CommandError, match=sentence) as caught:
        run("import_photos", folder, "--gallery", "Friends", "--wait")
    assert caught.value.returncode == 1
    assert gallery.photos.count() == 1, "it does not ask the dead queue for every chunk"


def test_a_full_disk_stops_the_import_with_the_summary(
    folder: Path, gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(FileSystemStorage, "_save", full)
    out = io.StringIO()
    with pytest.raises(CommandError, match="Run the command again for the other 3 pictures"):
        call_command("import_photos", str(folder), "--gallery", "Friends", "--json", stdout=out)
    items = json.loads(out.getvalue())["items"]
    assert [item["path"] for item in items if item["code"] == "stopped"] == ["a.jpg", "c.svg", "below/b.PNG"]


def test_a_file_that_cannot_be_read_stops_nothing(folder: Path, gallery: Gallery) -> None:
    (folder / "broken.jpg").symlink_to(folder / "nowhere.jpg")
    (folder / "secret.jpg").write_bytes(b"secret")
    (folder / "secret.jpg").chmod(0)
    out = io.StringIO()
    with no_reading_of_anything(), pytest.raises(CommandError, match="2 not in the gallery that should be") as caught:
        call_command("import_photos", str(folder), "--gallery", "Friends", stdout=out)
    assert caught.value.returncode == import_photos.MISSED
    assert "3 added" in out.getvalue()
    assert "broken.jpg: The link leads nowhere. (link_broken)" in out.getvalue()
    assert "secret.jpg: The file cannot be read: Permission denied. (file_unreadable)" in out.getvalue()


def test_a_duplicate_names_the_photo_that_is_there(folder: Path, gallery: Gallery) -> None:
    (folder / "z").mkdir()
    (folder / "z" / "copy.jpg").write_bytes(b"below/b.PNG")
    printed = run("import_photos", folder, "--gallery", "Friends")
    assert "Already there under another name (1):\n  z/copy.jpg is the photo below/b.PNG\n" in printed
    again = run("import_photos", folder, "--gallery", "Friends")
    assert "0 added, 4 already there." in again
    assert "a.jpg" not in again, "what is there under its own name needs no words"


def test_a_folder_with_everything_in_it_is_accounted_for(tmp_path: Path, gallery: Gallery) -> None:
    """It must show: a pipe, links in a circle, an unreadable folder, names of all kinds, a duplicate, 500 photos."""
    root = tmp_path / "archive"
    for number in range(500):
        path = root / f"{number % 10}" / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"photo %d" % number)
    os.mkfifo(root / "pipe.jpg")
    (root / "linked").symlink_to(tmp_path / "outside")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "far.jpg").write_bytes(b"far")
    (tmp_path / "outside" / "back").symlink_to(tmp_path / "outside")
    (root / "again").symlink_to("1")
    (root / "closed").mkdir()
    (root / "closed" / "lost.jpg").write_bytes(b"lost")
    (root / "closed").chmod(0)
    for name in (b"caf\xe9.jpg", b"e\xcc\x81te\xcc\x81.jpg"):
        Path(os.fsdecode(os.fsencode(root) + b"/" + name)).write_bytes(name)
    (root / "copy.jpg").write_bytes(b"photo 7")
    (root / "notes.txt").write_bytes(b"words")
    out = io.StringIO()
    with no_reading_of_anything(), pytest.raises(CommandError, match="1 not in the gallery") as caught:
        call_command("import_photos", str(root), "--gallery", "Friends", "--json", stdout=out)
    assert caught.value.returncode == import_photos.MISSED
    assert out.getvalue().isascii()
    summary = json.loads(out.getvalue())
    items = {item["path"]: item for item in summary["items"]}
    assert len(items) == len(summary["items"]) == 500 + 10 + len(os.listdir(root)) - 10 + 2
    assert {path: item["code"] for path, item in items.items() if item["result"] == "left_out"} == {
        "pipe.jpg": "pipe",
        "linked/back": "link_cycle",
        "again": "folder_again",
        "closed": "folder_unreadable",
    }
    assert items["café.jpg"]["path_on_disk"] == "caf%E9.jpg"
    assert items["été.jpg"]["path_on_disk"] == "e%CC%81te%CC%81.jpg"
    duplicates = [item for item in items.values() if item["result"] == "already_there"]
    assert [(item["path"], item["existing"]) for item in duplicates] == [("7/7.jpg", "copy.jpg")]
    expected = {"added": 503, "already_there": 1, "refused": 0, "left_out": 4, "skipped": 1, "folder": 11}
    assert {name: summary[name] for name in expected} == expected
    assert summary["outcomes"] == dict.fromkeys(Photo.State.values, 0) | {"pending": 504}
    assert gallery.photos.filter(filename="café.jpg", folder="").exists()
    assert gallery.photos.get(filename="far.jpg").folder == "linked"
    assert gallery.photos.filter(folder="3").count() == 50


@pytest.mark.parametrize(
    "between",
    [{"place": "notes.txt", "result": Result.SKIPPED, "why": NO_PICTURE}, {"place": "a.jpg"}],
    ids=["no picture", "a duplicate"],
)
def test_a_job_stays_open_while_a_long_stretch_of_the_folder_has_no_new_picture(
    folder: Path, gallery: Gallery, settings: Any, monkeypatch: pytest.MonkeyPatch, between: dict[str, Any]
) -> None:
    settings.INDEX_CHUNK_SIZE = 1

    def slow_items(_: Path) -> Iterator[Item]:
        yield Item(path=str(folder / "a.jpg"), place="a.jpg")
        record(gallery, indexed(gallery.photos.get()))
        Job.objects.update(open_until=clock.utcnow())
        yield Item(path=str(folder / between["place"]), **between)
        jobs_finish()
        yield Item(path=str(folder / "c.svg"), place="c.svg")

    monkeypatch.setattr(import_photos, "folder_items", slow_items)
    monkeypatch.setattr(import_photos, "STAY_OPEN_SECONDS", 0)
    assert "2 added" in run("import_photos", folder, "--gallery", "Friends")
    assert Job.objects.get().total == 2


def test_a_long_list_is_cut_unless_all_of_it_is_asked_for(folder: Path, gallery: Gallery) -> None:
    for number in range(12):
        (folder / f"{number:02}.txt").write_bytes(b"words")
    printed = run("import_photos", folder, "--gallery", "Friends")
    assert "and 4 more; `--verbosity 2` lists all" in printed
    assert "11.txt" not in printed
    everything = run("import_photos", folder, "--gallery", "Friends", verbosity=2)
    lines = [line.split()[0] for line in everything.splitlines()]
    assert (lines.count("skipped"), lines.count("already_there"), lines.count("folder")) == (16, 3, 1)


def test_without_a_terminal_the_wait_says_what_goes_on(
    folder: Path, gallery: Gallery, reports: list[WorkerReport], monkeypatch: pytest.MonkeyPatch
) -> None:
    reports.append(report_of("dlib", "index", is_healthy=False).model_copy(update={"problem": "Milvus is down."}))

    def answer(_: float) -> None:
        for photo in Photo.objects.filter(state="pending")[:1]:
            record(gallery, indexed(photo))

    monkeypatch.setattr(waiting.time, "sleep", answer)
    monkeypatch.setattr(telling, "LINE_SECONDS", 0)
    monkeypatch.setattr(import_photos, "STILL_SECONDS", -1)
    told = io.StringIO()
    call_command("import_photos", str(folder), "--gallery", "Friends", "--wait", stdout=io.StringIO(), stderr=told)
    still = "none in the last 0 s. No index worker is healthy: Milvus is down."
    assert told.getvalue().splitlines() == [
        "3 photos saved",
        *(f"{count} of 3 photos done, {still}" for count in range(4)),
    ]


@pytest.mark.parametrize("is_healthy", [True, False])
def test_the_wait_never_gives_up_while_a_worker_is_alive(
    folder: Path, gallery: Gallery, reports: list[WorkerReport], monkeypatch: pytest.MonkeyPatch, is_healthy: bool
) -> None:
    reports.append(report_of("dlib", "index", is_healthy=is_healthy))
    looks = itertools.count()

    def die_at_last(_: float) -> None:
        if next(looks) == 20:
            reports.clear()

    monkeypatch.setattr(waiting.time, "sleep", die_at_last)
    with pytest.raises(CommandError, match="No worker answered"):
        run("import_photos", folder, "--gallery", "Friends", "--wait", "--timeout", "0")
    assert next(looks) > 20


def test_photos_that_an_earlier_import_has_added_are_waited_for(
    folder: Path, gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("import_photos", folder, "--gallery", "Friends")

    def answer(_: float) -> None:
        record(gallery, *(indexed(photo) for photo in Photo.objects.all()))

    monkeypatch.setattr(waiting.time, "sleep", answer)
    assert "Now: 3 no_faces." in run("import_photos", folder, "--gallery", "Friends", "--wait")


def test_a_folder_without_a_picture_is_accounted_for_too(tmp_path: Path, gallery: Gallery) -> None:
    (tmp_path / "album").mkdir()
    (tmp_path / "album" / "closed").mkdir(mode=0)
    out = io.StringIO()
    with no_reading_of_anything(), pytest.raises(CommandError, match="There are no pictures in") as caught:
        call_command("import_photos", str(tmp_path / "album"), "--gallery", "New", "--create", stdout=out)
    assert caught.value.returncode == import_photos.MISSED
    assert "closed: The folder cannot be read: Permission denied." in out.getvalue()
    assert not Gallery.objects.filter(name="New").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        pytest.param(["nowhere", "--gallery", "Friends"], "There is no folder “nowhere”", id="no folder"),
        pytest.param(["{empty}", "--gallery", "Friends"], "There are no pictures in", id="no pictures"),
        pytest.param(["{folder}", "--gallery", "Foes"], "There is no gallery “Foes”; .*--create", id="no gallery"),
        pytest.param(
            ["{folder}", "--gallery", "Friends", "--owner", "bob"], "There is no user “bob”", id="no such user"
        ),
        pytest.param(
            ["{folder}", "--gallery", "Friends", "--owner", "eve"], "no gallery “Friends” of eve", id="not hers"
        ),
        pytest.param(["{folder}", "--gallery", "New", "--create"], "choose one with --owner", id="whose?"),
    ],
)
def test_what_is_missing_is_said(
    folder: Path, tmp_path: Path, gallery: Gallery, stranger: User, arguments: list[str], sentence: str
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(CommandError, match=sentence):
        run("import_photos", *[argument.format(folder=folder, empty=empty) for argument in arguments])


def test_a_gallery_is_created_on_demand(folder: Path, user: User) -> None:
    for _ in range(2):
        run("import_photos", folder, "--gallery", "New", "--create")
    assert Gallery.objects.get().owner == user


def test_a_gallery_is_found_however_its_name_is_typed(folder: Path, user: User) -> None:
    for name in ("Ren\u00e9", " Rene\u0301\u200b"):
        run("import_photos", folder, "--gallery", name, "--create")
    assert Gallery.objects.get().name == "Ren\u00e9"
    run("import_photos", folder, "--gallery", "Rene\u0301")


def test_a_name_that_two_users_have_asks_for_the_owner(folder: Path, gallery: Gallery, stranger: User) -> None:
    services.gallery_create(owner=stranger, name="Friends")
    with pytest.raises(CommandError, match=r"choose one with --owner \(ada, eve\)"):
        run("import_photos", folder, "--gallery", "Friends")
    run("import_photos", folder, "--gallery", "Friends", "--owner", "ada")
    assert gallery.photos.count() == 3


def test_a_database_that_is_down_is_a_sentence(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise OperationalError("no such table: gallery_gallery")

    monkeypatch.setattr(import_photos, "gallery_named", broken)
    with pytest.raises(CommandError, match=r"The database does not answer .*migrate"):
        run("import_photos", folder, "--gallery", "Friends")
