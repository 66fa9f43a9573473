"""What the variables for e-mail and OpenID Connect become. Each stops the start with a sentence when it is wrong."""

from typing import Any, Final
from urllib.parse import urlsplit

from environ import Env

from webapp.config.environment import text
from worker.errors import ConfigError

#: Seconds that the mail server may take to answer: whoever waits holds a thread.
EMAIL_TIMEOUT_SECONDS: Final = 10
EMAIL_SCHEMES: Final = ("smtp", "smtp+tls", "smtp+ssl")
#: Stands for the provider in addresses and in the rows of linked accounts.
OIDC_ID: Final = "oidc"


def email_options(url: str) -> dict[str, Any]:
    """Return Django's settings for the mail server of this URL; none if it is empty. Raises ConfigError."""
    if not url:
        return {}
    try:
        is_server = urlsplit(url).scheme in EMAIL_SCHEMES and bool(urlsplit(url).hostname)
        options: dict[str, Any] = Env.email_url_config(url) if is_server else {}
    except ValueError:
        options = {}
    if not options:  # without the value: it may contain a password
        raise ConfigError("EMAIL_URL must be a URL, such as smtp+tls://user:password@host:587.")
    options.pop("EMAIL_FILE_PATH")
    options["EMAIL_PORT"] = options["EMAIL_PORT"] or 25
    return options | {"EMAIL_TIMEOUT": EMAIL_TIMEOUT_SECONDS}


def oidc_provider(issuer: str, name: str) -> dict[str, Any]:
    """Return allauth's settings for the provider; none if there is no issuer. Raises ConfigError."""
    if not issuer:
        return {}
    if urlsplit(issuer).scheme not in ("http", "https") or not urlsplit(issuer).hostname:
        raise ConfigError("OIDC_ISSUER must be a URL, such as https://login.example.org.")
    client_id, secret = text("OIDC_CLIENT_ID", ""), text("OIDC_CLIENT_SECRET", "")
    if not client_id or not secret:
        raise ConfigError("OIDC_ISSUER needs OIDC_CLIENT_ID and OIDC_CLIENT_SECRET.")
    app = {
        "provider_id": OIDC_ID,
        "name": name,
        "client_id": client_id,
        "secret": secret,
        "settings": {"server_url": issuer},
    }
    return {"openid_connect": {"APPS": [app], "OAUTH_PKCE_ENABLED": True}}
