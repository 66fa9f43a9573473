"""A few long-lived connections to Milvus: shared by threads, reopened in a forked child, each call with a timeout."""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from pybreaker import CircuitBreaker, CircuitBreakerError
from pymilvus import DataType, MilvusClient
from pymilvus.client.types import LoadState
from pymilvus.exceptions import MilvusException
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, stop_before_delay, wait_exponential_jitter

from worker.errors import Busy, NotOpen
from worker.vector_search.config import MilvusConfig, PerformanceConfig
from worker.vector_search.exceptions import StoreTimeout, StoreUnavailable, VectorSearchError
from worker.vector_search.interfaces import StoreHealth
from worker.vector_search.milvus.translation import FOREIGN_ERRORS, is_released, translated

__all__ = ["ConnectionManager", "DataType", "MilvusClient"]

Answer = TypeVar("Answer")

#: After this many calls in a row without a server, further calls are refused at once for this long: less than Milvus
#: Lite takes to start (3 s), so that a restart costs no more than the restart itself.
BREAKER_FAILURES = 5
BREAKER_SECONDS = 2.0

#: How gRPC reconnects when there is a call to make. By default it waits up to two minutes after a server has come back.
#: (The "minimum" is how long one attempt may take.)
GRPC_OPTIONS = {
    "grpc.initial_reconnect_backoff_ms": 100,
    "grpc.min_reconnect_backoff_ms": 1000,
    "grpc.max_reconnect_backoff_ms": 200,
}

#: The pause before a retry doubles each time, up to this. It has a random part as long as the first pause, so that the
#: callers of a restarted server do not all return at once.
LONGEST_RETRY_SECONDS = 2.0

logger = logging.getLogger(__name__)

# pymilvus logs each failed call as an error with a traceback. The call also raises it, translated, and the code that
# catches it decides what is worth a log line.
logging.getLogger("pymilvus.decorators").setLevel(logging.CRITICAL)


def _is_not_availability(error: BaseException) -> bool:
    return not isinstance(error, StoreUnavailable | StoreTimeout)


@dataclass(slots=True)
class _Connection:
    """A slot in the pool: its client, created on first use, and the number of calls in flight on it."""

    client: MilvusClient | None = None
    calls: int = 0


class _Process:
    """The state of one process. Locks and channels do not survive a fork, so a child starts with a fresh one."""

    def __init__(self, performance: PerformanceConfig) -> None:
        self.pool = [_Connection() for _ in range(performance.connection_pool_size)]
        self.pool_lock = threading.Lock()
        # One at a time: pymilvus connects under its own lock, and a caller would wait for that beyond its timeout.
        self.connecting = threading.Lock()
        self.turns = threading.BoundedSemaphore(performance.max_connections)
        self._next = threading.Lock()
        self.breaker = CircuitBreaker(
            fail_max=BREAKER_FAILURES,
            reset_timeout=BREAKER_SECONDS,
            exclude=[_is_not_availability],
            throw_new_error_on_trip=False,
        )

    def take_turn(self, timeout_seconds: float) -> bool:
        """Wait for a turn; return False if there was none in time.

        Only one thread waits at the semaphore itself. It would otherwise hand a free turn to any thread that asks
        again, and eight busy readers kept a writer waiting for half a minute.
        """
        deadline = time.monotonic() + timeout_seconds
        if not self._next.acquire(timeout=timeout_seconds):
            return False
        try:
            return self.turns.acquire(timeout=max(0.0, deadline - time.monotonic()))
        finally:
            self._next.release()

    @contextmanager
    def borrowed(self) -> Iterator[_Connection]:
        """Borrow the connection with the fewest calls, preferring one that is already connected."""
        with self.pool_lock:
            connection = min(self.pool, key=lambda each: (each.calls, each.client is None))
            connection.calls += 1
        try:
            yield connection
        finally:
            with self.pool_lock:
                connection.calls -= 1


