"""Clients that do not play by the rules, on plain sockets, and what a web process spends on them."""

import re
import socket
from contextlib import suppress
from pathlib import Path
from typing import Self

from tests.service import RunningService

#: A part of a body, sent again and again.
PART = b"x" * 65536


class Client:
    """One connection. `address` is the one that it comes from: all of 127/8 is this machine."""

    def __init__(self, service: RunningService, address: str = "127.0.0.1") -> None:
        self.socket = socket.create_connection(
            ("127.0.0.1", service.ports.web), timeout=30, source_address=(address, 0)
        )
        self.received = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def head(self, method: str, path: str, *headers: str) -> None:
        lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *headers, "", ""]
        self.socket.sendall("\r\n".join(lines).encode())

    def send(self, data: bytes) -> bool:
        """Tell whether the server still takes it."""
        try:
            self.socket.sendall(data)
        except OSError:
            return False
        return True

    def chunk(self, data: bytes) -> bool:
        return self.send(b"%x\r\n%s\r\n" % (len(data), data))

    def flood(self, byte_count: int, *, is_chunked: bool) -> int:
        """Send a body without looking at answers; return how much the server took before it closed the connection."""
        sent = 0
        while sent < byte_count:
            part = PART[: byte_count - sent]
            if not (self.chunk(part) if is_chunked else self.send(part)):
                break
            sent += len(part)
        return sent

    def trickle(self, data: bytes, *, is_chunked: bool) -> None:
        """Send a byte ten times a second until there is an answer."""
        self.socket.settimeout(0.1)
        for byte in data:
            if not (self.chunk(bytes([byte])) if is_chunked else self.send(bytes([byte]))):
                break
            with suppress(TimeoutError):
                self.received += self.socket.recv(65536)
                break
        self.socket.settimeout(30)

    def answer(self) -> tuple[int, str]:
        """Return the status and the rest of the first answer; (0, "") when the connection ends without one."""
        with suppress(OSError):
            while b"\r\n\r\n" not in self.received or not self._is_whole():
                data = self.socket.recv(65536)
                if not data:
                    break
                self.received += data
        found = re.match(rb"HTTP/1.1 (\d+)", self.received)
        return (int(found[1]), self.received.decode("latin-1")) if found else (0, "")

    def ends(self) -> bool:
        """Tell whether the server closes the connection; answers are thrown away."""
        try:
            while self.socket.recv(65536):
                pass
        except TimeoutError:
            return False
        except OSError:
            return True
        return True

    def _is_whole(self) -> bool:
        head, _, content = self.received.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head.lower())
        return length is None or len(content) >= int(length[1])


class Spent:
    """What the web process has written and how much memory it has needed at most, since this object was made."""

    def __init__(self, service: RunningService) -> None:
        self._proc = Path("/proc", str(service.process("web").pid))
        (self._proc / "clear_refs").write_text("5")  # the peak starts anew (man 5 proc)
        self._written = self._written_now()
        self._memory = self._status("VmRSS")

    @property
    def written_bytes(self) -> int:
        """To any file, log lines included."""
        return self._written_now() - self._written

    @property
    def memory_bytes(self) -> int:
        return self._status("VmHWM") - self._memory

    def _written_now(self) -> int:
        found = re.search(r"wchar: (\d+)", (self._proc / "io").read_text())
        assert found
        return int(found[1])

    def _status(self, name: str) -> int:
        found = re.search(rf"{name}:\s+(\d+) kB", (self._proc / "status").read_text())
        assert found
        return int(found[1]) * 1024
