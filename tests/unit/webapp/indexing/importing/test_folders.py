"""What is in a folder: all of it, each once, and nothing that makes an import wait."""

import os
import socket
from collections import Counter
from pathlib import Path

import pytest

from tests.unprivileged import no_reading_of_anything
from webapp.indexing.importing.folders import Item, Result, folder_items, open_file


def write(root: Path, *places: str) -> None:
    for place in places:
        path = root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"content of " + os.fsencode(place))


def found(root: Path) -> dict[str, Item]:
    items = list(folder_items(root))
    assert [place for place, count in Counter(item.place for item in items).items() if count > 1] == []
    return {item.place: item for item in items}


def codes(root: Path) -> dict[str, str]:
    """Return each item's code; of those without one, the result; "picture" for those that are to be added."""
    return {place: item.why.code if item.why else item.result or "picture" for place, item in found(root).items()}


def test_everything_in_a_folder_is_one_item(tmp_path: Path) -> None:
    write(tmp_path, "b.jpg", "a/c.PNG", "a/notes.txt", "a/d/e.heic", ".DS_Store", ".cache/f.jpg", "g.NEF", "h.dng")
    (tmp_path / "empty").mkdir()
    assert codes(tmp_path) == {
        ".DS_Store": "hidden",
        ".cache": "hidden",
        "b.jpg": "picture",
        "g.NEF": "picture",
        "h.dng": "picture",
        "a": "folder",
        "a/c.PNG": "picture",
        "a/notes.txt": "no_picture",
        "a/d": "folder",
        "a/d/e.heic": "picture",
        "empty": "folder",
    }


def test_items_are_sorted_by_name_and_files_come_before_the_folders_beside_them(tmp_path: Path) -> None:
    write(tmp_path, "b/2.jpg", "b/1.jpg", "a/3.jpg", "z.jpg")
    assert list(found(tmp_path)) == ["z.jpg", "a", "a/3.jpg", "b", "b/1.jpg", "b/2.jpg"]


@pytest.mark.parametrize(
    ("beginning", "is_picture"),
    [
        pytest.param(b"\xff\xd8\xff\xe0", True, id="JPEG"),
        pytest.param(b"\x89PNG\r\n\x1a\n", True, id="PNG"),
        pytest.param(b"GIF89a", True, id="GIF"),
        pytest.param(b"MM\0*", True, id="TIFF"),
        pytest.param(b"RIFF\0\0\0\0WEBP", True, id="WebP"),
        pytest.param(b"RIFF\0\0\0\0WAVE", False, id="sound"),
        pytest.param(b"\0\0\0\x18ftypheic", True, id="HEIC"),
        pytest.param(b"\0\0\0\x18ftypisom", False, id="video"),
        pytest.param(b"", False, id="empty"),
    ],
)
def test_a_file_whose_name_says_nothing_is_known_by_its_beginning(
    tmp_path: Path, beginning: bytes, is_picture: bool
) -> None:
    (tmp_path / "recovered").write_bytes(beginning)
    (tmp_path / "a.bak").write_bytes(beginning)
    assert set(codes(tmp_path).values()) == {"picture" if is_picture else "no_picture"}


def test_nothing_that_waits_for_somebody_is_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link.jpg").symlink_to("pipe")
    (tmp_path / "null.jpg").symlink_to("/dev/null")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s.jpg"))
        assert codes(tmp_path) == {
            "link.jpg": "pipe",
            "null.jpg": "device",
            "pipe": "pipe",
            "pipe.jpg": "pipe",
            "s.jpg": "socket",
        }


def test_a_file_that_has_become_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jpg")
    with pytest.raises(OSError, match="not a regular file"):
        open_file(str(tmp_path / "a.jpg"))


