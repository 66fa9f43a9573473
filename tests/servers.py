"""Real servers for tests: each on a free port of its own, each stopped by its own process id."""

import fcntl
import importlib.util
import os
import queue
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pymilvus import MilvusClient

from tests.ports import free_port_block
from tests.waiting import PATIENCE_SECONDS, eventually
from worker.vector_search.milvus.translation import FOREIGN_ERRORS

STOP_SECONDS = 10.0


def free_port() -> int:
    """Return a port that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def start_embedded_milvus(data_dir: Path, port: int) -> subprocess.Popen[str]:
    """Start the guarded Milvus Lite server and return when it says that it is ready."""
    command = [sys.executable, "-m", "worker.vector_search.milvus.lite"]
    process = subprocess.Popen(
        [*command, "--data-dir", str(data_dir), "--port", str(port)], stdout=subprocess.PIPE, text=True
    )
    lines: queue.Queue[str] = queue.Queue()
    assert process.stdout is not None
    reader = threading.Thread(target=lambda stream: lines.put(stream.readline()), args=[process.stdout])
    reader.daemon = True
    reader.start()
    try:
        line = lines.get(timeout=PATIENCE_SECONDS)
        assert "ready" in line, f"The server said {line!r} instead of being ready."
    except (queue.Empty, AssertionError):
        stop(process)
        raise
    return process


def stop(process: subprocess.Popen[str]) -> None:
    """End this very process, gently first. Does nothing when it has ended already."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if process.stdout is not None:
        process.stdout.close()


@contextmanager
def embedded_milvus(data_dir: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run the guarded Milvus Lite on a free port; yield its URI and its process."""
    port = free_port()
    process = start_embedded_milvus(data_dir, port)
    try:
        yield f"http://127.0.0.1:{port}", process
    finally:
        stop(process)


#: The ports that a whole Milvus listens on, counted from its proxy's, which is the one that clients use.
MILVUS_PORTS = (
    *("proxy", "proxy_internal", "root_coord", "query_coord", "data_coord", "query_node"),
    *("index_coord", "index_node", "data_node", "etcd", "etcd_peer", "metrics"),
)


def require_milvus() -> None:
    """Skip the test where the `milvus` wheel cannot be; in CI, fail it."""
    if importlib.util.find_spec("milvus") is None:
        assert not os.environ.get("CI"), "CI must be able to run a whole Milvus"
        pytest.skip("the milvus wheel is for Linux on x86-64; MILVUS_TEST_URI names another server for the contract")


def start_milvus(data_dir: Path, port: int) -> subprocess.Popen[str]:
    """Start a whole Milvus 2.3.5 on the ports from `port` on; return when it answers.

    It is the program of the `milvus` wheel, started without the wheel's own Python process around it, so that a
    signal reaches the server itself.
    """
    from milvus import MilvusServerConfig  # Linux on x86-64 only

    ports = dict(zip(MILVUS_PORTS, range(port, port + len(MILVUS_PORTS)), strict=True))
    config = MilvusServerConfig(data_dir=str(data_dir))
    for name, number in ports.items():
        config.set(f"{name}_port", number)
    # Left on, a growing segment answers from an interim index that loses four true matches in ten.
    config.set("queryNode.segcore.interimIndex.enableIndex", "false")
    for part in ("rootCoord", "proxy", "queryCoord", "queryNode", "indexNode", "dataCoord", "dataNode"):
        config.set(f"{part}.ip", "127.0.0.1")  # where its parts find each other; it listens on every address
    # Not `resolve()`: it refuses the ports of a server that was killed a moment ago.
    config.resolve_storage()
    config.write_config()
    etcd_config = _write_etcd_config(data_dir / "configs", ports["etcd"], ports["etcd_peer"])
    programs = _milvus_programs()
    with (data_dir / "logs" / "milvus-output.log").open("a") as log:
        process = subprocess.Popen(
            [programs / "milvus", "run", "standalone"],
            cwd=data_dir,
            env={
                **os.environ,
                "DEPLOY_MODE": "STANDALONE",
                "ETCD_CONFIG_PATH": str(etcd_config),
                "LD_LIBRARY_PATH": str(programs),
                "METRICS_PORT": str(ports["metrics"]),
                "MILVUS_RUN_DIR": str(data_dir / "run"),
            },
            stdout=log,
            stderr=log,
            text=True,
        )
    try:
        _wait_for_milvus(process, f"http://127.0.0.1:{port}", f"http://127.0.0.1:{ports['metrics']}/healthz")
    except BaseException:
        stop(process)
        raise
    return process


@contextmanager
def milvus_server(data_dir: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run a whole Milvus on free ports; yield its URI and its process."""
    port = free_port_block(len(MILVUS_PORTS))
    process = start_milvus(data_dir, port)
    try:
        yield f"http://127.0.0.1:{port}", process
    finally:
        process.kill()  # Its clean end takes ten seconds, and nobody wants the data.
        stop(process)


def _write_etcd_config(folder: Path, port: int, peer_port: int) -> Path:
    """Write the ports of the etcd inside the server, which without it takes 2379 and 2380 whatever it is told."""
    client, peer = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{peer_port}"
    settings = {
        "listen-client-urls": client,
        "advertise-client-urls": client,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": f"default={peer}",
    }
    file = folder / "etcd.yaml"
    file.write_text("".join(f"{key}: {value}\n" for key, value in settings.items()))
    return file


def _milvus_programs() -> Path:
    """Return the folder with the unpacked program and its libraries, which all servers of a test run share."""
    import milvus

    cache = Path(os.environ.get("FACEQUEUE_DATA_DIR", "var"), "milvus-programs").resolve()
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        milvus._initialize_data_files(str(cache))  # only what is not there yet
    return cache / "bin"


def _wait_for_milvus(process: subprocess.Popen[str], uri: str, health_url: str) -> None:
    def answers() -> bool:
        assert process.poll() is None, f"Milvus ended with {process.returncode} instead of starting."
        return _milvus_answers(uri, health_url)

    eventually(answers, "Milvus is ready")


def _milvus_answers(uri: str, health_url: str) -> bool:
    try:
        with urllib.request.urlopen(health_url, timeout=2) as health:
            if health.read() != b"OK":
                return False
        client = MilvusClient(uri, timeout=2, dedicated=True)
    except (OSError, *FOREIGN_ERRORS):
        return False
    try:
        client.list_collections(timeout=2)
    except FOREIGN_ERRORS:
        return False
    finally:
        client.close()
    return True
