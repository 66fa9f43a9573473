"""A pack from Python packages: pip gets the wheels, only the wanted files are taken, and all of them are verified."""

import errno
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.ports import free_port_block
from tests.unit.worker.recognition.packs.small_carriers import (
    ALPHA,
    BETA,
    GRAPHS,
    PackageIndex,
    carrier_of,
    conversion,
    make_wheel,
    sha256,
    small_pack,
)
from worker.errors import PackDamaged, PackError, PackMissing
from worker.recognition.packs import catalogue, pip
from worker.recognition.packs.converted import verified_manifest
from worker.recognition.packs.entries import KnownPack
from worker.recognition.packs.installing import install

CONVERSION = "worker.recognition.packs.dlib_conversion"
#: What a pack's folder holds, and nothing else of the packages.
INSTALLED = ["LICENSE-alpha.txt", "LICENSE-beta.txt", "a.onnx", "b.onnx", "manifest.json"]


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    """The folder with the two published wheels."""
    make_wheel(tmp_path / "wheels", "alpha", "1.0", ALPHA)
    make_wheel(tmp_path / "wheels", "beta", "2.0", BETA)
    return tmp_path / "wheels"


@pytest.fixture(autouse=True)
def small(wheels: Path, monkeypatch: pytest.MonkeyPatch) -> KnownPack:
    """The pack that the catalogue knows as made from them."""
    monkeypatch.setitem(sys.modules, CONVERSION, conversion())
    return know(
        monkeypatch,
        small_pack(
            carrier_of(wheels / "alpha-1.0-py3-none-any.whl", ALPHA),
            carrier_of(wheels / "beta-2.0-py3-none-any.whl", BETA),
        ),
    )


def know(monkeypatch: pytest.MonkeyPatch, pack: KnownPack) -> KnownPack:
    monkeypatch.setitem(catalogue._BY_NAME, pack.name, pack)
    return pack


@pytest.fixture(autouse=True)
def index(wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PackageIndex]:
    """A package index on this machine, and a pip that is configured to use it and has nothing in its cache."""
    index = PackageIndex(wheels)
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    settings = {"CONFIG_FILE": os.devnull, "CACHE_DIR": str(tmp_path / "cache"), "RETRIES": "0"}
    for name, value in (settings | {"INDEX_URL": index.address}).items():
        monkeypatch.setenv(f"PIP_{name}", value)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield index
    index.close()


@pytest.fixture
def packs(tmp_path: Path) -> Path:
    return tmp_path / "packs"


