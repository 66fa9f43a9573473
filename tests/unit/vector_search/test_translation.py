"""Every foreign error has a meaning here."""

import grpc
import pymilvus.exceptions
import pytest
from pymilvus.exceptions import MilvusException, ParamError

from worker.vector_search.exceptions import (
    CollectionMissing,
    StoreRejected,
    StoreTimeout,
    StoreUnavailable,
    VectorSearchError,
)
from worker.vector_search.translation import is_released, translated

FOREIGN = [
    each for each in vars(pymilvus.exceptions).values() if isinstance(each, type) and issubclass(each, MilvusException)
]


class Failed(grpc.RpcError):  # type: ignore[misc]  # grpc ships no types
    """As gRPC raises them: an error that is asked for its code."""

    def __init__(self, status: grpc.StatusCode) -> None:
        self._status = status

    def code(self) -> grpc.StatusCode:
        return self._status


@pytest.mark.parametrize("foreign", FOREIGN)
def test_every_class_of_pymilvus_is_translated(foreign: type[MilvusException]) -> None:
    assert isinstance(translated(foreign(code=65535, message="why")), VectorSearchError)


@pytest.mark.parametrize("status", list(grpc.StatusCode))
def test_every_status_of_grpc_is_translated_however_pymilvus_hands_it_on(status: grpc.StatusCode) -> None:
    caused = MilvusException(code=2, message="Fail connecting to server")
    caused.__cause__ = Failed(status)
    as_code = MilvusException(code=status, message="[search] Retry timeout: 2s")

    kinds = {type(translated(error)) for error in (Failed(status), caused, as_code)}

    assert len(kinds) == 1
    assert kinds <= {StoreTimeout, StoreUnavailable, StoreRejected}


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        pytest.param(Failed(grpc.StatusCode.DEADLINE_EXCEEDED), StoreTimeout, id="deadline"),
        pytest.param(grpc.FutureTimeoutError(), StoreTimeout, id="no channel in time"),
        pytest.param(MilvusException(message="[query] Retry timeout: 2s"), StoreTimeout, id="pymilvus gave up"),
        pytest.param(Failed(grpc.StatusCode.UNAVAILABLE), StoreUnavailable, id="no server"),
        pytest.param(Failed(grpc.StatusCode.UNAUTHENTICATED), StoreRejected, id="wrong token"),
        pytest.param(MilvusException(2, "Fail connecting to server"), StoreUnavailable, id="cannot connect"),
        pytest.param(MilvusException(8, "rate limit exceeded"), StoreUnavailable, id="rate limit"),
        pytest.param(MilvusException(101, "collection not loaded"), StoreUnavailable, id="released"),
        pytest.param(MilvusException(100, "can't find collection"), CollectionMissing, id="no collection"),
        pytest.param(MilvusException(1100, "invalid parameter"), StoreRejected, id="bad parameter"),
        pytest.param(MilvusException(6, "illegal argument"), StoreRejected, id="bad argument, Milvus Lite"),
        pytest.param(MilvusException(1, "collection 'x' already exists"), StoreRejected, id="exists"),
        pytest.param(MilvusException(5, "disk?", is_input_error=True), StoreRejected, id="the server says: input"),
        pytest.param(MilvusException(65535, "what?"), StoreUnavailable, id="unforeseen"),
        pytest.param(ParamError(message="bad limit"), StoreRejected, id="pymilvus' own check"),
    ],
)
def test_an_error_says_what_to_do(error: Exception, kind: type[VectorSearchError]) -> None:
    assert type(translated(error)) is kind


def test_no_vector_that_pymilvus_quotes_gets_into_our_text() -> None:
    quoted = ParamError(message="`data` value [0.123456, 0.654321] is illegal")

    assert "0.123456" not in str(translated(quoted))


@pytest.mark.parametrize(
    ("error", "released"),
    [
        pytest.param(MilvusException(101, "x"), True, id="code"),
        pytest.param(MilvusException(1, "Collection 'x' is in state 'released'"), True, id="text of Milvus Lite"),
        pytest.param(MilvusException(65535, "collection not loaded"), True, id="text of Milvus"),
        pytest.param(MilvusException(100, "no collection"), False, id="missing"),
        pytest.param(Failed(grpc.StatusCode.UNAVAILABLE), False, id="no server"),
    ],
)
def test_a_released_collection_is_told_from_other_troubles(error: Exception, released: bool) -> None:
    assert is_released(error) is released
