"""Every pymilvus and gRPC exception, in our words.

Told apart by what the caller should do. What nobody has foreseen counts as retryable: a retry policy ends, a
refusal would be for ever.
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

#: gRPC's codes for "the same request will not do better later".
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

#: Milvus' own codes: an older and a newer one for "no such collection"; an illegal argument (older), a clashing
#: index (older), a missing index, a missing database, and the newer server's range for wrong parameters.
_MISSING_CODES = frozenset({4, 100})
_REJECTED_CODES = frozenset({6, 35, 700, 800, *range(1100, 1200)})

#: What Milvus Lite says under its code for anything, and what Milvus 2.3 says without a code.
_REJECTED_TEXT = re.compile("already exist|invalid index|database.*(does not exist|not found)", re.IGNORECASE)

#: "Not loaded" and "not fully loaded".
_RELEASED_CODES = frozenset({101, 103})

#: What a call may raise that is not ours.
FOREIGN_ERRORS = (MilvusException, grpc.RpcError, grpc.FutureTimeoutError, grpc.FutureCancelledError)

#: The classes that a server's answer or the network is behind; the others are pymilvus' own checks of its arguments,
#: except for these: a collection that it has just found missing, and what it would do better when it is asked again.
_BETTER_LATER = (ConnectionNotExistException, SchemaMismatchRetryableException)
_FROM_OUTSIDE = (MilvusException, ConnectError, DescribeCollectionException, MilvusUnavailableException)

#: Enough of a server's sentence to understand it.
_MOST_CHARACTERS = 200


def is_released(error: BaseException) -> bool:
    """Say whether the server holds the collection but has not loaded it, as Milvus Lite after a restart."""
    if not isinstance(error, MilvusException):
        return False
    text = str(error.message).lower()
    return error.code in _RELEASED_CODES or "released" in text or "not loaded" in text


def translated(error: Exception) -> VectorSearchError:
    """Return our error for one of pymilvus' or gRPC's. Raise it `from` the other."""
    if isinstance(error, grpc.FutureTimeoutError):
        return StoreTimeout("The vector store gave no answer in time.")
    status = _status(error)
    if status is grpc.StatusCode.DEADLINE_EXCEEDED:
        return StoreTimeout("The vector store gave no answer in time.")
    if status is not None and status in _REJECTED_STATUSES:
        return StoreRejected(f"The vector store refuses the request: {status.name.lower().replace('_', ' ')}.")
    if status is not None or not isinstance(error, MilvusException):
        return StoreUnavailable("The vector store cannot be reached.")
    if isinstance(error, CollectionNotExistException):
        return CollectionMissing("The vector store has no such collection.")
    if isinstance(error, _BETTER_LATER):
        return StoreUnavailable("The vector store cannot answer now; ask again.")
    if type(error) not in _FROM_OUTSIDE:
        # No text: pymilvus' own checks may quote the value that they refuse.
        return StoreRejected(f"The vector store's client refuses the request ({type(error).__name__}).")
    return _from_answer(error)


def _status(error: Exception) -> grpc.StatusCode | None:
    """Return the gRPC status behind an error; pymilvus keeps it as its code or as its cause."""
    for each in (error, error.__cause__):
        code = getattr(each, "code", None)  # pymilvus' is a value, gRPC's a method, and its base class has none.
        code = code() if callable(code) else code
        if isinstance(code, grpc.StatusCode):
            return code
    return None


def _from_answer(error: MilvusException) -> VectorSearchError:
    text = str(error.message)[:_MOST_CHARACTERS]
    if is_released(error):
        return CollectionNotLoaded("The vector store holds the collection but has not loaded it.")
    if error.code in _MISSING_CODES:
        return CollectionMissing(f"The vector store has no such collection: {text}")
    if error.code in _REJECTED_CODES or error.is_input_error or _REJECTED_TEXT.search(text):
        return StoreRejected(f"The vector store refuses the request: {text}")
    if text.startswith("[") and ("Retry timeout" in text or "Retry run out" in text):
        return StoreTimeout("The vector store gave no answer in time.")
    return StoreUnavailable(f"The vector store cannot answer now: {text}")
