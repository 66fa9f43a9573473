"""The OpenAPI document: each name has one meaning."""

from collections import Counter
from typing import Any

import pytest
from ninja import Schema

from webapp.config.api import api


def all_schemas(base: type) -> set[type]:
    below = {each for each in base.__subclasses__() if each.__module__.startswith("webapp.")}
    return below.union(*(all_schemas(each) for each in base.__subclasses__()))


@pytest.fixture(scope="module")
def document() -> Any:
    return api.get_openapi_schema(path_prefix="/api/v1/")


def test_every_schema_name_has_one_meaning() -> None:
    schemas = all_schemas(Schema)
    assert len(schemas) > 10
    names = Counter(schema.__name__ for schema in schemas)
    assert [name for name, count in names.items() if count > 1] == []


@pytest.mark.parametrize(
    ("path", "method"),
    [("/searches", "post"), ("/galleries/{gallery_id}/searches", "post"), ("/searches/{ticket}", "get")],
)
def test_a_search_without_an_answer_is_documented_as_a_ticket(document: Any, path: str, method: str) -> None:
    accepted = document["paths"]["/api/v1" + path][method]["responses"][202]
    schema = accepted["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
    assert schema == "TicketOut"
    assert list(document["components"]["schemas"][schema]["properties"]) == ["ticket"]
