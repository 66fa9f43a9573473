"""The settings of the vector store as frozen, checked values.

Each class has `from_settings`, which takes the dictionary of the same name from the Django settings. An unknown
key or a bad value raises ConfigError with the key, the value and what is allowed.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, NoReturn, Self
from urllib.parse import SplitResult, urlsplit

from worker.errors import ConfigError
from worker.vector_search.milvus.indexes import INDEXES, METRICS, Parameter

#: Where Milvus listens when nobody says otherwise.
DEFAULT_PORT = 19530

#: The levels of Python's logging.
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")

#: No colon: pymilvus 3.0.2 loses the brackets of an IPv6 address.
_HOST = re.compile(r"[A-Za-z0-9._-]+")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}")
_NAME_RULE = "1 to 255 letters, digits and underscores, not starting with a digit"


class _Settings:
    """What they have in common: the way from a settings dictionary to a value."""

    __slots__ = ()

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """Return the value for a settings dictionary. Raises ConfigError."""
        names = {_key(each.name): each for each in fields(cls)}  # type: ignore[arg-type]
        for key in sorted(set(settings) - set(names)):
            # Without its value: it may be a password under a misspelt name.
            raise ConfigError(f"{key} is no known key; the keys are {', '.join(sorted(names))}.")
        for key, each in names.items():
            if key not in settings and each.default is MISSING and each.default_factory is MISSING:
                raise ConfigError(f"{key} is not given; it has no default.")
        return cls(**{names[key].name: value for key, value in settings.items()})


@dataclass(frozen=True, slots=True, kw_only=True)
class MilvusConfig(_Settings):
    """Where the server is, how to log in, and how to behave when it does not answer.

    Either `uri` or `host` and `port` say where; either `token` or `user` and `password` say who. TLS is on for an
    https URI, or when `secure` says so beside a `host`. `server_pem_path` is the certificate to trust when only the
    server shows one; for mutual TLS there are `ca_pem_path`, `client_pem_path` and `client_key_path`. `server_name` is
    the name in the server's certificate when it is not the address.

    `connection_alias` is the name of this server in log lines and in what its health says. `timeout_seconds` bounds
    connecting and every call that has no bound of its own. A call that found no server is made again up to
    `max_retries` times within its own timeout, the first time after `retry_delay_seconds`, then after twice as long
    as before, each time with a random part.
    """

    uri: str = ""
    host: str = ""
    port: int = DEFAULT_PORT
    user: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    database: str = ""
    secure: bool | None = None
    ca_pem_path: str = ""
    client_pem_path: str = ""
    client_key_path: str = ""
    server_pem_path: str = ""
    server_name: str = ""
    connection_alias: str = "milvus"
    timeout_seconds: float = 10.0
    max_retries: int = 2
    retry_delay_seconds: float = 0.25

    def __post_init__(self) -> None:
        for name in ("host", "user", "database", "server_name"):
            _check_text(_key(name), getattr(self, name))
        for name in ("password", "token"):
            _check_text(_key(name), getattr(self, name), is_secret=True)
        _check_whole("PORT", self.port, least=1, most=65_535)
        self._check_address()
        self._check_login()
        self._check_tls()
        if self.database and not _NAME.fullmatch(self.database):
            _refuse("DATABASE", self.database, _NAME_RULE)
        if not isinstance(self.connection_alias, str) or not _NAME.fullmatch(self.connection_alias):
            _refuse("CONNECTION_ALIAS", self.connection_alias, _NAME_RULE)
        _check_seconds("TIMEOUT", self.timeout_seconds)
        _check_whole("MAX_RETRIES", self.max_retries, least=0, most=10)
        _check_seconds("RETRY_DELAY", self.retry_delay_seconds, most=60)

    @property
    def address(self) -> str:
        """The server's URI, with its port."""
        if self.uri:
            return self.uri
        return f"{'https' if self.secure else 'http'}://{self.host}:{self.port}"

    @property
    def is_secure(self) -> bool:
        return self.address.startswith("https:")

    @property
    def credentials(self) -> str:
        """What is sent to log in: a token or `user:password`; empty for a server without logins."""
        return self.token or (f"{self.user}:{self.password}" if self.user else "")

    def _check_address(self) -> None:
        parts = _split(self.uri)
        if not self.uri and not self.host:
            _refuse("URI", self.uri, "the address of a server, such as http://127.0.0.1:19530, unless HOST gives it")
        if self.uri:
            # pymilvus would take a file name and start an unguarded Milvus Lite inside this process.
            if parts is None or parts.scheme not in ("http", "https") or not _HOST.fullmatch(parts.hostname or ""):
                _refuse("URI", self.uri, "the address of a server, such as http://127.0.0.1:19530")
            if parts.username is not None:
                _refuse("URI", "(hidden)", "an address without a login: TOKEN, or USER and PASSWORD, are for that")
            if parts.path.strip("/") or parts.query or parts.fragment:
                _refuse("URI", self.uri, "an address without a path: DATABASE is for that")
            here = (parts.hostname, parts.port or (443 if parts.scheme == "https" else DEFAULT_PORT))
            if self.host and (self.host.lower(), self.port) != here:
                _refuse("HOST", self.host, f"left out, or the same as URI with PORT: {here[0]}, {here[1]}")
            if not self.host and self.port not in (DEFAULT_PORT, here[1]):
                _refuse("PORT", self.port, f"left out, or the same as in URI: {here[1]}")
        elif not _HOST.fullmatch(self.host):
            _refuse("HOST", self.host, "a name or an IPv4 address, without scheme, port or path")

    def _check_login(self) -> None:
        if bool(self.user) != bool(self.password):
            missing, given = ("PASSWORD", "USER") if self.user else ("USER", "PASSWORD")
            _refuse(missing, "", f"given, for {given} is")
        if ":" in self.user:
            _refuse("USER", self.user, "without a colon, which ends the name when it is sent")
        if self.token and self.user:
            _refuse("TOKEN", "(hidden)", "left out when USER and PASSWORD are given")

    def _check_tls(self) -> None:
        if self.secure is not None:
            _check_flag("SECURE", self.secure)
            if self.secure != self.is_secure:
                _refuse("SECURE", self.secure, f"{self.is_secure} or left out: URI is {self.uri!r}")
        mutual = ("ca_pem_path", "client_pem_path", "client_key_path")
        for name in (*mutual, "server_pem_path", "server_name"):
            value = getattr(self, name)
            if value and not self.is_secure:
                _refuse(_key(name), value, "left out without TLS: use an https URI, or SECURE")
            if name != "server_name" and value and not Path(value).is_file():
                _refuse(_key(name), value, "the path of a file that exists")
        given = [name for name in mutual if getattr(self, name)]
        if given and len(given) < len(mutual):
            missing = next(name for name in mutual if name not in given)
            _refuse(_key(missing), "", "given with the other two of mutual TLS; alone there is SERVER_PEM_PATH")
        if given and self.server_pem_path:
            _refuse("SERVER_PEM_PATH", self.server_pem_path, "left out with mutual TLS, which trusts CA_PEM_PATH")


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionConfig(_Settings):
    """Which collection, how it is indexed, and how much it may hold (rows; None for no bound).

    FLAT, exact search, is the default: it loses nothing, right after a write as well as later, and answers in
    0.13 s for 100,000 faces on Milvus Lite. Only far larger galleries need an approximate index.

    Similarity is the cosine with each metric; COSINE alone keeps embeddings as they were given, for the others they
    are brought to exactly unit length. `dimension` need not be said: it is the pack's, and any other is refused.
    """

    name: str
    dimension: int | None = None
    metric_type: str = "COSINE"
    index_type: str = "FLAT"
    index_params: Mapping[str, int] = field(default_factory=dict)
    search_params: Mapping[str, int] = field(default_factory=dict)
    auto_create: bool = True
    auto_load: bool = True
    max_capacity: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            _refuse("NAME", self.name, _NAME_RULE)
        if self.dimension is not None:
            _check_whole("DIMENSION", self.dimension, least=1, most=32_768)
        _check_choice("METRIC_TYPE", self.metric_type, METRICS)
        _check_choice("INDEX_TYPE", self.index_type, INDEXES)
        index = INDEXES[self.index_type]
        object.__setattr__(self, "index_params", _tuned("INDEX_PARAMS", self.index_params, index.build))
        object.__setattr__(self, "search_params", _tuned("SEARCH_PARAMS", self.search_params, index.search))
        both = {**self.index_params, **self.search_params}
        for small, large in index.ordered:
            if both[small] > both[large]:
                key = "SEARCH_PARAMS" if small in index.search else "INDEX_PARAMS"
                _refuse(f"{key}[{small!r}]", both[small], f"at most {large}, which is {both[large]}")
        _check_flag("AUTO_CREATE", self.auto_create)
        _check_flag("AUTO_LOAD", self.auto_load)
        if self.max_capacity is not None:
            _check_whole("MAX_CAPACITY", self.max_capacity, least=1, most=10**12)

    def check_dimension(self, dimension: int) -> None:
        """Refuse, with ConfigError, a pack whose embeddings have another number of values than DIMENSION says."""
        if self.dimension not in (None, dimension):
            _refuse("DIMENSION", self.dimension, f"left out, or {dimension}, which is what the pack makes")

    def search_params_for(self, limit: int) -> dict[str, int]:
        """Return the search parameters; Milvus refuses to look at fewer candidates than it shall return."""
        params = dict(self.search_params)
        candidates = INDEXES[self.index_type].candidates
        if candidates:
            params[candidates] = max(params[candidates], limit)
        return params


