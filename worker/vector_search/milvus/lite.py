"""A guarded Milvus Lite server for one machine.

    python -m worker.vector_search.milvus.lite --data-dir DIR --port 19530 [--host 127.0.0.1]

Milvus Lite 3.2.2 is a sound engine for a single client. With several clients, its own server corrupts the write-ahead
log (80 of 9600 rows were left after a kill), hides rows from readers during a flush (a reader counted 2500 rows, then
0), and may open a collection twice. Killed while it writes an index file, it leaves half a file, and the collection can
no longer be loaded. It searches fresh rows slowly, exits on SIGTERM without closing, and listens on every address
without a password.

This module builds a server from the engine's own servicer and fixes all of these: one writer at a time with no
concurrent readers, index files that are either complete or absent, small flushes, a clean shutdown, and the loopback
address.
"""

import argparse
import errno
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from typing import Any

#: The engine reads this on import. Rows that it has not flushed yet are searched one by one in Python, at some
#: 50 microseconds each: with the default of 128 MB, a search among 40,000 fresh faces took 2 to 4 s; with 8 MB, 0.05 to
#: 0.3 s. Writes become a third slower, at 3000 rows per second.
os.environ.setdefault("MILVUS_LITE_MEMTABLE_MEMORY_LIMIT_BYTES", str(8 * 1024 * 1024))

import grpc
from milvus_lite import Collection, DataDirLockedError, MilvusLite
from milvus_lite.adapter.grpc.servicer import MilvusServicer
from milvus_lite.index.brute_force import BruteForceIndex
from milvus_lite.index.faiss_hnsw import FaissHnswIndex
from milvus_lite.index.faiss_ivf_flat import FaissIvfFlatIndex
from milvus_lite.index.faiss_ivf_sq8 import FaissIvfSq8Index
from pymilvus.grpc_gen import milvus_pb2_grpc

#: Calls that touch no collection.
FREE = frozenset({"CheckHealth", "Connect", "GetVersion"})

#: Calls that change nothing and may run concurrently. Any call not listed counts as a write, so that calls added by a
#: later engine are guarded by default.
READS = frozenset(
    {
        "DescribeAlias",
        "DescribeCollection",
        "DescribeDatabase",
        "DescribeIndex",
        "GetCollectionStatistics",
        "GetCompactionState",
        "GetFlushState",
        "GetLoadState",
        "GetLoadingProgress",
        "GetPartitionStatistics",
        "HasCollection",
        "HasPartition",
        "HybridSearch",
        "ListAliases",
        "ListDatabases",
        "Query",
        "Search",
        "ShowCollections",
        "ShowPartitions",
    }
)

#: Each waiting writer occupies a thread: enough threads that some remain for readers.
MAX_THREADS = 32

#: The limit of a Milvus server, and far more than one of our batches.
MAX_MESSAGE_BYTES = 256 * 1024 * 1024

#: How long calls in flight, and then the engine's last flush, may take before the process exits.
DRAIN_SECONDS = 0.5
CLOSE_SECONDS = 2.0

#: How often the main thread checks for a signal.
SIGNAL_STEP_SECONDS = 0.2

Behaviour = Callable[[Any, grpc.ServicerContext], Any]

#: The engine's classes for INDEXES_OF_MILVUS_LITE, which write their files in place.
INDEX_CLASSES = (BruteForceIndex, FaissHnswIndex, FaissIvfFlatIndex, FaissIvfSq8Index)

Save = Callable[[Any, str], None]


def save_whole(save: Save) -> Save:
    """Return a `save(index, path)` that leaves the file at `path` complete or unchanged, even if it is killed."""

    def saved_whole(index: Any, path: str) -> None:
        part = f"{path}.part"
        save(index, part)
        with open(part, "rb") as file:
            os.fsync(file.fileno())
        os.replace(part, path)

    return saved_whole


class StartRefused(Exception):
    """The server cannot start. The message is one sentence for the person who started it."""


class Turns:
    """A fair lock for many readers or one writer: neither starves the other."""

    def __init__(self) -> None:
        self._gate = threading.Lock()
        self._readers_changed = threading.Condition()
        self._readers = 0

    @contextmanager
    def reading(self) -> Iterator[None]:
        with self._gate, self._readers_changed:
            self._readers += 1
        try:
            yield
        finally:
            with self._readers_changed:
                self._readers -= 1
                self._readers_changed.notify_all()

    @contextmanager
    def writing(self) -> Iterator[None]:
        with self._gate, self._readers_changed:
            self._readers_changed.wait_for(lambda: self._readers == 0)
            yield


class Guard(grpc.ServerInterceptor):  # type: ignore[misc]  # grpc ships no types
    """Lets one write through at a time, or any number of reads."""

    def __init__(self) -> None:
        self._turns = Turns()

    def intercept_service(self, continuation: Callable[[Any], Any], call_details: Any) -> Any:
        handler = continuation(call_details)
        method = call_details.method.rpartition("/")[2]
        if handler is None or method in FREE:
            return handler
        turn = self._turns.reading if method in READS else self._turns.writing
        return grpc.unary_unary_rpc_method_handler(
            _in_turn(turn, handler.unary_unary),
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )


def _in_turn(turn: Callable[[], AbstractContextManager[None]], behaviour: Behaviour) -> Behaviour:
    def in_turn(request: Any, context: grpc.ServicerContext) -> Any:
        with turn():
            if not context.is_active():  # The caller has stopped waiting: nobody needs the result.
                context.abort(grpc.StatusCode.CANCELLED, "The caller has gone.")
            return behaviour(request, context)

    return in_turn


class Database(MilvusLite):  # type: ignore[misc]  # milvus_lite ships no types
    """The engine, except that it opens each collection only once, even if several readers ask for it at once."""

    def __init__(self, data_dir: str) -> None:
        super().__init__(data_dir)
        self._opening = threading.RLock()

    def get_collection(self, name: str, database_name: str = "default") -> Collection:
        # Two Collection objects on one folder have two write-ahead logs, and the rows written to one are lost.
        with self._opening:
            return super().get_collection(name, database_name=database_name)


class EmbeddedMilvus:
    """The server: open() binds the port and serves in the background, close() drains calls and closes the database."""

    def __init__(self, *, data_dir: str, host: str, port: int) -> None:
        self._data_dir = data_dir
        self._host = host
        self._port = port
        self._server: grpc.Server | None = None
        self._database: Database | None = None

    def open(self) -> None:
        """Start serving. Raises StartRefused when the folder or the port is in use or cannot be used."""
        _check_port_is_free(self._host, self._port)
        for kind in INDEX_CLASSES:
            kind.save = save_whole(kind.save)
        try:
            self._database = Database(self._data_dir)
        except DataDirLockedError as error:
            raise StartRefused(f"Another Milvus Lite server is using the folder {self._data_dir}.") from error
        except OSError as error:
            raise StartRefused(f"The folder {self._data_dir} cannot be used: {error.strerror}.") from error
        self._server = grpc.server(
            ThreadPoolExecutor(max_workers=MAX_THREADS, thread_name_prefix="milvus-lite"),
            interceptors=[Guard()],
            options=[
                # Otherwise a second server could share the port and would answer some of the callers.
                ("grpc.so_reuseport", 0),
                # pymilvus pings idle servers every ten seconds. By default, gRPC closes the connection at the third
                # ping without a call in between, and breaks off all calls in flight.
                ("grpc.http2.max_ping_strikes", 0),
                ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
                ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
            ],
        )
        milvus_pb2_grpc.add_MilvusServiceServicer_to_server(MilvusServicer(self._database), self._server)
        self._server.add_insecure_port(f"{self._host}:{self._port}")
        self._server.start()

    def close(self) -> None:
        """Refuse new calls, let those in flight finish, close the database. Safe to call twice."""
        if self._server is not None:
            self._server.stop(grace=DRAIN_SECONDS).wait()
        if self._database is not None:
            self._database.close()


def _check_port_is_free(host: str, port: int) -> None:
    # Checked beforehand, because gRPC's own error comes with lines of its source code.
    try:
        socket.create_server((host, port)).close()
    except OSError as error:
        reason = "it is in use" if error.errno == errno.EADDRINUSE else error.strerror
        raise StartRefused(f"Port {port} on {host} cannot be used: {reason}.") from error


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m worker.vector_search.milvus.lite", description="A guarded Milvus Lite server for one machine."
    )
    parser.add_argument("--data-dir", required=True, help="the folder for the collections")
    parser.add_argument("--port", required=True, type=_port, help="the port to listen on")
    parser.add_argument("--host", default="127.0.0.1", help="keep it local: the server has no password")
    options = parser.parse_args(arguments)
    stop = threading.Event()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signal_number, lambda *_: stop.set())
    milvus = EmbeddedMilvus(data_dir=options.data_dir, host=options.host, port=options.port)
    try:
        milvus.open()
    except StartRefused as error:
        sys.exit(str(error))
    print(f"Milvus Lite is ready on {options.host}:{options.port}, data in {options.data_dir}.", flush=True)
    # In steps: a signal delivered to another thread does not wake this one from an endless wait.
    while not stop.wait(SIGNAL_STEP_SECONDS):
        pass
    _end(milvus)


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 2**16:
        raise argparse.ArgumentTypeError("must be a whole number from 1 to 65535")
    return int(text)


def _end(milvus: EmbeddedMilvus) -> None:
    """Close the database, but do not wait long: a compaction may run for minutes.

    Exiting in the middle of one is like being killed, which the write-ahead log and the manifest survive.
    """
    closing = threading.Thread(target=milvus.close, daemon=True)
    closing.start()
    closing.join(timeout=DRAIN_SECONDS + CLOSE_SECONDS)
    sys.stdout.flush()
    os._exit(0)  # sys.exit() would wait for the engine's threads.


if __name__ == "__main__":
    main()