def test_a_folder_that_cannot_be_read_is_left_out_and_the_others_are_read(tmp_path: Path) -> None:
    write(tmp_path, "a/1.jpg", "closed/2.jpg", "z/3.jpg", "secret")
    (tmp_path / "closed").chmod(0)
    (tmp_path / "secret").chmod(0)
    with no_reading_of_anything():
        items = found(tmp_path)
    assert items["closed"].result == Result.LEFT_OUT
    assert items["closed"].why is not None
    assert items["closed"].why.message == "The folder cannot be read: Permission denied."
    assert items["closed"].why.may_be_missed
    assert items["secret"].why is not None
    assert items["secret"].why.code == "file_unreadable"
    assert {"a/1.jpg", "z/3.jpg"} <= set(items)


def test_a_root_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0)
    with no_reading_of_anything(), pytest.raises(PermissionError):
        list(folder_items(tmp_path / "closed"))


def test_links_to_files_are_followed(tmp_path: Path) -> None:
    write(tmp_path, "a.jpg")
    (tmp_path / "b.jpg").symlink_to("a.jpg")
    (tmp_path / "broken.jpg").symlink_to("nowhere.jpg")
    (tmp_path / "itself.jpg").symlink_to("itself.jpg")
    assert codes(tmp_path) == {
        "a.jpg": "picture",
        "b.jpg": "picture",
        "broken.jpg": "link_broken",
        "itself.jpg": "link_broken",
    }


def test_a_linked_folder_is_read_once_under_its_real_name(tmp_path: Path) -> None:
    write(tmp_path / "in", "z/1.jpg")
    write(tmp_path / "out", "2.jpg", "deep/3.jpg")
    (tmp_path / "in" / "a").symlink_to("z")
    (tmp_path / "in" / "b").symlink_to(tmp_path / "out")
    (tmp_path / "in" / "c").symlink_to(tmp_path / "out" / "deep")
    assert codes(tmp_path / "in") == {
        "z": "folder",
        "z/1.jpg": "picture",
        "a": "folder_again",
        "b": "folder",
        "b/2.jpg": "picture",
        "b/deep": "folder",
        "b/deep/3.jpg": "picture",
        "c": "folder_again",
    }


def test_links_in_a_circle_are_noticed(tmp_path: Path) -> None:
    write(tmp_path / "in", "a/1.jpg")
    write(tmp_path / "out", "2.jpg")
    write(tmp_path, "not_asked_for.jpg")
    (tmp_path / "in" / "a" / "up").symlink_to("..")
    (tmp_path / "in" / "a" / "above").symlink_to(tmp_path)
    (tmp_path / "in" / "other").symlink_to(tmp_path / "out")
    (tmp_path / "out" / "itself").symlink_to(tmp_path / "out")
    (tmp_path / "out" / "back").symlink_to(tmp_path / "in")
    assert codes(tmp_path / "in") == {
        "a": "folder",
        "a/1.jpg": "picture",
        "a/above": "link_cycle",
        "a/up": "link_cycle",
        "other": "folder",
        "other/2.jpg": "picture",
        "other/itself": "link_cycle",
        "other/back": "folder_again",
    }


def test_names_of_any_bytes_are_found(tmp_path: Path) -> None:
    names = [b"caf\xe9.jpg", b"e\xcc\x81.jpg", b"\xff\xfe.jpg", b"line\nbreak.jpg", b"\x1b[31m.jpg"]
    for name in names:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(name)
    assert {os.fsencode(place) for place in found(tmp_path)} == set(names)


def test_a_path_that_the_system_does_not_take_is_left_out(tmp_path: Path) -> None:
    here = os.open(tmp_path, os.O_RDONLY)
    try:
        for _ in range(30):
            os.mkdir("d" * 200, dir_fd=here)
            below = os.open("d" * 200, os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = below
    finally:
        os.close(here)
    *folders, last = folder_items(tmp_path)
    assert {item.result for item in folders} == {Result.FOLDER}
    assert last.why is not None
    assert (last.result, last.why.code) == (Result.LEFT_OUT, "file_unreadable")