def names_in(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def assert_installed(packs: Path, known: KnownPack) -> None:
    assert names_in(packs) == ["small"]
    assert names_in(packs / "small") == INSTALLED
    assert {name: (packs / "small" / name).read_bytes() for name in GRAPHS} == GRAPHS
    assert (packs / "small" / "LICENSE-beta.txt").read_text() == "licence of beta"
    assert verified_manifest(packs / "small", known).graphs == {name: sha256(graph) for name, graph in GRAPHS.items()}


# -- by pip --


def test_the_wheels_come_from_the_index_that_the_site_has_configured(
    packs: Path, small: KnownPack, index: PackageIndex
) -> None:
    arrived: list[int] = []

    assert install("small", packs, advance=arrived.append) == packs / "small"

    assert_installed(packs, small)
    assert index.asked == [
        "/simple/alpha/",
        "/alpha-1.0-py3-none-any.whl",
        "/simple/beta/",
        "/beta-2.0-py3-none-any.whl",
    ]
    assert sum(arrived) == sum(download.size_bytes for download in small.downloads)


def test_a_wheel_that_is_not_the_published_one_names_both_checksums(
    packs: Path, small: KnownPack, wheels: Path
) -> None:
    other = make_wheel(wheels, "beta", "2.0", {"beta/two.lz4": b"other"})

    with pytest.raises(PackDamaged, match=r"beta-2\.0-py3-none-any\.whl: expected") as caught:
        install("small", packs)

    assert f"{small.carriers[1].wheel.sha256}, found is {sha256(other.read_bytes())}" in str(caught.value)
    assert names_in(packs) == []


def test_without_a_network_a_sentence_says_what_to_do(packs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{free_port_block()}/simple")

    with pytest.raises(PackError) as caught:
        install("small", packs)

    for said in (
        "pip could not download alpha 1.0: there is no network",
        "pip says: No matching distribution found for alpha==1.0.",
        "`python -m pip download --no-deps --only-binary :all: alpha==1.0 beta==2.0`",
        "`manage.py packs fetch small --from`",
    ):
        assert said in str(caught.value)
    assert names_in(packs) == []


def test_an_index_without_the_wheel_is_a_sentence_even_if_it_has_the_source(
    packs: Path, wheels: Path, index: PackageIndex
) -> None:
    """Of a source distribution, pip would run the set-up script."""
    (wheels / "beta-2.0-py3-none-any.whl").rename(wheels / "beta-2.0.tar.gz")

    with pytest.raises(PackError, match=r"pip could not download beta 2\.0"):
        install("small", packs)
    assert "/beta-2.0.tar.gz" not in index.asked

    assert names_in(packs) == []


def test_a_python_without_pip_is_a_sentence(packs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pip, "find_spec", lambda _: None)

    with pytest.raises(PackError, match=r"has no pip .*ensurepip.*--from"):
        install("small", packs)


def test_a_module_of_the_current_folder_does_not_pass_for_pip(
    packs: Path, small: KnownPack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "pip.py").write_text("raise SystemExit('run')")
    monkeypatch.chdir(tmp_path / "here")

    install("small", packs)

    assert_installed(packs, small)


# -- from files --


@pytest.mark.parametrize(
    "sources",
    [
        pytest.param(["wheels/alpha-1.0-py3-none-any.whl", "wheels/beta-2.0-py3-none-any.whl"], id="the files"),
        pytest.param(["wheels/beta-2.0-py3-none-any.whl", "wheels/alpha-1.0-py3-none-any.whl"], id="in any order"),
        pytest.param(["wheels"], id="a folder"),
        pytest.param(["wheels/alpha-1.0-py3-none-any.whl", "wheels"], id="a file and a folder"),
    ],
)
def test_a_machine_without_a_network_is_given_the_wheels(
    packs: Path, small: KnownPack, index: PackageIndex, tmp_path: Path, sources: list[str]
) -> None:
    install("small", packs, sources=[str(tmp_path / source) for source in sources])

    assert_installed(packs, small)
    assert index.asked == []


@pytest.mark.parametrize(
    ("sources", "error", "sentence"),
    [
        pytest.param(["alpha"], PackMissing, r"^What is given lacks beta-\S+\.whl: .*pip download", id="one of two"),
        pytest.param(["nothing"], PackMissing, r"lacks alpha-\S+\.whl and beta-\S+\.whl:", id="an empty folder"),
        pytest.param(["beta", "packs.tar"], PackError, r"^packs\.tar is not a file that the pack 'small'", id="other"),
        pytest.param(["gone"], PackMissing, r"There is no \S+gone to take", id="no such file"),
        pytest.param(["https://example.org/x.whl"], PackError, "from an address: --from needs alpha", id="an address"),
    ],
)
def test_other_files_are_a_sentence(
    packs: Path, wheels: Path, sources: list[str], error: type[PackError], sentence: str
) -> None:
    (wheels / "packs.tar").write_bytes(b"tar")
    (wheels / "nothing").mkdir()
    files = {"alpha": "alpha-1.0-py3-none-any.whl", "beta": "beta-2.0-py3-none-any.whl"}
    given = [source if ":" in source else str(wheels / files.get(source, source)) for source in sources]

    with pytest.raises(error, match=sentence):
        install("small", packs, sources=given)

    assert names_in(packs) == []


@pytest.mark.parametrize("kind", ["pipe", "folder"])
def test_what_is_no_file_is_not_read(packs: Path, wheels: Path, kind: str) -> None:
    wheel = wheels / "beta-2.0-py3-none-any.whl"
    wheel.unlink()
    os.mkfifo(wheel) if kind == "pipe" else wheel.mkdir()

    with pytest.raises(PackError, match=r"beta-2\.0-py3-none-any\.whl is not a file\.$"):
        install("small", packs, sources=[str(wheels)])

    assert names_in(packs) == []


@pytest.mark.parametrize("change", ["truncated", "changed", "empty"])
def test_a_damaged_wheel_names_the_file_and_both_checksums(
    packs: Path, small: KnownPack, wheels: Path, change: str
) -> None:
    wheel = wheels / "alpha-1.0-py3-none-any.whl"
    whole = wheel.read_bytes()
    wheel.write_bytes({"truncated": whole[:-100], "changed": whole[:50] + b"x" + whole[51:], "empty": b""}[change])

    with pytest.raises(PackDamaged, match=r"^alpha-1\.0-py3-none-any\.whl is not what was published") as caught:
        install("small", packs, sources=[str(wheels)])

    assert f"{sha256(whole)} ({len(whole):,} bytes)" in str(caught.value)
    assert f"{sha256(wheel.read_bytes())} ({wheel.stat().st_size:,} bytes)" in str(caught.value)
    assert names_in(packs) == []


# -- what is in a wheel --


def test_a_file_in_a_wheel_that_is_not_the_published_one_names_both_checksums(
    packs: Path, wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = make_wheel(wheels, "alpha", "1.0", {"alpha/weights/one.dat": b"other"})
    know(monkeypatch, small_pack(carrier_of(wheel, ALPHA)))

    with pytest.raises(PackDamaged, match=r"alpha/weights/one\.dat in alpha-1\.0-py3-none-any\.whl is not") as caught:
        install("small", packs)

    assert sha256(ALPHA["alpha/weights/one.dat"]) in str(caught.value)
    assert f"{sha256(b'other')} (5 bytes)" in str(caught.value)
    assert names_in(packs) == []


def test_a_wheel_without_a_wanted_file_is_a_sentence(
    packs: Path, wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    know(monkeypatch, small_pack(carrier_of(make_wheel(wheels, "alpha", "1.0", {}), ALPHA)))

    with pytest.raises(PackMissing, match=r"alpha-1\.0-py3-none-any\.whl has no alpha/weights/one\.dat"):
        install("small", packs)


def test_files_that_would_lead_out_of_the_folder_stay_in_the_wheel(
    packs: Path, small: KnownPack, wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = {"../one.dat": b"up", "../../../../a.onnx": b"up", f"{tmp_path}/absolute": b"root", "a\\..\\..\\x": b"up"}
    wheel = make_wheel(wheels, "alpha", "1.0", ALPHA | outside)
    pack = know(monkeypatch, small_pack(carrier_of(wheel, ALPHA), small.carriers[1]))
    before = names_in(tmp_path)

    install("small", packs, sources=[str(wheels)])

    assert_installed(packs, pack)
    assert names_in(tmp_path) == sorted({*before, "packs"})


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_of_two_files_with_one_name_none_passes_unverified(
    packs: Path, wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = make_wheel(wheels, "alpha", "1.0", ALPHA)
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("alpha/weights/one.dat", b"other")
    know(monkeypatch, small_pack(carrier_of(wheel, ALPHA)))

    with pytest.raises(PackDamaged, match=r"alpha/weights/one\.dat in"):
        install("small", packs, sources=[str(wheels)])


def test_a_file_is_not_read_beyond_its_published_size(
    packs: Path, wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = make_wheel(wheels, "alpha", "1.0", {"alpha/weights/one.dat": bytes(50_000_000)})
    know(monkeypatch, small_pack(carrier_of(wheel, ALPHA)))

    with pytest.raises(PackDamaged, match=r"found is [0-9a-f]{64} \(3,001 bytes\)"):
        install("small", packs, sources=[str(wheels)])


@pytest.mark.parametrize("change", ["no archive", "broken inside"])
def test_a_wheel_that_cannot_be_unpacked_is_a_sentence(
    packs: Path, wheels: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    wheel = wheels / "alpha-1.0-py3-none-any.whl"
    content = wheel.read_bytes()
    start = content.index(b"one.dat") + len(b"one.dat")  # the first file's compressed bytes
    wheel.write_bytes(b"text" if change == "no archive" else content[:start] + b"\xff" * 8 + content[start + 8 :])
    know(monkeypatch, small_pack(carrier_of(wheel, ALPHA)))

    with pytest.raises(PackDamaged, match=r"alpha-1\.0-py3-none-any\.whl cannot be unpacked"):
        install("small", packs, sources=[str(wheels)])

    assert names_in(packs) == []


def test_what_cannot_be_converted_is_not_installed(packs: Path, wheels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> dict[str, bytes]:
        raise PackDamaged("one.dat is not a network.")

    monkeypatch.setattr(sys.modules[CONVERSION], "converted", refuse)

    with pytest.raises(PackDamaged, match=r"one\.dat is not a network"):
        install("small", packs, sources=[str(wheels)])

    assert names_in(packs) == []


# -- in place --


def test_a_full_disk_is_a_sentence_and_installs_nothing(
    packs: Path, wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, _: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(PackError, match="'small' cannot be installed: No space left on device"):
        install("small", packs, sources=[str(wheels)])

    assert names_in(packs) == []


#: What pip prints on a full disk: it has no sentence for that. The end may be missing, as there is no room for it.
PIP_ON_A_FULL_DISK = """
ERROR: Exception:
Traceback (most recent call last):
  File "pip/_internal/cli/base_command.py", line 107, in _run_wrapper
OSError: [Errno 28] No space left on device
"""


@pytest.mark.parametrize(
    ("said", "free_bytes", "sentence"),
    [
        pytest.param(PIP_ON_A_FULL_DISK, 10**9, r"alpha 1\.0: there is no space left on the disk\.", id="said"),
        pytest.param(PIP_ON_A_FULL_DISK[:60], 0, r"alpha 1\.0: there is no space left on the disk\.", id="cut off"),
        pytest.param("ERROR: option x: bad\n  hint\n", 10**9, r"1\.0: pip says: option x: bad\. Or run", id="another"),
        pytest.param("", 10**9, r"alpha 1\.0: it ended with status 2\.", id="nothing"),
    ],
)
def test_what_stopped_pip_is_told(
    packs: Path, monkeypatch: pytest.MonkeyPatch, said: str, free_bytes: int, sentence: str
) -> None:
    monkeypatch.setattr(pip, "_run", lambda *_: (2, said))
    monkeypatch.setattr(pip.shutil, "disk_usage", lambda _: SimpleNamespace(free=free_bytes))

    with pytest.raises(PackError, match=sentence):
        install("small", packs)

    assert names_in(packs) == []


def test_force_replaces_an_installed_pack_and_a_failure_leaves_it(packs: Path, small: KnownPack, wheels: Path) -> None:
    install("small", packs, sources=[str(wheels)])
    (packs / "small" / "a.onnx").write_bytes(b"mine")

    with pytest.raises(PackError, match="--force"):
        install("small", packs, sources=[str(wheels)])
    with pytest.raises(PackMissing):
        install("small", packs, sources=[str(wheels / "alpha-1.0-py3-none-any.whl")], replace=True)
    assert (packs / "small" / "a.onnx").read_bytes() == b"mine"

    install("small", packs, sources=[str(wheels)], replace=True)
    assert_installed(packs, small)


def test_a_pack_of_another_kind_comes_from_one_source(packs: Path, wheels: Path) -> None:
    with pytest.raises(PackError, match="'buffalo_l' comes from one folder, archive or address; 2 were given"):
        install("buffalo_l", packs, sources=[str(wheels), str(wheels)])


#: Fetches the pack whose wheels are in the folder of the first argument.
FETCH = f"""
import sys
from pathlib import Path
from tests.unit.worker.recognition.packs.small_carriers import ALPHA, BETA, carrier_of, conversion, small_pack
from worker.recognition.packs import catalogue
from worker.recognition.packs.installing import install
sys.modules[{CONVERSION!r}] = conversion()
alpha, beta = (Path(sys.argv[1]) / f"{{name}}-py3-none-any.whl" for name in ("alpha-1.0", "beta-2.0"))
catalogue._BY_NAME["small"] = small_pack(carrier_of(alpha, ALPHA), carrier_of(beta, BETA))
install("small", Path(sys.argv[2]))
"""


def test_a_fetch_that_is_killed_leaves_nothing_that_counts_and_the_next_one_clears_it(
    packs: Path, small: KnownPack, wheels: Path, index: PackageIndex, tmp_path: Path
) -> None:
    index.holds_files = True
    (tmp_path / "tmp").mkdir()
    command = [sys.executable, "-c", FETCH, str(wheels), str(packs)]
    with subprocess.Popen(command, env=os.environ | {"TMPDIR": str(tmp_path / "tmp")}) as fetch:
        assert index.waiting.wait(60)  # pip has begun to download
        fetch.kill()
    assert names_in(tmp_path / "tmp") == []  # pip's temporary files are where the next fetch clears them
    [left] = names_in(packs)
    assert left.startswith(".fetch-small-")

    index.holds_files = False
    install("small", packs)  # while the pip of the killed fetch still waits for its file

    assert_installed(packs, small)
    index.released.set()
