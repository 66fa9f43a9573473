"""A full disk is an answer: while a body is spooled, while its photos are parsed out of it, while they are stored."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.attacks.hostile import Client
from tests.service import RunningService
from tests.waiting import eventually
from tests.web_client import WebClient

pytestmark = pytest.mark.services

MB = 10**6
#: The sizes of the disks, in bytes.
SPOOL, PHOTOS = 16 * MB, 4 * MB
AS_ROOT = [] if os.geteuid() == 0 else ["sudo", "--non-interactive"]


def mount(folder: Path, byte_count: int) -> None:
    """Make the folder a disk of so many bytes. Skips where that takes rights which we lack; in CI, fails."""
    folder.mkdir(parents=True)
    options = f"size={byte_count},mode=700,uid={os.getuid()},gid={os.getgid()}"
    done = subprocess.run([*AS_ROOT, "mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=False)
    if done.returncode:
        assert not os.environ.get("CI"), "CI must be able to mount a small disk"
        pytest.skip("mounting a small disk takes root's rights")


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    folder = tmp_path_factory.mktemp("full")
    disks = {folder / "uploads": SPOOL, folder / "photos": PHOTOS}
    mounted: list[Path] = []
    try:
        for disk, byte_count in disks.items():
            mount(disk, byte_count)
            mounted.append(disk)
        with RunningService(folder, processes=("redis", "redis-cache", "web")) as running:
            running.create_user()
            yield running
    finally:
        for disk in mounted:
            subprocess.run([*AS_ROOT, "umount", disk], check=True)


@pytest.fixture(scope="module")
def user(full: RunningService) -> Iterator[WebClient]:
    client = WebClient(full.url)
    yield client
    client.close()


@pytest.fixture(scope="module")
def gallery(user: WebClient) -> str:
    return user.create_gallery("Full")


def send(user: WebClient, gallery: str, byte_count: int, *, is_page: bool) -> httpx.Response:
    photo = os.urandom(byte_count)
    if is_page:
        data = {"csrfmiddlewaretoken": user.headers["X-CSRFToken"]}
        return user.http.post(f"/galleries/{gallery}/photos/", data=data, files={"photos": ("a.jpg", photo)})
    files = {"files": ("a.jpg", photo)}
    return user.http.post(f"/api/v1/galleries/{gallery}/photos", files=files, headers=user.headers)


@pytest.mark.parametrize("is_page", [False, True], ids=["API", "page"])
@pytest.mark.parametrize(
    "byte_count",
    [
        pytest.param(SPOOL + MB, id="for the body"),
        pytest.param(SPOOL * 2 // 3, id="for the body and its photo"),
        pytest.param(PHOTOS + MB, id="for the storage"),
    ],
)
def test_no_room_is_a_coded_507_that_leaves_nothing_behind(
    full: RunningService, user: WebClient, gallery: str, byte_count: int, is_page: bool
) -> None:
    answer = send(user, gallery, byte_count, is_page=is_page)
    assert answer.status_code == 507
    assert "The disk of this service is full" in answer.text
    assert is_page or answer.json()["code"] == "storage_full"
    assert "Traceback" not in answer.text
    eventually(lambda: not list((full.folder / "uploads").iterdir()), "nothing is left of the body")
    photos = [file for file in (full.folder / "photos").rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in photos) < PHOTOS // 2


def test_a_disk_that_fills_while_a_body_of_unknown_length_comes_is_a_507(full: RunningService, user: WebClient) -> None:
    cookies = "; ".join(f"{name}={value}" for name, value in user.http.cookies.items())
    with Client(full) as client:
        client.head("POST", "/galleries/1/photos/", "Transfer-Encoding: chunked", f"Cookie: {cookies}")
        client.flood(SPOOL + MB // 2, is_chunked=True)
        assert client.answer()[0] == 507


def test_what_fits_is_taken_when_there_is_room_again(user: WebClient, gallery: str) -> None:
    assert send(user, gallery, MB, is_page=False).status_code == 202
