"""Reads environment variables strictly: a value of the wrong kind stops the start with a sentence.

A variable that is empty counts as not set.
"""

import ipaddress
import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from worker.errors import ConfigError

#: By scheme.
DEFAULT_PORTS: Final = {"http": 80, "https": 443}

Number = TypeVar("Number", int, float)
Choice = TypeVar("Choice", bound=str)
#: Makes a value of a variable's name and text. Raises ConfigError.
Kind = Callable[[str, str], Any]


def given(variables: Mapping[str, tuple[str, Kind]]) -> dict[str, Any]:
    """Return a settings dictionary with the keys whose variables are set. Raises ConfigError.

    `variables` has the name and the kind of each key's variable.
    """
    return {key: kind(name, text) for key, (name, kind) in variables.items() if (text := os.environ.get(name, ""))}


def text(name: str, default: str) -> str:
    return os.environ.get(name) or default


def whole(name: str, default: int, *, lowest: int = 0, highest: int) -> int:
    """Return a whole number between the bounds, both included. Raises ConfigError."""
    value = os.environ.get(name)
    return _bounded(name, as_whole(name, value), value, lowest, highest) if value else default


def number(name: str, default: float, *, lowest: float = 0, highest: float) -> float:
    """Return a finite number between the bounds, both included. Raises ConfigError."""
    value = os.environ.get(name)
    return _bounded(name, as_number(name, value), value, lowest, highest) if value else default


def flag(name: str, default: bool) -> bool:
    """Return a flag. Raises ConfigError."""
    value = os.environ.get(name)
    return as_flag(name, value) if value else default


def names(name: str, default: Sequence[str]) -> list[str]:
    """Return the parts of a list separated by commas."""
    value = os.environ.get(name)
    return as_list(name, value) if value else list(default)


def networks(name: str, default: Sequence[str]) -> list[str]:
    """Return a list of IP addresses and networks. Raises ConfigError."""
    found = names(name, default)
    for each in found:
        try:
            ipaddress.ip_network(each, strict=False)
        except ValueError:
            raise refused(name, each, "IP addresses or networks such as 10.0.0.0/8, separated by commas") from None
    return found


def choice(name: str, default: Choice, choices: Sequence[Choice]) -> Choice:
    """Return one of the choices. Raises ConfigError."""
    value = text(name, default)
    for each in choices:
        if each == value:
            return each
    raise refused(name, value, f"one of {', '.join(choices)}")


def origin(name: str) -> str:
    """Return the address that browsers use for the service, such as https://faces.example.org; empty if not set.

    Raises ConfigError.
    """
    value = text(name, "").rstrip("/").lower()  # as browsers send it
    try:
        parts = urlsplit(value)
        is_origin = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        is_origin = is_origin and value == f"{parts.scheme}://{parts.netloc}" and "@" not in value and value.isascii()
        if is_origin and parts.port == DEFAULT_PORTS[parts.scheme]:  # browsers leave it out
            value = f"{parts.scheme}://{parts.netloc.rpartition(':')[0]}"
    except ValueError:  # the port is no number
        is_origin = False
    if value and not is_origin:
        raise ConfigError(
            f"{name} must be scheme and host, such as https://faces.example.org, without a path or a login, and with "
            "other letters than those of English as xn--."
        )
    return value


# -- kinds: what becomes of the text of a variable that is set ---------------------------------------------


def as_text(_name: str, value: str) -> str:
    return value


def as_whole(name: str, value: str) -> int:
    try:
        return int(value)
    except ValueError:
        raise refused(name, value, "a whole number") from None


def as_number(name: str, value: str) -> float:
    try:
        found = float(value)
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        raise refused(name, value, "a number")
    return found


def as_flag(name: str, value: str) -> bool:
    if value.lower() not in ("true", "false"):
        raise refused(name, value, "true or false")
    return value.lower() == "true"


def as_list(_name: str, value: str) -> list[str]:
    return [part.strip() for part in value.split(",") if part.strip()]


def as_json_object(name: str, value: str) -> dict[str, Any]:
    try:
        found = json.loads(value)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise refused(name, value, 'a JSON object such as {"nprobe": 256}')
    return found


def refused(name: str, value: str, allowed: str) -> ConfigError:
    """Return the error for a value that is not allowed."""
    return ConfigError(f"{name} must be {allowed}, not {value!r}.")


def _bounded(name: str, found: Number, value: str, lowest: float, highest: float) -> Number:
    if not lowest <= found <= highest:
        if isinstance(found, int):
            raise refused(name, value, f"a whole number from {lowest} to {highest}")
        raise refused(name, value, f"a number from {lowest:g} to {highest:.10g}")
    return found
