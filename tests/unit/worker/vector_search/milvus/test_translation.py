"""Every foreign error has a meaning here."""

from types import ModuleType

import grpc
import pymilvus.exceptions as foreign_errors
import pytest
from pymilvus.exceptions import MilvusException, ParamError

from worker.vector_search.config import MilvusConfig, PerformanceConfig
from worker.vector_search.connection import ConnectionManager
from worker.vector_search.exceptions import (
    CollectionMissing,
    CollectionNotLoaded,
    StoreRejected,
    StoreTimeout,
    StoreUnavailable,
    VectorSearchError,
)
from worker.vector_search.milvus.translation import is_released, translated

#: pymilvus' own checks of what it is given. The caller is wrong, and will be again.
OF_THE_CLIENT = {
    *(
        foreign_errors.AmbiguousIndexName,
        foreign_errors.AutoIDException,
        foreign_errors.CannotInferSchemaException,
        foreign_errors.ClusteringKeyException,
    ),
    *(
        foreign_errors.ConnectionConfigException,
        foreign_errors.DataNotMatchException,
        foreign_errors.DataTypeNotMatchException,
    ),
    *(
        foreign_errors.DataTypeNotSupportException,
        foreign_errors.FieldTypeException,
        foreign_errors.FieldsTypeException,
    ),
    *(
        foreign_errors.FunctionsTypeException,
        foreign_errors.IndexNotExistException,
        foreign_errors.InvalidConsistencyLevel,
        foreign_errors.ParamError,
    ),
    *(
        foreign_errors.PartitionAlreadyExistException,
        foreign_errors.PartitionKeyException,
        foreign_errors.PrimaryKeyException,
    ),
    *(foreign_errors.SchemaNotReadyException, foreign_errors.ServerVersionIncompatibleException),
}

#: What each class of pymilvus means when its code and text say nothing.
MEANINGS: dict[type[MilvusException], type[VectorSearchError]] = {
    **dict.fromkeys(OF_THE_CLIENT, StoreRejected),
    foreign_errors.CollectionNotExistException: CollectionMissing,
    foreign_errors.MilvusException: StoreUnavailable,
    foreign_errors.ConnectError: StoreUnavailable,
    foreign_errors.ConnectionNotExistException: StoreUnavailable,
    foreign_errors.DescribeCollectionException: StoreUnavailable,
    foreign_errors.MilvusUnavailableException: StoreUnavailable,
    foreign_errors.SchemaMismatchRetryableException: StoreUnavailable,
}


def classes_of(module: ModuleType, base: type[BaseException] = Exception) -> set[type[BaseException]]:
    """Return the exception classes that the module shows."""
    return {found for found in vars(module).values() if isinstance(found, type) and issubclass(found, base)}


def everything_under(base: type[BaseException]) -> set[type[BaseException]]:
    """Return the class and all that are derived from it, in whatever module that has been imported."""
    return {base}.union(*(everything_under(derived) for derived in base.__subclasses__()))


class Failed(grpc.RpcError):  # type: ignore[misc]  # grpc ships no types
    """As gRPC raises them: an error that is asked for its code."""

    def __init__(self, status: grpc.StatusCode) -> None:
        self._status = status

    def code(self) -> grpc.StatusCode:
        return self._status


def test_no_class_of_pymilvus_is_without_a_meaning() -> None:
    shown = classes_of(foreign_errors) | everything_under(MilvusException)

    assert {found for found in shown if found.__module__.startswith("pymilvus")} == set(MEANINGS)


@pytest.mark.parametrize(("foreign", "meaning"), sorted(MEANINGS.items(), key=str))
def test_every_class_of_pymilvus_is_translated(
    foreign: type[MilvusException], meaning: type[VectorSearchError]
) -> None:
    assert type(translated(foreign(code=65535, message="why"))) is meaning


@pytest.mark.parametrize("foreign", sorted(classes_of(grpc) | set(MEANINGS), key=str))
def test_every_class_of_pymilvus_and_grpc_crosses_the_border_as_ours(
    foreign: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = ConnectionManager(
        milvus=MilvusConfig(uri="http://127.0.0.1:1", max_retries=0), performance=PerformanceConfig()
    )
    monkeypatch.setattr(manager, "_connect", lambda _seconds: object())
    manager.open()
    error = foreign()

    def fail(_client: object, _seconds: float) -> None:
        raise error

    with pytest.raises(VectorSearchError) as raised:
        manager.call(fail, timeout_seconds=1)
    assert raised.value.__cause__ is error


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
        pytest.param(MilvusException(101, "collection not loaded"), CollectionNotLoaded, id="released"),
        pytest.param(MilvusException(100, "can't find collection"), CollectionMissing, id="no collection"),
        pytest.param(MilvusException(1100, "invalid parameter"), StoreRejected, id="bad parameter"),
        pytest.param(MilvusException(6, "illegal argument"), StoreRejected, id="bad argument, Milvus Lite"),
        pytest.param(MilvusException(1, "collection 'x' already exists"), StoreRejected, id="exists"),
        pytest.param(MilvusException(800, "database not found"), StoreRejected, id="no database"),
        pytest.param(MilvusException(1, "database 'x' does not exist"), StoreRejected, id="no database, Milvus Lite"),
        pytest.param(MilvusException(message="database:x not found"), StoreRejected, id="no database, Milvus 2.3"),
        pytest.param(MilvusException(message="invalid index type: X"), StoreRejected, id="no such index, Milvus 2.3"),
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
