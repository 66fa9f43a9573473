"""The data directory is its owner's alone, and a secret is made once, whoever is first."""

import multiprocessing
import os
import stat
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path

from webapp.operations.private_files import is_private, kept_secret, private_folder

STARTS, PROCESSES = 60, 4


def start_again_and_again(folder: Path, together: Barrier, found: "Queue[list[str]]") -> None:
    secrets = []
    for number in range(STARTS):
        together.wait()
        secrets.append(kept_secret(folder / str(number) / "secret_key", length_bytes=50))
    found.put(secrets)


def test_in_sixty_first_starts_four_processes_get_the_same_secret_and_all_of_it(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    together, found = spawn.Barrier(PROCESSES), spawn.Queue()
    processes = [
        spawn.Process(target=start_again_and_again, args=(tmp_path, together, found)) for _ in range(PROCESSES)
    ]
    for process in processes:
        process.start()
    secrets = [found.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()
    for same in zip(*secrets, strict=True):
        assert len(set(same)) == 1
        assert len(same[0]) >= 50


def test_a_folder_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    folder = tmp_path / "var"
    folder.mkdir()
    folder.chmod(0o755)
    assert not is_private(folder)
    assert is_private(private_folder(folder))
    assert folder.stat().st_mode & 0o700 == 0o700


def test_only_its_owner_may_read_a_secret(tmp_path: Path) -> None:
    before = os.umask(0o000)
    try:
        kept_secret(tmp_path / "new" / "secret_key", length_bytes=50)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new" / "secret_key").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700


def test_a_file_that_was_left_empty_gets_a_secret(tmp_path: Path) -> None:
    (tmp_path / "secret_key").touch()
    secret = kept_secret(tmp_path / "secret_key", length_bytes=50)
    assert secret
    assert kept_secret(tmp_path / "secret_key", length_bytes=50) == secret
