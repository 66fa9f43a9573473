"""Addresses of Redis servers, in one spelling for all who connect: the queue, results, caches and Flower.

    rediss://:password@host:6380/0?ssl_ca_certs=/etc/redis/ca.pem&ssl_certfile=...&ssl_keyfile=...

It is that of redis-py. Celery and Flower read parts of it differently, or not at all, and then trust any certificate;
so they get an address without parameters, and the parameters as a dictionary.
"""

import ssl
from pathlib import Path
from typing import Any, Final
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

from webapp.config.environment import text
from worker.errors import ConfigError

#: The parameters that name a file.
FILES: Final = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
#: What may be asked of the server's certificate; redis-py's words. Celery's are the same with CERT_ in front.
CERT_REQS: Final = {
    "required": ssl.CERT_REQUIRED,
    "optional": ssl.CERT_OPTIONAL,
    "none": ssl.CERT_NONE,
}
FLAGS: Final = {"true": True, "false": False}


def redis_url(name: str, default: str) -> str:
    """Return the address of a Redis server. Raises ConfigError, without the value: it may contain a password."""
    value = text(name, default)
    try:
        parts = urlsplit(value)
        is_url = parts.scheme in ("redis", "rediss") and parts.port != 0 and not parts.fragment
        given = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    except ValueError:  # the port is no number, or the parameters are none
        is_url = False
    if not is_url:
        raise ConfigError(f"{name} must be a URL, such as redis://:password@host:6379/0.")
    parameters = _checked(name, parts, given)
    return parts._replace(query=urlencode(parameters, safe="/")).geturl()


def without_parameters(url: str) -> str:
    """Return the address as Celery takes it, beside `tls_options`."""
    return urlsplit(url)._replace(query="").geturl()


def tls_options(url: str) -> dict[str, Any] | None:
    """Return what Celery calls `broker_use_ssl` for an address that `redis_url` has returned; None without TLS."""
    parts = urlsplit(url)
    if parts.scheme != "rediss":
        return None
    options: dict[str, Any] = dict(parse_qsl(parts.query))
    options["ssl_cert_reqs"] = CERT_REQS[options["ssl_cert_reqs"]]
    options["ssl_check_hostname"] = FLAGS[options["ssl_check_hostname"]]
    return options


def _checked(name: str, parts: SplitResult, given: dict[str, str]) -> dict[str, str]:
    """Return the parameters with the defaults of those that are not given. Raises ConfigError."""
    known = (*FILES, "ssl_cert_reqs", "ssl_check_hostname")
    if unknown := sorted(set(given) - set(known)):
        raise ConfigError(f"{name} has a parameter {unknown[0]!r}; it may have {', '.join(known)}.")
    if parts.scheme == "redis":
        if given:
            raise ConfigError(f"{name} has parameters of TLS: then it must begin with rediss://.")
        return {}
    asked = given.get("ssl_cert_reqs", "required").lower().removeprefix("cert_")
    checks_name = given.get("ssl_check_hostname", "true" if asked != "none" else "false").lower()
    if asked not in CERT_REQS:
        raise ConfigError(f"{name}: ssl_cert_reqs must be one of {', '.join(CERT_REQS)}.")
    if checks_name not in FLAGS:
        raise ConfigError(f"{name}: ssl_check_hostname must be true or false.")
    for key in FILES:
        if key in given and not Path(given[key]).is_file():
            raise ConfigError(f"{name}: {key} must be the path of a file that exists.")
    if ("ssl_certfile" in given) != ("ssl_keyfile" in given):
        raise ConfigError(f"{name}: ssl_certfile and ssl_keyfile must be given together.")
    files = {key: given[key] for key in FILES if key in given}
    return files | {"ssl_cert_reqs": asked, "ssl_check_hostname": checks_name}
