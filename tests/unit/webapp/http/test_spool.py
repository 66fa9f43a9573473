"""The folder of uploads on their way in."""

from pathlib import Path

from webapp.http.shares import Budget
from webapp.http.spool import Spool


def spool(folder: Path) -> Spool:
    return Spool(folder, memory=Budget(10**6), disk=Budget(10**6), uploads_per_client=1)


def test_what_a_killed_process_left_is_removed_at_the_next_start(tmp_path: Path) -> None:
    (tmp_path / "tmpx.upload.jpg").write_bytes(b"x")
    first = spool(tmp_path)
    first.open()
    assert list(tmp_path.iterdir()) == []
    first.close()
    first.close()


def test_the_files_of_a_process_that_lives_are_left_alone(tmp_path: Path) -> None:
    first, second = spool(tmp_path), spool(tmp_path)
    first.open()
    (tmp_path / "tmpx.upload.jpg").write_bytes(b"x")
    second.open()
    assert len(list(tmp_path.iterdir())) == 1
    first.close()
    second.close()
