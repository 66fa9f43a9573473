"""The vector store's settings: MILVUS_CONFIG, COLLECTION_CONFIG, PERFORMANCE_CONFIG and MONITORING_CONFIG."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar
from urllib.parse import SplitResult, urlsplit

from worker.settings import HIDDEN, Flag, Name, OptionalName, Seconds, Settings, Text, choice, refused, seconds, whole
from worker.vector_search.milvus.indexes import INDEXES, METRICS, Parameter

#: The port of a Milvus server unless PORT or URI names another.
DEFAULT_PORT = 19530

#: The levels of Python's logging.
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")

#: No colon: pymilvus 3.0.2 loses the brackets of an IPv6 address.
_HOST = re.compile(r"[A-Za-z0-9._-]+")
_AN_ADDRESS = "the address of a server, such as http://127.0.0.1:19530"
#: The three keys of mutual TLS, which are given together.
_MUTUAL_TLS = ("ca_pem_path", "client_pem_path", "client_key_path")


@dataclass(frozen=True, slots=True, kw_only=True)
class MilvusConfig(Settings):
    """Where the server is, how to log in, and what to do when it does not answer.

    The address is either `uri`, or `host` and `port`; the login is either `token`, or `user` and `password`. TLS is on
    with an https URI, or with `secure` beside a `host`. `server_pem_path` is the certificate to trust when only the
    server shows one; mutual TLS takes `ca_pem_path`, `client_pem_path` and `client_key_path`. `server_name` is the name
    in the server's certificate when it differs from the address.

    `connection_alias` names this server in log lines and health reports. `timeout_seconds` limits connecting and every
    call that has no timeout of its own. A call that could not reach the server is repeated up to `max_retries` times
    within its timeout: first after `retry_delay_seconds`, then after twice as long each time, with random jitter.
    """

    dictionary: ClassVar[str] = "MILVUS_CONFIG"

    uri: Text = ""
    host: Text = ""
    port: Annotated[int, whole(1, 65_535)] = DEFAULT_PORT
    user: Text = ""
    password: Text = field(default="", repr=False)
    token: Text = field(default="", repr=False)
    database: OptionalName = ""
    secure: Flag | None = None
    ca_pem_path: Text = ""
    client_pem_path: Text = ""
    client_key_path: Text = ""
    server_pem_path: Text = ""
    server_name: Text = ""
    connection_alias: Name = "milvus"
    timeout_seconds: Seconds = 10.0
    max_retries: Annotated[int, whole(0, 10)] = 2
    retry_delay_seconds: Annotated[float, seconds(60)] = 0.25

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

    def _check_together(self) -> None:
        self._check_address()
        self._check_login()
        self._check_tls()

    def _check_address(self) -> None:
        for key, value in (("URI", self.uri), ("HOST", self.host)):
            if "@" in value:  # before anything else shows the value
                allowed = "an address without a login: use TOKEN, or USER and PASSWORD"
                raise refused(self.dictionary, key, HIDDEN, allowed)
        if self.uri:
            self._check_uri()
        elif not self.host:
            self._refuse("uri", f"{_AN_ADDRESS}, unless HOST gives it")
        elif not _HOST.fullmatch(self.host):
            self._refuse("host", "a name or an IPv4 address, without scheme, port or path")

    def _check_uri(self) -> None:
        parts = _split(self.uri)
        # pymilvus would take a file name, and start an unguarded Milvus Lite inside this process.
        if parts is None or parts.scheme not in ("http", "https") or not _HOST.fullmatch(parts.hostname or ""):
            self._refuse("uri", _AN_ADDRESS)
        if parts.path.strip("/") or parts.query or parts.fragment:
            raise refused(self.dictionary, "URI", HIDDEN, "an address without a path: DATABASE is for that")
        host, port = parts.hostname, parts.port or (443 if parts.scheme == "https" else DEFAULT_PORT)
        if self.host and (self.host.lower(), self.port) != (host, port):
            self._refuse("host", f"left out, or the same as URI with PORT: {host}, {port}")
        if not self.host and self.port not in (DEFAULT_PORT, port):
            self._refuse("port", f"left out, or the same as in URI: {port}")

    def _check_login(self) -> None:
        if bool(self.user) != bool(self.password):
            missing, given = ("password", "USER") if self.user else ("user", "PASSWORD")
            self._refuse(missing, f"given, because {given} is")
        if ":" in self.user:
            self._refuse("user", "without a colon, which ends the name when it is sent")
        if self.token and self.user:
            self._refuse("token", "left out when USER and PASSWORD are given")

    def _check_tls(self) -> None:
        if self.secure not in (None, self.is_secure):
            self._refuse("secure", f"{self.is_secure} or left out, because URI is {self.uri!r}")
        for name in (*_MUTUAL_TLS, "server_pem_path", "server_name"):
            value = getattr(self, name)
            if value and not self.is_secure:
                self._refuse(name, "left out without TLS: use an https URI, or SECURE")
            if name != "server_name" and value and not Path(value).is_file():
                self._refuse(name, "the path of a file that exists")
        given = [name for name in _MUTUAL_TLS if getattr(self, name)]
        if given and len(given) < len(_MUTUAL_TLS):
            missing = next(name for name in _MUTUAL_TLS if name not in given)
            self._refuse(
                missing, "given with the other two keys of mutual TLS; SERVER_PEM_PATH is for TLS without them"
            )
        if given and self.server_pem_path:
            self._refuse("server_pem_path", "left out with mutual TLS, which trusts CA_PEM_PATH")


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionConfig(Settings):
    """Which collection, how it is indexed, and how much it may hold (rows; None for no limit).

    FLAT, exact search, is the default: it never misses a match, not even right after a write, and answers in 0.13 s for
    100,000 faces on Milvus Lite. Only far larger galleries need an approximate index.

    Similarity is the cosine whatever the metric. Only COSINE keeps embeddings as they were given; for the others they
    are scaled to exactly unit length. `dimension` is what the operator expects of the pack; the pack decides.
    """

    dictionary: ClassVar[str] = "COLLECTION_CONFIG"

    name: Name
    dimension: Annotated[int | None, whole(1, 32_768)] = None
    metric_type: Annotated[str, choice(METRICS)] = "COSINE"
    index_type: Annotated[str, choice(INDEXES)] = "FLAT"
    index_params: Mapping[str, int] = field(default_factory=dict)
    search_params: Mapping[str, int] = field(default_factory=dict)
    auto_create: Flag = True
    auto_load: Flag = True
    max_capacity: Annotated[int | None, whole(1, 10**12)] = None

    def dimension_warning(self, pack_dimension: int) -> str:
        """Return a sentence when the pack's embeddings have another size than DIMENSION says; else an empty text."""
        if self.dimension in (None, pack_dimension):
            return ""
        return (
            f"COLLECTION_CONFIG DIMENSION is {self.dimension}, but the pack's embeddings have {pack_dimension} values: "
            f"the pack decides. Set it to {pack_dimension}, or leave it out."
        )

    def search_params_for(self, limit: int, own: Mapping[str, int] | None = None) -> dict[str, int]:
        """Return the search parameters of a search: its `own`, or the collection's.

        Milvus refuses to consider fewer candidates than it is to return.
        """
        params = dict(self.search_params if own is None else own)
        candidates = INDEXES[self.index_type].candidates
        if candidates:
            params[candidates] = max(params[candidates], limit)
        return params

    def _check_together(self) -> None:
        index = INDEXES[self.index_type]
        object.__setattr__(self, "index_params", self._tuned("index_params", index.build))
        object.__setattr__(self, "search_params", self._tuned("search_params", index.search))
        both = {**self.index_params, **self.search_params}
        for small, large in index.ordered:
            if both[small] > both[large]:
                key = "SEARCH_PARAMS" if small in index.search else "INDEX_PARAMS"
                allowed = f"at most {large}, which is {both[large]}"
                raise refused(self.dictionary, f"{key}[{small!r}]", both[small], allowed)

    def _tuned(self, name: str, known: Mapping[str, Parameter]) -> dict[str, int]:
        """Return the index's default parameters with the given values over them, each within its bounds."""
        given = getattr(self, name)
        if not isinstance(given, Mapping) or not set(given) <= set(known):
            self._refuse(name, f"values for {', '.join(known)}" if known else "empty, because this index takes none")
        for parameter, value in given.items():
            check = whole(known[parameter].least, known[parameter].most)
            if not check.accepts(value):
                raise refused(self.dictionary, f"{name.upper()}[{parameter!r}]", value, check.allowed)
        return {**{parameter: bounds.default for parameter, bounds in known.items()}, **given}


