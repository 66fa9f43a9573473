"""Nothing that the service writes can be read by other users of the machine, although it is started with umask 022."""

import stat
from pathlib import Path

import psutil
import pytest

from tests.pictures import sample_bytes
from tests.service import EVERYTHING, RunningService
from tests.waiting import eventually
from tests.web_client import WebClient

pytestmark = pytest.mark.acceptance


def umasks(pid: int) -> set[str]:
    """The umasks of a process and its children, as the kernel writes them."""
    process = psutil.Process(pid)
    statuses = [Path(f"/proc/{each.pid}/status").read_text() for each in (process, *process.children(recursive=True))]
    return {line.split()[1] for status in statuses for line in status.splitlines() if line.startswith("Umask:")}


def test_every_process_keeps_what_it_writes_to_itself(service: RunningService) -> None:
    found = {name: umasks(service.process(name).pid) for name in EVERYTHING}
    assert found == {name: {"0077"} for name in EVERYTHING}
    flower = service.start("flower")
    try:
        eventually(lambda: umasks(flower.pid) == {"0077"}, "Flower has read the settings")
    finally:
        service.stop("flower")


def test_every_file_is_its_owners_alone(service: RunningService, alice: WebClient) -> None:
    alice.upload(alice.create_gallery("Private"), {"astronaut.png": sample_bytes("astronaut")})
    files = [service.folder, *service.folder.rglob("*")]
    assert {"db.sqlite3", "secret_key", "photos", "redis", "milvus"} <= {file.name for file in files}
    open_to_others = [str(file) for file in files if file.exists() and stat.S_IMODE(file.stat().st_mode) & 0o077]
    assert open_to_others == []