@dataclass(frozen=True, slots=True, kw_only=True)
class PerformanceConfig(_Settings):
    """How much at once (connections, calls, rows), how long (seconds), and what is cached (entries).

    Each process keeps up to `connection_pool_size` connections and makes up to `max_connections` calls at a time. As
    many connections as calls, the default, gives each call one of its own: gRPC has crashed when a connection was
    made again while several threads used it.
    """

    connection_pool_size: int = 8
    max_connections: int = 8
    batch_size: int = 1000
    search_timeout_seconds: float = 5.0
    insert_timeout_seconds: float = 30.0
    health_timeout_seconds: float = 2.0
    enable_caching: bool = True
    cache_ttl_seconds: float = 300.0
    cache_max_size: int = 10_000

    def __post_init__(self) -> None:
        _check_whole("MAX_CONNECTIONS", self.max_connections, least=1, most=1000)
        _check_whole("CONNECTION_POOL_SIZE", self.connection_pool_size, least=1, most=self.max_connections)
        _check_whole("BATCH_SIZE", self.batch_size, least=1, most=10_000)
        _check_seconds("SEARCH_TIMEOUT", self.search_timeout_seconds)
        _check_seconds("INSERT_TIMEOUT", self.insert_timeout_seconds)
        _check_seconds("HEALTH_TIMEOUT", self.health_timeout_seconds)
        _check_flag("ENABLE_CACHING", self.enable_caching)
        _check_seconds("CACHE_TTL", self.cache_ttl_seconds, most=86_400)
        _check_whole("CACHE_MAX_SIZE", self.cache_max_size, least=1, most=10_000_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitoringConfig(_Settings):
    """What is told about the work, and how often (seconds). Never an embedding, an image or a secret."""

    enable_metrics: bool = True
    enable_tracing: bool = False
    log_level: str = "INFO"
    log_requests: bool = False
    log_responses: bool = False
    metrics_interval_seconds: float = 60.0
    health_check_interval_seconds: float = 30.0

    def __post_init__(self) -> None:
        for key in ("ENABLE_METRICS", "ENABLE_TRACING", "LOG_REQUESTS", "LOG_RESPONSES"):
            _check_flag(key, getattr(self, key.lower()))
        _check_choice("LOG_LEVEL", self.log_level, LOG_LEVELS)
        _check_seconds("METRICS_INTERVAL", self.metrics_interval_seconds)
        _check_seconds("HEALTH_CHECK_INTERVAL", self.health_check_interval_seconds)


def _key(field_name: str) -> str:
    """`search_timeout_seconds` is SEARCH_TIMEOUT in the settings, where operators know it by that name."""
    return field_name.removesuffix("_seconds").upper()


def _refuse(key: str, value: object, allowed: str) -> NoReturn:
    raise ConfigError(f"{key} is {value!r}; it must be {allowed}.")


def _split(uri: object) -> SplitResult | None:
    """Return the parts of a URI, None when it has none or a port that is no port."""
    try:
        parts = urlsplit(uri) if isinstance(uri, str) else None
        return parts if parts is not None and parts.port != 0 else None
    except ValueError:
        return None


def _check_text(key: str, value: object, *, is_secret: bool = False) -> None:
    if not isinstance(value, str):
        _refuse(key, "(hidden)" if is_secret else value, "a text")


def _check_choice(key: str, value: object, choices: Collection[str]) -> None:
    if not isinstance(value, str) or value not in choices:
        _refuse(key, value, f"one of {', '.join(choices)}")


def _check_flag(key: str, value: object) -> None:
    if not isinstance(value, bool):
        _refuse(key, value, "True or False")


def _check_seconds(key: str, value: object, *, most: float = 3600) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= most:
        _refuse(key, value, f"a number of seconds, more than 0 and at most {most}")


def _check_whole(key: str, value: object, *, least: int, most: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        _refuse(key, value, f"a whole number, {least} to {most}")


def _tuned(key: str, given: object, known: Mapping[str, Parameter]) -> dict[str, int]:
    """Return the defaults with the given values over them, each within its bounds."""
    if not isinstance(given, Mapping) or not set(given) <= set(known):
        _refuse(key, given, f"values for {', '.join(known)}" if known else "empty, for this index takes none")
    for name, value in given.items():
        _check_whole(f"{key}[{name!r}]", value, least=known[name].least, most=known[name].most)
    return {**{name: parameter.default for name, parameter in known.items()}, **given}
