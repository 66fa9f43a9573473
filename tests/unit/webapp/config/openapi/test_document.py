"""The OpenAPI document: public, complete, and the one that the repository shows."""

import json
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from django.conf import settings
from django.http import HttpRequest
from django.test import Client
from ninja.responses import NinjaJSONEncoder

from webapp.accounts.authentication import Needs
from webapp.accounts.callers import Scope
from webapp.config.api import api
from webapp.config.openapi.document import DocumentedAPI
from webapp.config.openapi.examples import EXAMPLES, EXCEPTIONS

VERSIONED = Path(settings.BASE_DIR) / "docs" / "openapi.json"
PROBLEM = "application/problem+json"


@pytest.fixture(scope="module")
def document() -> Any:
    """The document as a client gets it."""
    return json.loads(json.dumps(api.get_openapi_schema(), cls=NinjaJSONEncoder))


def operations(document: Any) -> Iterator[tuple[str, Any]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def examples(document: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every field and parameter that needs an example of its own, with its schema."""
    for schema, content in document["components"]["schemas"].items():
        for name, field in content.get("properties", {}).items():
            if not is_made_of_others(field):
                yield f"{schema}.{name}", field
    for _, operation in operations(document):
        for parameter in operation["parameters"]:
            yield f"{operation['operationId']}.{parameter['name']}", parameter["schema"]


def is_made_of_others(field: dict[str, Any]) -> bool:
    kinds = [field, field.get("items", {}), *field.get("anyOf", [])]
    return any("$ref" in kind or "$ref" in kind.get("items", {}) for kind in kinds)


def resolved(document: Any, value: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in value:
        *_, kind, name = value["$ref"].split("/")
        value = document["components"][kind][name]
    return value


def test_anybody_may_read_the_document_and_its_page(db: None) -> None:
    client = Client()
    assert client.get("/api/v1/docs").status_code == 200
    answer = client.get("/api/v1/openapi.json")
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/json")
    assert "/api/v1/galleries" in answer.json()["paths"]


@pytest.mark.parametrize("address", ["/api/v1/docs", "/api/v1/openapi.json"])
def test_the_document_can_only_be_read(db: None, address: str) -> None:
    assert Client().head(address).status_code == 200
    assert Client().post(address).status_code == 405


def test_the_repository_has_the_document_as_it_is(document: Any) -> None:
    assert json.loads(VERSIONED.read_text()) == document, "run `make schema` and look at what has changed"


def test_every_operation_says_how_to_authenticate_and_which_scope_it_needs(document: Any) -> None:
    schemes = set(document["components"]["securitySchemes"])
    for label, operation in operations(document):
        kinds = {kind: scopes for entry in operation["security"] for kind, scopes in entry.items()}
        assert set(kinds) <= schemes, label
        assert "session" in kinds, label
        scopes = {scope for scopes in kinds.values() for scope in scopes}
        assert scopes <= set(Scope), label
        assert all(f"`{scope}`" in operation["description"] for scope in scopes), label


def test_every_refusal_is_a_problem_and_every_operation_has_the_usual_ones(document: Any) -> None:
    for label, operation in operations(document):
        answers = operation["responses"]
        assert {"400", "401", "403", "422", "429", "500", "503"} <= set(answers), label
        for status, answer in answers.items():
            if int(status) >= 400:
                content = resolved(document, answer)["content"]
                assert list(content) == [PROBLEM], f"{label} {status}"
                assert content[PROBLEM]["schema"]["$ref"].endswith("/ProblemOut")
                assert content[PROBLEM]["example"]["status"] == int(status)


def test_every_reference_leads_somewhere(document: Any) -> None:
    def references(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            yield from [value["$ref"]] if "$ref" in value else []
            for each in value.values():
                yield from references(each)
        elif isinstance(value, list):
            for each in value:
                yield from references(each)

    found = set()
    for reference in references(document):
        *_, kind, name = reference.split("/")
        assert name in document["components"][kind]
        found.add((kind, name))
    kinds = ("schemas", "headers", "responses")
    assert {(kind, name) for kind in kinds for name in document["components"][kind]} - found == set(), "used by nobody"


def test_enumerations_of_the_same_name_are_told_apart() -> None:
    """Models have a State each, and so have parameters."""

    class Shape(StrEnum):
        ROUND = "round"

    shape = Shape

    class Shape(StrEnum):  # type: ignore[no-redef]
        SQUARE = "square"

    other = DocumentedAPI(auth=Needs(Scope.READ), urls_namespace="shapes")
    for path, kind in (("/plates", shape), ("/tiles", Shape)):

        def view(request: HttpRequest, shape: Any = None) -> None: ...

        view.__annotations__["shape"] = kind | None
        other.get(path, operation_id=path)(view)
    paths = other.get_openapi_schema(path_prefix="")["paths"]
    (plates,), (tiles,) = (
        [each["schema"]["anyOf"][0]["enum"] for each in paths[path]["get"]["parameters"] if each["in"] == "query"]
        for path in ("/plates", "/tiles")
    )
    assert (plates, tiles) == (["round"], ["square"])


def test_operation_ids_are_unique_and_name_no_module(document: Any) -> None:
    ids = [operation["operationId"] for _, operation in operations(document)]
    assert len(ids) == len(set(ids))
    assert not [each for each in ids if "webapp" in each]


def test_the_servers_are_relative(document: Any) -> None:
    assert [server["url"] for server in document["servers"]] == ["/"]


def test_every_field_and_parameter_has_an_example_that_is_valid(document: Any) -> None:
    without = [label for label, schema in examples(document) if not schema.get("examples")]
    assert without == [], "add them to webapp/config/openapi/examples.py"
    components = {"components": document["components"]}
    for label, schema in examples(document):
        # Not the document's rules alone: `format` counts, too.
        validator = jsonschema_rs.Draft202012Validator(components | schema, validate_formats=True)
        for example in schema["examples"]:
            assert validator.is_valid(example), f"{label}: {example!r}"


def test_no_example_is_left_over(document: Any) -> None:
    labels = {label for label, _ in examples(document)}
    assert {label for label in EXCEPTIONS if label not in labels} == set()
    names = {label.partition(".")[2] for label in labels}
    assert {name for name in EXAMPLES if name not in names} == set()
