"""What an API request may bring: generated over every operation of the API."""

import json
import uuid
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from webapp.config.api import api as ninja_api
from webapp.gallery.models import Gallery
from webapp.http.schemas import JsonIn

DOCUMENT: Any = ninja_api.get_openapi_schema(path_prefix="/api/v1/")
MODELS: Any = DOCUMENT["components"]["schemas"]


class Operation(NamedTuple):
    method: str
    path: str
    details: Any

    @property
    def content(self) -> Any:
        """The schema of the body, by its media type."""
        given = self.details.get("requestBody", {}).get("content", {})
        return {kind: resolved(each["schema"]) for kind, each in given.items()}

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def resolved(schema: Any) -> Any:
    return MODELS[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema


def operations() -> list[Operation]:
    paths = DOCUMENT["paths"].items()
    return [Operation(method, path, details) for path, found in paths for method, details in found.items()]


def sample(schema: Any) -> Any:
    """The least value that the schema takes."""
    schema = resolved(schema)
    if "anyOf" in schema:
        return sample(schema["anyOf"][0])
    match schema["type"]:
        case "object":
            names = schema.get("required") or list(schema.get("properties", ()))[: schema.get("minProperties", 0)]
            return {name: sample(schema["properties"][name]) for name in names}
        case "array":
            return [sample(schema["items"])]
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return True
        case _:
            return str(uuid.uuid4()) if schema.get("format") == "uuid" else schema.get("enum", ["x"])[0]


def body_of(operation: Operation, **besides: Any) -> dict[str, Any]:
    """The keyword arguments of a test client's request that sends the least body, and this besides."""
    if "application/json" in operation.content:
        body = sample(operation.content["application/json"]) | besides
        return {"data": json.dumps(body), "content_type": "application/json"}
    if "multipart/form-data" in operation.content:
        names = operation.content["multipart/form-data"]["properties"]
        return {"data": {name: SimpleUploadedFile("a.jpg", b"x") for name in names} | besides}
    return {}


def address_of(operation: Operation) -> str:
    address = operation.path
    for each in operation.details["parameters"]:
        if each["in"] == "path":
            value = "1" if each["schema"]["type"] == "integer" else str(uuid.uuid4())
            address = address.replace(f"{{{each['name']}}}", value)
    return address


OPERATIONS = operations()
WITH_JSON = [each for each in OPERATIONS if "application/json" in each.content]
WITH_FORM = [each for each in OPERATIONS if "multipart/form-data" in each.content]


@pytest.fixture
def api(db: None, face_search: Any) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client


def refusal(response: Any) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
def test_a_query_parameter_that_an_operation_does_not_know_is_refused_by_name(
    api: Client, operation: Operation
) -> None:
    address = address_of(operation) + "?surprise=1"
    response = getattr(api, operation.method)(address, **body_of(operation))
    assert refusal(response) == (422, "unknown_parameter")
    assert "surprise" in response.json()["detail"]


@pytest.mark.parametrize("operation", WITH_JSON, ids=str)
def test_a_json_field_that_an_operation_does_not_know_is_refused_by_name(api: Client, operation: Operation) -> None:
    response = getattr(api, operation.method)(address_of(operation), **body_of(operation, surprise=1))
    assert refusal(response) == (422, "unknown_parameter")
    assert "surprise" in response.json()["detail"]


@pytest.mark.parametrize("operation", WITH_FORM, ids=str)
@pytest.mark.parametrize("extra", ["1", SimpleUploadedFile("a.jpg", b"x")], ids=["field", "file"])
def test_a_form_field_or_file_that_an_operation_does_not_know_is_refused_by_name(
    api: Client, operation: Operation, extra: Any
) -> None:
    response = getattr(api, operation.method)(address_of(operation), **body_of(operation, surprise=extra))
    assert refusal(response) == (422, "unknown_parameter")


def json_models() -> Iterator[type]:
    for router in ninja_api._get_bound_routers():
        for view in router.path_operations.values():
            for operation in view.operations:
                for model in operation.models:
                    if model.__ninja_param_source__ == "body":
                        yield from (field.annotation for field in model.model_fields.values() if field.annotation)


def test_every_json_body_refuses_unknown_fields_and_other_types() -> None:
    models = list(json_models())
    assert len(models) > 5
    assert [each for each in models if not issubclass(each, JsonIn)] == []


@pytest.mark.parametrize("name", [5, True, None, ["x"], {}])
def test_what_is_no_text_is_no_name(api: Client, name: Any) -> None:
    response = api.post("/api/v1/galleries", json.dumps({"name": name}), content_type="application/json")
    assert refusal(response) == (422, "invalid_request")


@pytest.mark.parametrize("rate", ["5", True, "", [5]])
def test_what_is_no_number_is_no_rate(api: Client, rate: Any) -> None:
    response = api.post("/api/v1/generations/1/rate", json.dumps({"rate_limit": rate}), content_type="application/json")
    assert refusal(response) == (422, "invalid_request")


@pytest.mark.parametrize("query", ["limit=1&limit=2", "name=a&name=b"])
def test_a_parameter_that_is_taken_once_may_not_be_given_twice(api: Client, query: str) -> None:
    assert refusal(api.get(f"/api/v1/galleries?{query}")) == (422, "repeated_parameter")


@pytest.mark.parametrize("operation", [each for each in OPERATIONS if each.method == "get"], ids=str)
def test_an_empty_parameter_is_the_same_as_none(api: Client, gallery: Gallery, operation: Operation) -> None:
    query = "&".join(f"{each['name']}=" for each in operation.details["parameters"] if each["in"] == "query")
    address = address_of(operation)
    assert api.get(f"{address}?{query}").status_code == api.get(address).status_code


def test_an_empty_similarity_is_that_of_the_pack(api: Client, gallery: Gallery) -> None:
    api.force_login(gallery.owner)
    address = "/api/v1/searches?min_similarity=&limit=&faces=&gallery_id="
    assert api.post(address, {"image": SimpleUploadedFile("a.jpg", b"x")}).status_code == 202


def test_strangers_do_not_learn_which_parameters_there_are(db: None) -> None:
    assert refusal(Client().get("/api/v1/galleries?surprise=1")) == (401, "not_logged_in")


def test_a_long_name_is_shortened_and_shown_safely(api: Client) -> None:
    response = api.get("/api/v1/galleries", {"\x1b[2J" + "x" * 9999: "1"})
    assert refusal(response) == (422, "unknown_parameter")
    assert len(response.json()["detail"]) < 150
    assert "\x1b" not in response.json()["detail"]


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        pytest.param(b'{"name": "a", "name": "b"}', "repeated_parameter", "twice", id="a member twice"),
        pytest.param(b"", "invalid_request", "a JSON object", id="nothing"),
        pytest.param(b"null", "invalid_request", "a JSON object", id="null"),
        pytest.param(b"[]", "invalid_request", "a JSON object", id="a list"),
        pytest.param(b"{}", "invalid_request", "name: ", id="a member missing"),
    ],
)
def test_json_that_is_refused_is_named_in_the_senders_words(api: Client, body: bytes, code: str, words: str) -> None:
    refused = api.post("/api/v1/galleries", body, content_type="application/json").json()
    assert refused["code"] == code
    assert words in refused["detail"]


def test_what_is_wrong_in_a_list_is_named_with_its_place(api: Client, gallery: Gallery) -> None:
    body = {"photo_ids": ["x"]}
    refused = api.post(f"/api/v1/galleries/{gallery.id}/photos/delete", body, content_type="application/json").json()
    assert refused["detail"].startswith("photo_ids.0: ")


def test_a_text_in_the_place_of_a_file_is_named(api: Client, gallery: Gallery) -> None:
    refused = api.post("/api/v1/searches", {"image": "photo.jpg"}).json()
    assert (refused["code"], refused["detail"]) == ("invalid_request", "“image” must be a file.")
