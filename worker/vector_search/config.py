"""The settings of the vector store as frozen, checked values.

Each class has `from_settings`, which takes the dictionary of the same name from the Django settings. An unknown
key or a bad value raises ConfigError with the key, the value and what is allowed.
"""

import re
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, Self
from urllib.parse import urlsplit

from worker.errors import ConfigError

#: Similarity must come out as the cosine. IP would do for vectors of exactly unit length; COSINE divides by the
#: lengths, so it stays the cosine for the rounding that the contract lets pass.
METRIC = "COSINE"

#: What each index may be given when it is built and when it is searched, with the values used when nothing is said.
#: The ones everybody copies (IVF_FLAT, nlist 1024, nprobe 10) lost one true match in ten on Milvus and three in ten on
#: Milvus Lite, of 100,000 faces; these lose at most 1.4 %, and HNSW with ef 1024 none.
INDEXES: Mapping[str, tuple[Mapping[str, int], Mapping[str, int]]] = {
    "FLAT": ({}, {}),
    "IVF_FLAT": ({"nlist": 1024}, {"nprobe": 256}),
    "HNSW": ({"M": 16, "efConstruction": 200}, {"ef": 1024}),
}

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}")


class _Settings:
    """What the three have in common: the way from a settings dictionary to a value."""

    __slots__ = ()

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """Return the value for a settings dictionary. Raises ConfigError."""
        names = {_key(each.name): each for each in fields(cls)}  # type: ignore[arg-type]
        unknown = sorted(set(settings) - set(names))
        if unknown:
            key = unknown[0]
            _refuse(key, settings[key], f"one of the known keys {', '.join(sorted(names))}")
        for key, each in names.items():
            has_default = each.default is not MISSING or each.default_factory is not MISSING
            if key not in settings and not has_default:
                _refuse(key, None, "a value: it has no default")
        return cls(**{names[key].name: value for key, value in settings.items()})


@dataclass(frozen=True, slots=True, kw_only=True)
class MilvusConfig(_Settings):
    """Where the server is. `timeout_seconds` bounds connecting and every call that has no bound of its own."""

    uri: str
    token: str = field(default="", repr=False)
    timeout_seconds: float = 10.0

    def __post_init__(self) -> None:
        # pymilvus would take a file name and start an unguarded Milvus Lite inside this process.
        if not isinstance(self.uri, str) or urlsplit(self.uri).scheme not in ("http", "https"):
            _refuse("URI", self.uri, "the address of a server, such as http://127.0.0.1:19530")
        if not isinstance(self.token, str):
            _refuse("TOKEN", "(hidden)", "a text")
        _check_seconds("TIMEOUT", self.timeout_seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionConfig(_Settings):
    """Which collection, and how it is indexed.

    FLAT, exact search, is the default: it loses nothing, right after a write as well as later, and answers in
    0.13 s for 100,000 faces on Milvus Lite. Only far larger galleries need an approximate index.
    """

    name: str
    index_type: str = "FLAT"
    index_params: Mapping[str, int] = field(default_factory=dict)
    search_params: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            _refuse("NAME", self.name, "1 to 255 letters, digits and underscores, not starting with a digit")
        if self.index_type not in INDEXES:
            _refuse("INDEX_TYPE", self.index_type, f"one of {', '.join(INDEXES)}")
        build, search = INDEXES[self.index_type]
        object.__setattr__(self, "index_params", _tuned("INDEX_PARAMS", self.index_params, build))
        object.__setattr__(self, "search_params", _tuned("SEARCH_PARAMS", self.search_params, search))


@dataclass(frozen=True, slots=True, kw_only=True)
class PerformanceConfig(_Settings):
    """How much at once (rows), how long (seconds), and how often again.

    `max_retries` is how often a call that found no server is made again within its own timeout.
    """

    batch_size: int = 1000
    search_timeout_seconds: float = 5.0
    insert_timeout_seconds: float = 30.0
    health_timeout_seconds: float = 2.0
    max_retries: int = 2

    def __post_init__(self) -> None:
        _check_whole("BATCH_SIZE", self.batch_size, least=1, most=10_000)
        _check_seconds("SEARCH_TIMEOUT", self.search_timeout_seconds)
        _check_seconds("INSERT_TIMEOUT", self.insert_timeout_seconds)
        _check_seconds("HEALTH_TIMEOUT", self.health_timeout_seconds)
        _check_whole("MAX_RETRIES", self.max_retries, least=0, most=10)


def _key(field_name: str) -> str:
    """`search_timeout_seconds` is SEARCH_TIMEOUT in the settings, where operators know it by that name."""
    return field_name.removesuffix("_seconds").upper()


def _refuse(key: str, value: object, allowed: str) -> None:
    raise ConfigError(f"{key} is {value!r}; it must be {allowed}.")


def _check_seconds(key: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 3600:
        _refuse(key, value, "a number of seconds, more than 0 and at most 3600")


def _check_whole(key: str, value: object, *, least: int, most: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        _refuse(key, value, f"a whole number, {least} to {most}")


def _tuned(key: str, given: object, defaults: Mapping[str, int]) -> dict[str, int]:
    """Return the defaults with the given values over them."""
    if not isinstance(given, Mapping) or not set(given) <= set(defaults):
        known = f"values for {', '.join(defaults)}" if defaults else "empty, for this index takes none"
        _refuse(key, given, known)
    tuned = {**defaults, **given}  # type: ignore[dict-item]  # _refuse() has just raised for anything else
    for name, value in tuned.items():
        _check_whole(f"{key}[{name!r}]", value, least=1, most=65_536)
    return tuned
