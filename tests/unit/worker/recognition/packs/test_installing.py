"""A pack is installed whole and verified, from wherever it comes, or not at all."""

import errno
import hashlib
import stat
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.unit.worker.recognition.synthetic_packs import detector_graph, make_pack
from worker.config import FaceConfig
from worker.errors import PackDamaged, PackError, PackMissing
from worker.recognition.packs import catalogue, downloads, installing
from worker.recognition.packs.catalogue import pack_of_kind
from worker.recognition.packs.entries import KnownFile, KnownPack
from worker.recognition.packs.files import models_in
from worker.recognition.packs.installing import install
from worker.recognition.packs.loading import load_pack

#: A pack is known by its sums, so any two small files will do.
FILES = {"det.onnx": detector_graph(), "rec.onnx": detector_graph(landmarks=False)}


class Handler(SimpleHTTPRequestHandler):
    """Serves a folder; /redirect/X leads to what X says, /cut/X promises more than it sends."""

    def do_GET(self) -> None:
        if self.path.startswith("/redirect/"):
            self.send_response(302)
            self.send_header("Location", self.path.removeprefix("/redirect/"))
            self.end_headers()
        elif self.path.startswith("/cut/"):
            content = (Path(self.directory) / self.path.removeprefix("/cut/")).read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[:-10])
        else:
            super().do_GET()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """The folder that the server serves: the files, and archives of them."""
    folder = tmp_path / "published"
    folder.mkdir()
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    pack_archive(folder / "small.zip", {"genderage.onnx": b"another model", **FILES})
    return folder


@pytest.fixture
def server(published: Path) -> Iterator[str]:
    served = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(published)))
    thread = threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{served.server_port}"
    served.shutdown()
    thread.join()
    served.server_close()


@pytest.fixture
def packs(tmp_path: Path) -> Path:
    return tmp_path / "packs"


@pytest.fixture
def small(server: str, published: Path, monkeypatch: pytest.MonkeyPatch) -> KnownPack:
    """A known pack, published as an archive on this machine."""
    archive = (published / "small.zip").read_bytes()
    pack = known(archive=file_of("small.zip", archive, f"{server}/small.zip"))
    monkeypatch.setitem(catalogue._BY_NAME, "small", pack)
    return pack


def known(*, archive: KnownFile | None = None, server: str = "") -> KnownPack:
    files = tuple(file_of(name, content, f"{server}/{name}") for name, content in FILES.items())
    return replace(pack_of_kind("insightface"), name="small", dimension=512, files=files, archive=archive)


def file_of(name: str, content: bytes, url: str) -> KnownFile:
    return KnownFile(name=name, size_bytes=len(content), sha256=hashlib.sha256(content).hexdigest(), url=url)


