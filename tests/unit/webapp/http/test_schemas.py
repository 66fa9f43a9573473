"""Every number that comes from outside is finite and bounded, wherever it enters."""

import argparse
from collections.abc import Iterator
from dataclasses import fields
from typing import Any, get_type_hints

import pytest
from django.core.management import get_commands, load_command_class
from hypothesis import given
from hypothesis import strategies as st

from webapp.config import environment
from webapp.config.api import api
from webapp.http import schemas
from worker.config import FaceConfig
from worker.errors import ConfigError
from worker.settings import Settings
from worker.vector_search.config import CollectionConfig, MilvusConfig, MonitoringConfig, PerformanceConfig

UNUSABLE = ["1e308", "-1e308", "1e999", "inf", "-Infinity", "nan", "9" * 400, "9" * 5000]


# -- the API ------------------------------------------------------------------------------------------------


def parts(schema: Any) -> Iterator[dict[str, Any]]:
    """The schema and all those inside it."""
    if isinstance(schema, dict):
        yield schema
    for each in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        yield from parts(each)


def test_every_number_that_the_api_takes_has_both_bounds() -> None:
    document: Any = api.get_openapi_schema(path_prefix="/api/v1/")
    models = document["components"]["schemas"]
    taken: dict[str, Any] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            taken |= {f"{method} {path} {each['name']}": each["schema"] for each in operation.get("parameters", [])}
            body = operation.get("requestBody", {})
            taken[f"{method} {path}"] = body
            taken |= {
                f"{method} {path} {each['$ref']}": models[each["$ref"].rpartition("/")[2]]
                for each in parts(body)
                if "$ref" in each
            }
    found = [
        (name, {"minimum", "exclusiveMinimum"} & set(each), {"maximum", "exclusiveMaximum"} & set(each))
        for name, schema in taken.items()
        for each in parts(schema)
        if each.get("type") in ("integer", "number")
    ]
    assert len(found) > 15
    assert [name for name, lowest, highest in found if not (lowest and highest)] == []


# -- commands -----------------------------------------------------------------------------------------------

OURS = sorted(name for name, app in get_commands().items() if app.startswith("webapp."))


def arguments(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for each in action.choices.values():
                yield from arguments(each)
        else:
            yield action


@pytest.mark.parametrize("name", OURS)
def test_no_command_takes_a_number_without_bounds(name: str) -> None:
    parser = load_command_class("webapp." + get_commands()[name].split(".")[1], name).create_parser("manage.py", name)
    for action in arguments(parser):
        assert action.type not in (int, float) or action.dest == "verbosity", action
        if not isinstance(action.type, type) and action.type is not None:
            for text in UNUSABLE:
                with pytest.raises((argparse.ArgumentTypeError, ValueError)):
                    action.type(text)  # type: ignore[operator]


@given(st.floats() | st.integers())
def test_a_rate_is_a_number_within_its_bounds(value: float) -> None:
    read = schemas.argument(schemas.PhotosPerSecond)
    if 0.01 <= value <= 10_000:
        assert read(str(value)) == float(value)
    else:
        with pytest.raises(argparse.ArgumentTypeError, match="must be"):
            read(str(value))


# -- the environment and the dictionaries -------------------------------------------------------------------


@pytest.mark.parametrize("value", UNUSABLE)
def test_no_variable_is_beyond_its_bounds(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("NUMBER", value)
    with pytest.raises(ConfigError, match="NUMBER must be a "):
        environment.number("NUMBER", 1.0, highest=1000)
    with pytest.raises(ConfigError, match="NUMBER must be a whole number"):
        environment.whole("NUMBER", 1, highest=1000)


@pytest.mark.parametrize("kind", [FaceConfig, MilvusConfig, CollectionConfig, PerformanceConfig, MonitoringConfig])
def test_every_number_in_a_dictionary_is_checked(kind: type[Settings]) -> None:
    hints = get_type_hints(kind)
    numeric = [
        field.name
        for field in fields(kind)  # type: ignore[arg-type]
        if hints[field.name] in (int, float, int | None, float | None)
    ]
    assert set(numeric) <= set(kind._checks)
    for name in numeric:
        for value in (1e308, float("inf"), float("nan"), 10**400, -(10**400)):
            assert not kind._checks[name].accepts(value), name
