"""What an operator should know of the active generation: its recall, and where the settings say something else."""

from collections.abc import Iterator
from typing import Any, Final

from django.conf import settings

from tasks import dictionaries
from tasks.health.findings import Finding
from tasks.messages.base import IndexSettings
from tasks.targets import collection_config
from webapp.generations.models import Generation
from webapp.generations.selectors import active_generation

SEARCH_PARAMS: Final = "search_params"


def generation_findings() -> Iterator[Finding]:
    """Yield the findings about the active generation. Raises DatabaseError."""
    active = active_generation()
    yield recall_finding(active)
    yield index_finding(active)
    if active.dimension is not None:
        yield dimension_finding(active.dimension)


def recall_finding(active: Generation) -> Finding:
    """Say how many of the true matches searches find, measured over the whole collection."""
    name, recall, least = "measured recall", active.match_recall, settings.RECALL_MIN
    if recall is None:
        return Finding(name=name, ok=True, detail="not measured yet, or nothing to measure")
    detail = f"searches find {recall:.2%} of the matches that exact search finds, at least {least:.2%} are required"
    remedy = (
        "Search with larger parameters, `python manage.py reindex set --search-params ...`, or build another index, "
        "`python manage.py reindex start --index-type ...`."
    )
    is_enough = recall >= least
    return Finding(name=name, ok=is_enough, detail=detail, remedy="" if is_enough else remedy, value=recall)


def index_finding(active: Generation) -> Finding:
    """Compare the index that COLLECTION_CONFIG sets with the active generation's: it describes the first one only."""
    name, here = "index settings", collection_config(active.target)
    wanted = dictionaries.collection_config()
    given = [key for key in IndexSettings.model_fields if settings.COLLECTION_CONFIG.get(key.upper())]
    differing = [key for key in given if getattr(wanted, key) != getattr(here, key)]
    if not differing:
        return Finding(name=name, ok=True, detail="the active generation has what COLLECTION_CONFIG sets")
    detail = "; ".join(
        f"COLLECTION_CONFIG {key.upper()} is {_text(getattr(wanted, key))}, the active generation's is "
        f"{_text(getattr(here, key))}"
        for key in differing
    )
    command = "set --search-params" if differing == [SEARCH_PARAMS] else "start --index-type"
    remedy = (
        "The settings describe the first generation only. To change the active one, use `python manage.py reindex "
        f"{command} ...`; to keep it, set its values or leave them out."
    )
    return Finding(name=name, ok=False, detail=detail, remedy=remedy)


def dimension_finding(pack_dimension: int) -> Finding:
    """Compare the dimension that the operator expects with the pack's, which decides."""
    name, warning = "dimension", dictionaries.collection_config().dimension_warning(pack_dimension)
    if not warning:
        return Finding(name=name, ok=True, detail=f"{pack_dimension} values", value=pack_dimension)
    detail, _, remedy = warning.partition(": the pack decides. ")
    return Finding(name=name, ok=False, detail=f"{detail}: the pack decides", remedy=remedy, value=pack_dimension)


def _text(value: Any) -> str:
    if not isinstance(value, dict):
        return str(value)
    return " ".join(f"{name}={each}" for name, each in value.items()) or "none"
