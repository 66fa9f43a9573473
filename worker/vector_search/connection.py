"""One long-lived connection to Milvus: shared by threads, reopened in a forked child, bounded in time."""

import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import grpc
from pybreaker import CircuitBreaker, CircuitBreakerError
from pymilvus import DataType, MilvusClient
from pymilvus.client.types import LoadState
from pymilvus.exceptions import MilvusException
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, stop_before_delay, wait_exponential_jitter

from worker.errors import NotOpen
from worker.vector_search.config import MilvusConfig, PerformanceConfig
from worker.vector_search.exceptions import StoreTimeout, StoreUnavailable, VectorSearchError
from worker.vector_search.interfaces import StoreHealth
from worker.vector_search.translation import is_released, translated

__all__ = ["ConnectionManager", "DataType", "MilvusClient"]

Answer = TypeVar("Answer")

#: Calls in a row that found no server before the next ones are refused at once, and for how long they are:
#: shorter than Milvus Lite's start (3 s), so that a restart costs nobody more than the restart.
BREAKER_FAILURES = 5
BREAKER_SECONDS = 2.0

#: gRPC's own reconnecting, when there is a call to make. Its default waits up to two minutes after a server has come
#: back. (The "minimum" is how long one attempt may take.)
GRPC_OPTIONS = {
    "grpc.initial_reconnect_backoff_ms": 100,
    "grpc.min_reconnect_backoff_ms": 1000,
    "grpc.max_reconnect_backoff_ms": 200,
}

#: The pause before the same call is made again: longer than gRPC waits before it reconnects, doubled each time, and
#: with a random part, so that the callers of a restarted server do not all come at once.
FIRST_RETRY_SECONDS = 0.25
LONGEST_RETRY_SECONDS = 2.0

# pymilvus logs each failed call as an error with its traceback. Each of them is raised as well, in our words, and
# whoever catches it decides what is worth a line.
logging.getLogger("pymilvus.decorators").setLevel(logging.CRITICAL)


def _is_not_availability(error: BaseException) -> bool:
    return not isinstance(error, StoreUnavailable | StoreTimeout)


@dataclass(slots=True)
class _ProcessConnection:
    """What one process holds. Locks and channels do not survive a fork: a child starts with a fresh one."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    client: MilvusClient | None = None
    breaker: CircuitBreaker = field(
        default_factory=lambda: CircuitBreaker(
            fail_max=BREAKER_FAILURES,
            reset_timeout=BREAKER_SECONDS,
            exclude=[_is_not_availability],
            throw_new_error_on_trip=False,
        )
    )


class ConnectionManager:
    """Makes calls to Milvus: each within its timeout, retried while there is no server, its errors translated."""

    def __init__(self, *, milvus: MilvusConfig, performance: PerformanceConfig) -> None:
        self._milvus = milvus
        self._performance = performance
        self._is_open = False
        self._by_process: dict[int, _ProcessConnection] = {}

    def open(self) -> None:
        """Connect. Raises StoreUnavailable, StoreTimeout, StoreRejected (the token). Does nothing when open."""
        self._is_open = True
        try:
            self._client(self._milvus.timeout_seconds)
        except VectorSearchError:
            self._is_open = False
            raise

    def close(self) -> None:
        """Close this process' connection; a forked child's end never closes its parent's. Safe to call twice."""
        self._is_open = False
        connection = self._by_process.pop(os.getpid(), None)
        if connection is not None and connection.client is not None:
            connection.client.close()

    def call(
        self,
        operation: Callable[[MilvusClient, float], Answer],
        *,
        timeout_seconds: float,
        reload: str | None = None,
    ) -> Answer:
        """Return `operation(client, seconds left)`; the operation must hand the seconds on as `timeout=`.

        A collection named by `reload` which the server has released is loaded, and the operation is made again.
        Raises NotOpen, and what `exceptions.py` draws.
        """
        deadline = time.monotonic() + timeout_seconds
        # Not `breaker.call()`: it holds a lock for as long as the call takes, so that threads would wait in line.
        try:
            with self._connection().breaker.calling():
                answer: Answer = self._retrying(timeout_seconds)(self._attempt, operation, deadline, reload)
                return answer
        except CircuitBreakerError as error:
            raise StoreUnavailable("The vector store could not be reached just now; ask again in a moment.") from error

    def health(self, collection: str) -> StoreHealth:
        """Look at the server now, past the breaker. Never raises; blocks for at most the health timeout."""
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
                detail=str(error),
            )
        status, detail = {
            LoadState.Loaded: ("loaded", ""),
            LoadState.NotExist: ("missing", f"The vector store has no collection {collection!r}."),
        }.get(state, ("released", f"Collection {collection!r} is not loaded; the next call loads it."))
        return StoreHealth(
            is_healthy=not detail,
            connection_status="connected",
            collection_status=status,
            latency_ms=(time.monotonic() - started) * 1000,
            detail=detail,
        )

    def _connection(self) -> _ProcessConnection:
        if not self._is_open:
            raise NotOpen("The connection to Milvus is not open: call open() on it first.")
        return self._by_process.setdefault(os.getpid(), _ProcessConnection())

    def _client(self, timeout_seconds: float) -> MilvusClient:
        """Return this process' client, connecting when it has none yet."""
        connection = self._connection()
        if connection.client is not None:
            return connection.client
        if not connection.lock.acquire(timeout=timeout_seconds):
            raise StoreTimeout("The vector store gave no answer in time.")
        try:
            if connection.client is None:
                connection.client = self._connect(timeout_seconds)
            return connection.client
        finally:
            connection.lock.release()

    def _connect(self, timeout_seconds: float) -> MilvusClient:
        try:
            client = MilvusClient(
                uri=self._milvus.uri,
                token=self._milvus.token,
                timeout=timeout_seconds,
                dedicated=True,  # The shared one would hand a forked child its parent's channel.
                grpc_options=GRPC_OPTIONS,
            )
        except (MilvusException, grpc.RpcError) as error:
            raise translated(error) from error
        # By default pymilvus answers an unreachable server with its own retries and a new channel, with a lock held
        # and outside the call's timeout. Handing the error back at once leaves retrying to this class and
        # reconnecting to gRPC, which does both within bounds.
        client._get_connection()._on_rpc_error = _hand_back
        return client

    def _retrying(self, timeout_seconds: float) -> Retrying:
        return Retrying(
            stop=stop_after_attempt(1 + self._performance.max_retries) | stop_before_delay(timeout_seconds),
            wait=wait_exponential_jitter(
                multiplier=FIRST_RETRY_SECONDS, max=LONGEST_RETRY_SECONDS, jitter=FIRST_RETRY_SECONDS
            ),
            retry=retry_if_exception_type(StoreUnavailable),
            reraise=True,
        )

    def _attempt(
        self, operation: Callable[[MilvusClient, float], Answer], deadline: float, reload: str | None
    ) -> Answer:
        client = self._client(_seconds_left(deadline))
        try:
            try:
                return operation(client, _seconds_left(deadline))
            except MilvusException as error:
                if reload is None or not is_released(error):
                    raise
            client.load_collection(reload, timeout=_seconds_left(deadline))
            return operation(client, _seconds_left(deadline))
        except (MilvusException, grpc.RpcError, grpc.FutureTimeoutError) as error:
            raise translated(error) from error


def _hand_back(error: Exception) -> bool:
    raise error


def _seconds_left(deadline: float) -> float:
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise StoreTimeout("The vector store gave no answer in time.")
    return seconds