def pack_archive(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def content_of(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def names_in(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


# -- where it comes from --


def test_an_archive_is_fetched_from_where_the_catalogue_says(packs: Path, small: KnownPack) -> None:
    arrived: list[int] = []

    folder = install("small", packs, advance=arrived.append)

    assert folder == packs / "small"
    assert content_of(folder) == FILES
    assert small.archive is not None
    assert sum(arrived) == small.archive.size_bytes
    assert names_in(packs) == ["small"]


def test_files_published_by_themselves_are_fetched_one_by_one(
    packs: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(catalogue._BY_NAME, "small", known(server=server))

    assert content_of(install("small", packs)) == FILES


@pytest.mark.parametrize(
    "source", ["{published}", "{published}/small.zip", "{server}", "{server}/", "{server}/small.zip"]
)
def test_a_folder_an_archive_and_an_address_of_either_will_do(
    packs: Path, small: KnownPack, server: str, published: Path, source: str
) -> None:
    folder = install("small", packs, sources=[source.format(published=published, server=server)])

    assert content_of(folder) == FILES


def test_a_source_may_have_the_pack_in_a_folder_of_its_name(packs: Path, small: KnownPack, tmp_path: Path) -> None:
    inner = {f"small/{name}": content for name, content in FILES.items()}
    archive = pack_archive(tmp_path / "x.zip", {**inner, "other/det.onnx": b"x", "__MACOSX/small/._det.onnx": b"x"})
    with zipfile.ZipFile(archive) as unpacked:
        unpacked.extractall(tmp_path / "models")

    assert content_of(install("small", packs, sources=[str(archive)])) == FILES
    assert content_of(install("small", packs, sources=[str(tmp_path / "models")], replace=True)) == FILES


def test_licences_come_along_and_nothing_else(packs: Path, small: KnownPack, tmp_path: Path) -> None:
    others = {"LICENSE": b"may", "README.txt": b"read", "run.sh": b"rm", "2d106det.onnx": b"x", ".hidden.txt": b"x"}
    others["manifest.json"] = b"{}"
    archive = pack_archive(tmp_path / "x.zip", FILES | others)

    folder = install("small", packs, sources=[str(archive)])

    assert names_in(folder) == ["LICENSE", "README.txt", "det.onnx", "rec.onnx"]


def test_a_pack_that_nobody_knows_is_taken_whole_and_can_be_loaded(packs: Path, tmp_path: Path) -> None:
    models = content_of(make_pack(tmp_path / "models"))
    files = models | {"one/.facequeue/repaired.onnx": b"made from it elsewhere"}
    archive = pack_archive(tmp_path / "x.zip", {f"root/{name}": content for name, content in files.items()})

    install("mine", packs, sources=[str(archive)])
    pack = load_pack(FaceConfig(packs_dir=packs, pack="mine"))
    for model in pack.models:
        model.close()

    assert pack.name == "mine"
    assert sorted(models_in(packs / "mine")) == sorted(models)


# -- what is refused --


@pytest.mark.parametrize(
    ("name", "source", "sentence"),
    [
        ("nobody", "", "--from"),
        ("nobody", "https://example.org/files", r"\.zip"),
        ("../x", "/tmp", "cannot be a pack"),
        (".x", "/tmp", "cannot be a pack"),
        ("", "/tmp", "cannot be a pack"),
        ("small", "/no/such/place", "There is no /no/such/place"),
        ("small", "http://example.org/small.zip", "https"),
        ("small", "ftp://example.org/small.zip", "https"),
        ("small", "file:///etc/passwd.zip", "https"),
    ],
)
def test_what_cannot_be_a_pack_is_refused_with_a_sentence(
    packs: Path, small: KnownPack, name: str, source: str, sentence: str
) -> None:
    with pytest.raises(PackError, match=sentence):
        install(name, packs, sources=[source] if source else [])

    assert not packs.exists() or names_in(packs) == []


@pytest.mark.parametrize(
    ("files", "error", "sentence"),
    [
        pytest.param({"det.onnx": FILES["det.onnx"]}, PackMissing, r"lacks rec\.onnx", id="incomplete"),
        pytest.param(FILES | {"rec.onnx": b"other"}, PackDamaged, r"rec\.onnx is not what was published", id="other"),
        pytest.param(FILES | {"../rec.onnx": b""}, PackDamaged, "lead out", id="a way up"),
        pytest.param(FILES | {"/etc/x.onnx": b""}, PackDamaged, "lead out", id="absolute"),
        pytest.param(FILES | {"a\\..\\x.onnx": b""}, PackDamaged, "lead out", id="backslash"),
        pytest.param(FILES | {"c:x.onnx": b""}, PackDamaged, "lead out", id="drive"),
    ],
)
def test_an_archive_that_is_not_right_installs_nothing(
    packs: Path, small: KnownPack, tmp_path: Path, files: dict[str, bytes], error: type[PackError], sentence: str
) -> None:
    archive = pack_archive(tmp_path / "x.zip", files)

    with pytest.raises(error, match=sentence):
        install("small", packs, sources=[str(archive)])

    assert names_in(packs) == []
    assert names_in(tmp_path) == ["packs", "published", "x.zip"]


def test_an_archive_with_a_link_installs_nothing(packs: Path, small: KnownPack, tmp_path: Path) -> None:
    archive = pack_archive(tmp_path / "x.zip", FILES)
    link = zipfile.ZipInfo("det2.onnx")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(archive, "a") as opened:
        opened.writestr(link, "/etc/passwd")

    with pytest.raises(PackDamaged, match="lead out"):
        install("small", packs, sources=[str(archive)])


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_archive_with_two_files_of_a_name_installs_nothing(packs: Path, small: KnownPack, tmp_path: Path) -> None:
    archive = pack_archive(tmp_path / "x.zip", FILES)
    with zipfile.ZipFile(archive, "a") as opened:
        opened.writestr("det.onnx", b"other")

    with pytest.raises(PackDamaged, match="two files"):
        install("small", packs, sources=[str(archive)])


def test_an_archive_that_unpacks_to_too_much_installs_nothing(
    packs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installing, "MAX_PACK_BYTES", 100_000)
    archive = pack_archive(tmp_path / "x.zip", {"a.onnx": bytes(90_000), "b.onnx": bytes(90_000)})
    assert archive.stat().st_size < 10_000

    with pytest.raises(PackDamaged, match="more than"):
        install("mine", packs, sources=[str(archive)])

    assert names_in(packs) == []


@pytest.mark.parametrize("content", [b"", b"no archive", "cut", "changed"])
def test_a_broken_archive_installs_nothing(
    packs: Path, small: KnownPack, published: Path, tmp_path: Path, content: bytes | str
) -> None:
    whole = (published / "small.zip").read_bytes()
    changed = whole[:-1000] + bytes(300) + whole[-700:]
    archive = tmp_path / "x.zip"
    archive.write_bytes({"cut": whole[:-500], "changed": changed}.get(content, content))  # type: ignore[arg-type]

    with pytest.raises(PackDamaged):
        install("small", packs, sources=[str(archive)])

    assert names_in(packs) == []


@pytest.mark.parametrize("content", [b"version https://git-lfs.github.com/spec/v1\n", b""])
def test_without_a_published_sum_a_file_must_at_least_be_onnx(packs: Path, tmp_path: Path, content: bytes) -> None:
    folder = make_pack(tmp_path / "mine")
    (folder / "rec.onnx").write_bytes(content)

    with pytest.raises(PackDamaged, match=r"rec\.onnx"):
        install("mine", packs, sources=[str(folder)])


def test_a_folder_without_two_models_is_no_pack(packs: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "det.onnx").write_bytes(FILES["det.onnx"])

    with pytest.raises(PackMissing, match=r"a detector .* and a recognizer"):
        install("mine", packs, sources=[str(tmp_path / "mine")])


# -- the network --


def test_without_a_network_the_way_by_hand_is_said(
    packs: Path, small: KnownPack, monkeypatch: pytest.MonkeyPatch
) -> None:
    unreachable = file_of("small.zip", b"x", "http://127.0.0.1:9/small.zip")  # the port "discard": nobody listens
    monkeypatch.setitem(catalogue._BY_NAME, "small", known(archive=unreachable))

    with pytest.raises(PackError, match=r"http://127\.0\.0\.1:9/small\.zip cannot be fetched.*--from") as caught:
        install("small", packs)

    assert caught.value.code == "pack"
    assert names_in(packs) == []


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("missing.zip", "404"),
        ("cut/small.zip", "cut short"),
        ("redirect/http://example.org/small.zip", "https"),
        ("redirect/file:///small.zip", "not allowed"),
    ],
)
def test_what_a_server_does_wrong_is_said(packs: Path, small: KnownPack, server: str, path: str, sentence: str) -> None:
    with pytest.raises(PackError, match=sentence):
        install("small", packs, sources=[f"{server}/{path}"])

    assert names_in(packs) == []


def test_a_redirection_on_this_machine_is_followed(packs: Path, small: KnownPack, server: str) -> None:
    assert content_of(install("small", packs, sources=[f"{server}/redirect//small.zip"])) == FILES


@pytest.mark.parametrize("change", ["longer", "other"])
def test_a_download_that_is_not_what_was_published_is_not_installed(
    packs: Path, small: KnownPack, published: Path, change: str
) -> None:
    archive = published / "small.zip"
    content = archive.read_bytes()
    archive.write_bytes(content + b"more" if change == "longer" else content[:-1] + b"x")

    with pytest.raises(PackDamaged):
        install("small", packs)

    assert names_in(packs) == []


def test_an_address_on_another_machine_is_taken_by_https_only() -> None:
    for url in ("https://example.org/x", "http://127.0.0.1:1/x", "http://[::1]/x", "http://localhost/x"):
        downloads._check_address(url)
    for url in ("http://example.org/x", "http://127.0.0.1.example.org/x", "http://localhost@example.org/x", "x"):
        with pytest.raises(PackError):
            downloads._check_address(url)


# -- in place --


def test_an_installed_pack_is_only_replaced_when_asked(packs: Path, small: KnownPack) -> None:
    (packs / "small").mkdir(parents=True)
    (packs / "small" / "mine.onnx").write_bytes(b"mine")

    with pytest.raises(PackError, match="--force"):
        install("small", packs)
    assert names_in(packs / "small") == ["mine.onnx"]

    assert content_of(install("small", packs, replace=True)) == FILES
    assert names_in(packs) == ["small"]


def test_an_installed_pack_stays_when_its_replacement_is_bad(packs: Path, small: KnownPack, published: Path) -> None:
    install("small", packs)
    (published / "det.onnx").write_bytes(b"bad")

    with pytest.raises(PackDamaged):
        install("small", packs, sources=[str(published)], replace=True)

    assert content_of(packs / "small") == FILES
    assert names_in(packs) == ["small"]


def test_an_installed_pack_comes_back_when_the_new_one_cannot_take_its_place(
    packs: Path, small: KnownPack, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("small", packs)
    rename = Path.rename

    def full(path: Path, target: Path) -> Path:
        if path.parent.name.startswith(".fetch-"):
            raise OSError(errno.ENOSPC, "No space left on device", str(target))
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(PackError, match="No space left"):
        install("small", packs, replace=True)

    assert content_of(packs / "small") == FILES
    assert names_in(packs) == ["small"]


def test_a_link_to_a_folder_is_replaced_and_the_folder_stays(packs: Path, small: KnownPack, published: Path) -> None:
    packs.mkdir()
    (packs / "small").symlink_to(published)

    install("small", packs, replace=True)

    assert content_of(packs / "small") == FILES
    assert (published / "small.zip").exists()
    assert not (packs / "small").is_symlink()


@pytest.mark.parametrize("kind", ["file", "link to nothing"])
def test_whatever_is_in_the_place_of_a_pack_is_only_replaced_when_asked(
    packs: Path, small: KnownPack, tmp_path: Path, kind: str
) -> None:
    packs.mkdir()
    if kind == "file":
        (packs / "small").write_bytes(b"")
    else:
        (packs / "small").symlink_to(tmp_path / "nothing")

    with pytest.raises(PackError, match="exists already; --force replaces it"):
        install("small", packs)
    install("small", packs, replace=True)

    assert content_of(packs / "small") == FILES
    assert names_in(packs) == ["small"]


def test_what_a_killed_fetch_left_is_cleared_by_the_next(packs: Path, small: KnownPack) -> None:
    (packs / ".fetch-other" / "arrived").mkdir(parents=True)
    (packs / ".replaced-lost").mkdir()  # killed between the two renames: the pack comes back
    (packs / ".replaced-kept").mkdir()
    (packs / ".fetch-file").write_bytes(b"")
    (packs / "kept").mkdir()

    install("small", packs)

    assert names_in(packs) == ["kept", "lost", "small"]


#: Starts a fetch that says when it has begun and then never ends.
HANGING_FETCH = """
import sys, time
from pathlib import Path
from worker.recognition.packs import installing
def hang(*_): print("begun", flush=True); time.sleep(600)
installing._fill = hang
installing.install("mine", Path(sys.argv[1]), sources=["/"])
"""


def test_two_fetches_at_once_do_no_harm_and_a_killed_one_blocks_nobody(packs: Path, small: KnownPack) -> None:
    with subprocess.Popen([sys.executable, "-c", HANGING_FETCH, str(packs)], stdout=subprocess.PIPE) as other:
        try:
            assert other.stdout is not None
            assert other.stdout.readline() == b"begun\n"
            with pytest.raises(PackError, match="Another fetch is running"):
                install("small", packs)
            [left] = names_in(packs)
            assert left.startswith(".fetch-mine-")
        finally:
            other.kill()

    install("small", packs)

    assert names_in(packs) == ["small"]


def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path: Path, small: KnownPack) -> None:
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(PackError, match=r"cannot be installed: Not a directory"):
        install("small", tmp_path / "file" / "packs")
