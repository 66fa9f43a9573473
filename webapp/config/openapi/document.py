"""The API whose document says more than ninja knows: who may call an operation, all its answers, and examples."""

from functools import cache
from typing import Any

from ninja import NinjaAPI
from ninja.openapi.schema import OpenAPISchema
from ninja.operation import Operation

from webapp.config.openapi import answers, security
from webapp.config.openapi.examples import add_examples


class DocumentedAPI(NinjaAPI):
    """NinjaAPI with a complete document."""

    def get_openapi_schema(
        self, *, path_prefix: str | None = None, path_params: dict[str, Any] | None = None
    ) -> OpenAPISchema:
        """Return the document, which is made once: anybody may ask for it, as often as the door allows."""
        return _document(self, self.get_root_path(path_params or {}) if path_prefix is None else path_prefix)

    def get_openapi_operation_id(self, operation: Operation) -> str:
        """Return the name of the view: stable, wherever the view moves."""
        name: str = operation.view_func.__name__
        return name


@cache
def _document(api: NinjaAPI, path_prefix: str) -> OpenAPISchema:
    document = Document(api, path_prefix)
    add_examples(document)
    return document


class Document(OpenAPISchema):
    """ninja's document, completed operation by operation."""

    def __init__(self, api: NinjaAPI, path_prefix: str) -> None:
        self._statuses: set[int] = set()
        super().__init__(api, path_prefix)

    def operation_details(self, operation: Operation) -> dict[str, Any]:
        details: dict[str, Any] = super().operation_details(operation)
        needs = security.needs_of(operation)
        details["parameters"] += answers.request_headers(operation)
        details["responses"] = answers.completed(operation, details["responses"])
        self._statuses.update(details["responses"])
        details["security"] = security.ways_in(needs)
        details["description"] = "\n\n".join(filter(None, [details.get("description"), security.who_may(needs)]))
        return details

    def request_body(self, operation: Operation) -> dict[str, Any]:
        """Say of forms what JSON bodies say themselves: unknown fields are refused."""
        body: dict[str, Any] = super().request_body(operation)
        for content in body.get("content", {}).values():
            if "properties" in content["schema"]:
                content["schema"]["additionalProperties"] = False
        return body

    def _extract_parameters(self, model: Any) -> list[dict[str, Any]]:
        """Write enumerations out where they are used: ninja would keep one of all that have the same name."""
        schemas = self.schemas
        self.schemas = dict(schemas)
        parameters = super()._extract_parameters(model)
        for parameter in parameters:
            parameter["schema"] = _written_out(parameter["schema"], self.schemas)
        self.schemas = schemas
        return parameters

    def get_components(self) -> dict[str, Any]:
        return {
            **super().get_components(),
            "headers": answers.HEADERS,
            "responses": answers.problem_responses(self._statuses),
            "securitySchemes": security.SCHEMES,
        }


def _written_out(schema: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in schema:
        return dict(schemas[schema["$ref"].rpartition("/")[2]])
    if "anyOf" in schema:
        return {**schema, "anyOf": [_written_out(each, schemas) for each in schema["anyOf"]]}
    return schema
