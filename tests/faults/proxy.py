"""A TCP proxy whose connections can be frozen or cut.

Frozen, they are half-open, as after a cable was pulled or a firewall forgot them; cut, both ends learn of it.
"""

import selectors
import socket
import threading
from typing import Self

from tests.servers import free_port

CHUNK_BYTES = 65536


class FreezingProxy:
    """Listens on `port` and passes bytes on to the target. Use as a context manager.

    A frozen connection stays open and silent for ever, in both directions; it takes bytes until the kernel's buffers
    are full.
    """

    def __init__(self, target_port: int) -> None:
        self.port = free_port()
        self._target = ("127.0.0.1", target_port)
        self._lock = threading.Lock()
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._frozen: set[socket.socket] = set()
        self._freezes_new = False
        self._cuts_new = False
        self._closing = False
        self._selector = selectors.DefaultSelector()
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=128)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, name="freezing-proxy", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing = True
        self._thread.join()
        for one in (*self._pairs, self._listener):
            one.close()
        self._selector.close()

    def freeze(self, *, new_too: bool = False) -> int:
        """Freeze every connection that is open now, for good, and while `new_too` those to come. Return how many."""
        with self._lock:
            self._freezes_new = new_too
            thawed = self._pairs.keys() - self._frozen
            for one in thawed:
                self._selector.unregister(one)
            self._frozen |= thawed
            return len(thawed) // 2

    def cut(self, *, new_too: bool = False) -> int:
        """Close every connection that is not frozen, and while `new_too` those to come at once. Return how many."""
        with self._lock:
            self._cuts_new = new_too
            open_ones = self._pairs.keys() - self._frozen
            for one in list(open_ones):
                self._selector.unregister(one)
                del self._pairs[one]
                one.close()
            return len(open_ones) // 2

    def heal(self) -> None:
        """Let new connections through again. Those that were frozen stay so: their bytes are lost."""
        with self._lock:
            self._freezes_new = False
            self._cuts_new = False

    def _run(self) -> None:
        while not self._closing:
            for key, _ in self._selector.select(timeout=0.1):
                with self._lock:
                    if key.fileobj is self._listener:
                        self._accept()
                    elif key.fileobj in self._pairs and key.fileobj not in self._frozen:
                        self._pass_on(key.fileobj)  # type: ignore[arg-type]

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        if self._cuts_new:
            client.close()
            return
        if self._freezes_new:
            self._pairs[client] = client
            self._frozen.add(client)
            return
        try:
            server = socket.create_connection(self._target)
        except OSError:
            client.close()
            return
        for one, other in ((client, server), (server, client)):
            self._pairs[one] = other
            self._selector.register(one, selectors.EVENT_READ)

    def _pass_on(self, one: socket.socket) -> None:
        other = self._pairs[one]
        try:
            data = one.recv(CHUNK_BYTES)
            other.sendall(data)
        except OSError:
            data = b""
        if not data:
            for end in (one, other):
                self._selector.unregister(end)
                del self._pairs[end]
                end.close()