class ConnectionManager:
    """Calls Milvus: each call within its timeout, retried while the server is unreachable, its errors translated.

    Safe to share between threads: up to CONNECTION_POOL_SIZE connections carry up to MAX_CONNECTIONS calls at a time.
    """

    def __init__(self, *, milvus: MilvusConfig, performance: PerformanceConfig) -> None:
        self._milvus = milvus
        self._performance = performance
        self._is_open = False
        self._by_process: dict[int, _Process] = {}

    def open(self) -> None:
        """Connect. Raises StoreUnavailable, StoreTimeout, StoreRejected (the token). Does nothing if already open."""
        self._is_open = True
        try:
            with self._process().borrowed() as connection:
                self._client(connection, time.monotonic() + self._milvus.timeout_seconds)
        except VectorSearchError:
            self._is_open = False
            raise

    def close(self) -> None:
        """Close this process's connections; a forked child never closes its parent's. Safe to call twice."""
        self._is_open = False
        process = self._by_process.pop(os.getpid(), None)
        if process is None:
            return
        with process.connecting:
            for connection in process.pool:
                if connection.client is not None:
                    connection.client.close()
                    connection.client = None

    def call(
        self,
        operation: Callable[[MilvusClient, float], Answer],
        *,
        timeout_seconds: float,
        reload: str | None = None,
    ) -> Answer:
        """Return `operation(client, seconds left)`; the operation must pass the seconds on as `timeout=`.

        If the server has released the collection named by `reload`, it is loaded and the operation repeated. Raises
        NotOpen, Busy (MAX_CONNECTIONS calls were in flight the whole time), and the errors in `exceptions.py`.
        """
        deadline = time.monotonic() + timeout_seconds
        process = self._process()
        if not process.take_turn(timeout_seconds):
            raise Busy(f"{self._performance.max_connections} calls to the vector store are in flight; try again later.")
        # Not `breaker.call()`, which holds a lock for as long as the call takes and would make threads wait in line.
        try:
            retrying = self._retrying(_seconds_left(deadline))
            with process.breaker.calling():
                answer: Answer = retrying(self._attempt, operation, deadline, reload)
                return answer
        except CircuitBreakerError as error:
            raise StoreUnavailable("The vector store could not be reached just now; try again in a moment.") from error
        finally:
            process.turns.release()

    def health(self, collection: str) -> StoreHealth:
        """Check the server now, ignoring breaker and call limit. Never raises; blocks for at most HEALTH_TIMEOUT."""
        started = time.monotonic()
        deadline = started + self._performance.health_timeout_seconds
        try:
            state = self._attempt(
                lambda client, seconds: client.get_load_state(collection, timeout=seconds)["state"], deadline, None
            )
        except (VectorSearchError, NotOpen) as error:
            return StoreHealth(
                is_healthy=False,
                connection_status="disconnected",
                collection_status="unknown",
                latency_ms=None,
                detail=f"{self._milvus.connection_alias}: {error}",
                breaker=self._breaker_state(),
            )
        status, detail = {
            LoadState.Loaded: ("loaded", ""),
            LoadState.NotExist: ("missing", f"The vector store has no collection {collection!r}."),
        }.get(state, ("released", f"Collection {collection!r} is not loaded."))
        return StoreHealth(
            is_healthy=not detail,
            connection_status="connected",
            collection_status=status,
            latency_ms=(time.monotonic() - started) * 1000,
            detail=f"{self._milvus.connection_alias}: {detail}" if detail else "",
            breaker=self._breaker_state(),
        )

    def _breaker_state(self) -> str:
        process = self._by_process.get(os.getpid())
        return str(process.breaker.current_state) if process else ""

    def _process(self) -> _Process:
        if not self._is_open:
            raise NotOpen("The connection to Milvus is not open: call open() on it first.")
        # Not setdefault() alone, which would create a pool and a breaker for each call only to discard them.
        process = self._by_process.get(os.getpid())
        return process or self._by_process.setdefault(os.getpid(), _Process(self._performance))

    def _client(self, connection: _Connection, deadline: float) -> MilvusClient:
        """Return the connection's client, connecting if it has none yet."""
        if connection.client is not None:
            return connection.client
        connecting = self._process().connecting
        if not connecting.acquire(timeout=_seconds_left(deadline)):
            raise StoreTimeout("The vector store did not answer in time.")
        try:
            if connection.client is None:
                connection.client = self._connect(_seconds_left(deadline))
                logger.info("Connection %s to %s is open.", self._milvus.connection_alias, self._milvus.address)
            return connection.client
        finally:
            connecting.release()

    def _connect(self, timeout_seconds: float) -> MilvusClient:
        milvus = self._milvus
        try:
            client = MilvusClient(
                uri=milvus.address,
                token=milvus.credentials,
                db_name=milvus.database,
                secure=milvus.is_secure,
                ca_pem_path=milvus.ca_pem_path,
                client_pem_path=milvus.client_pem_path,
                client_key_path=milvus.client_key_path,
                server_pem_path=milvus.server_pem_path,
                server_name=milvus.server_name,
                timeout=timeout_seconds,
                dedicated=True,  # A shared one would give a forked child its parent's channel.
                grpc_options=GRPC_OPTIONS,
            )
        except FOREIGN_ERRORS as error:
            raise translated(error) from error
        # By default pymilvus responds to an unreachable server with its own retries and a new channel, holding a lock
        # and exceeding the call's timeout. Returning the error at once leaves the retries to this class and the
        # reconnecting to gRPC, which both respect the timeout.
        client._get_connection()._on_rpc_error = _hand_back
        return client

    def _retrying(self, timeout_seconds: float) -> Retrying:
        first_seconds = self._milvus.retry_delay_seconds
        return Retrying(
            stop=stop_after_attempt(1 + self._milvus.max_retries) | stop_before_delay(timeout_seconds),
            wait=wait_exponential_jitter(
                multiplier=first_seconds, max=max(first_seconds, LONGEST_RETRY_SECONDS), jitter=first_seconds
            ),
            retry=retry_if_exception_type(StoreUnavailable),
            reraise=True,
        )

    def _attempt(
        self, operation: Callable[[MilvusClient, float], Answer], deadline: float, reload: str | None
    ) -> Answer:
        with self._process().borrowed() as connection:
            client = self._client(connection, deadline)
            try:
                try:
                    return operation(client, _seconds_left(deadline))
                except MilvusException as error:
                    if reload is None or not is_released(error):
                        raise
                client.load_collection(reload, timeout=_seconds_left(deadline))
                return operation(client, _seconds_left(deadline))
            except FOREIGN_ERRORS as error:
                raise translated(error) from error


def _hand_back(error: Exception) -> bool:
    raise error


def _seconds_left(deadline: float) -> float:
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise StoreTimeout("The vector store did not answer in time.")
    return seconds
