"""Translates every pymilvus and gRPC exception into one of ours, by what the caller should do.

Unforeseen errors count as retryable: retries end at some point, whereas a refusal would be final.
"""

import re

import grpc
from pymilvus.exceptions import (
    CollectionNotExistException,
    ConnectError,
    ConnectionNotExistException,
    DescribeCollectionException,
    MilvusException,
    MilvusUnavailableException,
    SchemaMismatchRetryableException,
)

from worker.vector_search.exceptions import (
    CollectionMissing,
    CollectionNotLoaded,
    StoreRejected,
    StoreTimeout,
    StoreUnavailable,
    VectorSearchError,
)

#: gRPC's codes for "repeating the request will not help".
_REJECTED_STATUSES = frozenset(
    {
        grpc.StatusCode.ALREADY_EXISTS,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.UNIMPLEMENTED,
    }
)

#: Milvus' own codes: "no such collection" in older and in newer versions; an illegal argument (older), a conflicting
#: index (older), a missing index, a missing database, and the range for wrong parameters in newer versions.
_MISSING_CODES = frozenset({4, 100})
_REJECTED_CODES = frozenset({6, 35, 700, 800, *range(1100, 1200)})

#: Messages that Milvus Lite sends with its one code for everything, and Milvus 2.3 without a code.
_REJECTED_TEXT = re.compile("already exist|invalid index|database.*(does not exist|not found)", re.IGNORECASE)

#: "Not loaded" and "not fully loaded".
_RELEASED_CODES = frozenset({101, 103})

#: What a pymilvus call may raise.
FOREIGN_ERRORS = (MilvusException, grpc.RpcError, grpc.FutureTimeoutError, grpc.FutureCancelledError)

#: _FROM_OUTSIDE: caused by a server's answer or the network. _BETTER_LATER: raised by pymilvus, but worth a retry. All
#: others, except that for a missing collection, come from pymilvus' own checks of its arguments.
_BETTER_LATER = (ConnectionNotExistException, SchemaMismatchRetryableException)
_FROM_OUTSIDE = (MilvusException, ConnectError, DescribeCollectionException, MilvusUnavailableException)

#: Enough of a server's message to understand it.
_MOST_CHARACTERS = 200


def is_released(error: BaseException) -> bool:
    """Return whether the server has the collection but has not loaded it, like Milvus Lite after a restart."""
    if not isinstance(error, MilvusException):
        return False
    text = str(error.message).lower()
    return error.code in _RELEASED_CODES or "released" in text or "not loaded" in text


def translated(error: Exception) -> VectorSearchError:
    """Return our error for one from pymilvus or gRPC. Raise it `from` the original."""
    if isinstance(error, grpc.FutureTimeoutError):
        return StoreTimeout("The vector store did not answer in time.")
    status = _status(error)
    if status is grpc.StatusCode.DEADLINE_EXCEEDED:
        return StoreTimeout("The vector store did not answer in time.")
    if status is not None and status in _REJECTED_STATUSES:
        return StoreRejected(f"The vector store rejected the request: {status.name.lower().replace('_', ' ')}.")
    if status is not None or not isinstance(error, MilvusException):
        return StoreUnavailable("The vector store cannot be reached.")
    if isinstance(error, CollectionNotExistException):
        return CollectionMissing("The vector store has no such collection.")
    if isinstance(error, _BETTER_LATER):
        return StoreUnavailable("The vector store cannot answer now; try again.")
    if type(error) not in _FROM_OUTSIDE:
        # Without the text: pymilvus' own checks may quote the value that they reject.
        return StoreRejected(f"The vector store's client rejected the request ({type(error).__name__}).")
    return _from_answer(error)


def _status(error: Exception) -> grpc.StatusCode | None:
    """Return the gRPC status behind an error; pymilvus keeps it as its code or as its cause."""
    for each in (error, error.__cause__):
        code = getattr(each, "code", None)  # A value in pymilvus, a method in gRPC, absent in gRPC's base class.
        code = code() if callable(code) else code
        if isinstance(code, grpc.StatusCode):
            return code
    return None


def _from_answer(error: MilvusException) -> VectorSearchError:
    text = str(error.message)[:_MOST_CHARACTERS]
    if is_released(error):
        return CollectionNotLoaded("The vector store has the collection but has not loaded it.")
    if error.code in _MISSING_CODES:
        return CollectionMissing(f"The vector store has no such collection: {text}")
    if error.code in _REJECTED_CODES or error.is_input_error or _REJECTED_TEXT.search(text):
        return StoreRejected(f"The vector store rejected the request: {text}")
    if text.startswith("[") and ("Retry timeout" in text or "Retry run out" in text):
        return StoreTimeout("The vector store did not answer in time.")
    return StoreUnavailable(f"The vector store cannot answer now: {text}")
