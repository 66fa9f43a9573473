"""What an operator is told of the active generation, and what to do."""

from typing import Any

import pytest

from tasks.health.findings import Finding
from webapp.generations.models import Generation
from webapp.generations.searched.findings import generation_findings
from webapp.generations.selectors import active_generation

pytestmark = pytest.mark.django_db


def finding(name: str) -> Finding:
    return next(each for each in generation_findings() if each.name == name)


def measured(recall: float | None) -> None:
    Generation.objects.update(measurements={"searched": {"match_recall": recall}})


def test_a_recall_below_the_bound_names_both_remedies() -> None:
    active_generation()
    measured(0.9)
    found = finding("measured recall")
    assert (found.ok, found.value) == (False, 0.9)
    assert found.detail == "searches find 90.00% of the matches that exact search finds, at least 99.00% are required"
    assert "reindex set --search-params" in found.remedy
    assert "reindex start --index-type" in found.remedy


@pytest.mark.parametrize("recall", [None, 0.99, 1.0])
def test_enough_recall_or_none_to_measure_is_no_fault(recall: float | None) -> None:
    active_generation()
    measured(recall)
    assert finding("measured recall").ok


@pytest.mark.parametrize(
    ("config", "ok"),
    [
        pytest.param({}, True, id="the settings say nothing"),
        pytest.param({"INDEX_TYPE": None, "INDEX_PARAMS": {}}, True, id="not set"),
        pytest.param({"INDEX_TYPE": "FLAT", "METRIC_TYPE": "COSINE"}, True, id="the same"),
        pytest.param({"METRIC_TYPE": "IP"}, False, id="another metric"),
        pytest.param({"INDEX_TYPE": "HNSW"}, False, id="another index"),
    ],
)
def test_settings_that_differ_from_the_active_generation_are_found(
    settings: Any, config: dict[str, Any], ok: bool
) -> None:
    active_generation()
    settings.COLLECTION_CONFIG = config
    assert finding("index settings").ok == ok


def test_other_search_parameters_are_set_and_another_index_is_built(settings: Any) -> None:
    settings.COLLECTION_CONFIG = {"INDEX_TYPE": "IVF_FLAT", "SEARCH_PARAMS": {"nprobe": 10}}
    active_generation()
    settings.COLLECTION_CONFIG = {"INDEX_TYPE": "IVF_FLAT", "SEARCH_PARAMS": {"nprobe": 20}}
    found = finding("index settings")
    assert found.detail == ("COLLECTION_CONFIG SEARCH_PARAMS is nprobe=20, the active generation's is nprobe=10")
    assert "reindex set --search-params" in found.remedy
    settings.COLLECTION_CONFIG = {"INDEX_TYPE": "HNSW"}
    assert "reindex start --index-type" in finding("index settings").remedy


def test_a_dimension_that_is_not_the_packs_is_found(settings: Any) -> None:
    active_generation()
    Generation.objects.update(dimension=128)
    assert finding("dimension").ok
    settings.COLLECTION_CONFIG = {"DIMENSION": 512}
    found = finding("dimension")
    assert (found.ok, found.value) == (False, 128)
    assert found.detail == (
        "COLLECTION_CONFIG DIMENSION is 512, but the pack's embeddings have 128 values: the pack decides"
    )
    assert found.remedy == "Set it to 128, or leave it out."
