"""Real servers for tests: each on a free port of its own, each stopped by its own process id."""

import queue
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: The engine's imports alone take seconds on a busy machine.
START_SECONDS = 60.0
STOP_SECONDS = 10.0


def free_port() -> int:
    """Return a port that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def start_embedded_milvus(data_dir: Path, port: int) -> subprocess.Popen[str]:
    """Start the guarded Milvus Lite server and return when it says that it is ready."""
    command = [sys.executable, "-m", "worker.vector_search.embedded"]
    process = subprocess.Popen(
        [*command, "--data-dir", str(data_dir), "--port", str(port)], stdout=subprocess.PIPE, text=True
    )
    lines: queue.Queue[str] = queue.Queue()
    assert process.stdout is not None
    reader = threading.Thread(target=lambda stream: lines.put(stream.readline()), args=[process.stdout])
    reader.daemon = True
    reader.start()
    try:
        line = lines.get(timeout=START_SECONDS)
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