@dataclass(frozen=True, slots=True, kw_only=True)
class PerformanceConfig(Settings):
    """Limits: how much at once (connections, calls, rows), how long (seconds), and how much is cached (entries).

    Each process keeps up to `connection_pool_size` connections and makes up to `max_connections` calls at a time. With
    as many connections as calls, the default, each call has a connection to itself: gRPC has crashed when a connection
    was reopened while several threads used it.
    """

    dictionary: ClassVar[str] = "PERFORMANCE_CONFIG"

    connection_pool_size: Annotated[int, whole(1, 1000)] = 8
    max_connections: Annotated[int, whole(1, 1000)] = 8
    batch_size: Annotated[int, whole(1, 10_000)] = 1000
    search_timeout_seconds: Seconds = 5.0
    insert_timeout_seconds: Seconds = 30.0
    health_timeout_seconds: Seconds = 2.0
    enable_caching: Flag = True
    cache_ttl_seconds: Annotated[float, seconds(86_400)] = 300.0
    cache_max_size: Annotated[int, whole(1, 10_000_000)] = 10_000

    def _check_together(self) -> None:
        if self.connection_pool_size > self.max_connections:
            self._refuse("connection_pool_size", f"{whole(1, self.max_connections).allowed}, which is MAX_CONNECTIONS")


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitoringConfig(Settings):
    """What is logged, traced and measured, and how often (seconds). Never an embedding, an image or a secret.

    `health_check_interval_seconds` is how often a worker checks the vector store.
    """

    dictionary: ClassVar[str] = "MONITORING_CONFIG"

    enable_metrics: Flag = True
    enable_tracing: Flag = False
    log_level: Annotated[str, choice(LOG_LEVELS)] = "INFO"
    log_requests: Flag = False
    log_responses: Flag = False
    metrics_interval_seconds: Seconds = 60.0
    health_check_interval_seconds: Seconds = 30.0


def _split(uri: str) -> SplitResult | None:
    """Return the parts of a URI; None when it is not a URI, or its port is not a port."""
    try:
        parts = urlsplit(uri)
        return parts if parts.port != 0 else None
    except ValueError:
        return None
