"""The pack decides the dimension; a worker's log says when the operator expected another one."""

import pytest

from worker.vector_search.config import CollectionConfig, MilvusConfig, PerformanceConfig
from worker.vector_search.core import VectorSearchService
from worker.vector_search.exceptions import StoreUnavailable


@pytest.mark.parametrize(("expected", "warnings"), [(None, 0), (128, 0), (512, 1)])
def test_opening_logs_that_the_pack_has_another_dimension_than_expected(
    expected: int | None, warnings: int, caplog: pytest.LogCaptureFixture
) -> None:
    service = VectorSearchService(
        milvus=MilvusConfig(uri="http://127.0.0.1:1", timeout_seconds=0.2, max_retries=0),
        collection=CollectionConfig(name="faces", dimension=expected),
        performance=PerformanceConfig(),
        dimension=128,
        fingerprint="f",
    )

    with pytest.raises(StoreUnavailable):
        service.open()

    said = [record.message for record in caplog.records if "DIMENSION" in record.message]
    assert len(said) == warnings
    assert all("is 512" in sentence and "128 values" in sentence for sentence in said)
