"""The settings of accounts: logging in, making an account, e-mail. A part of settings.py."""

from typing import Any, Final
from urllib.parse import urlsplit

from environ import Env

from webapp.config.environment import choice, flag, origin, text
from worker.errors import ConfigError

EMAIL_SCHEMES: Final = ("smtp", "smtp+tls", "smtp+ssl")
#: Stands for the provider in addresses and in the rows of linked accounts.
OIDC_ID: Final = "oidc"


def host_of(issuer: str) -> str:
    """Return the host of the provider's address; empty if there is none. Raises ConfigError."""
    try:
        host = urlsplit(issuer).hostname if urlsplit(issuer).scheme in ("http", "https") else None
    except ValueError:
        host = None
    if issuer and not host:
        raise ConfigError("OIDC_ISSUER must be a URL, such as https://login.example.org.")
    return host or ""


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
    return options


def oidc_provider(issuer: str, name: str) -> dict[str, Any]:
    """Return allauth's settings for the provider; none if there is no issuer. Raises ConfigError."""
    if not issuer:
        return {}
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


_public_url = origin("PUBLIC_URL")
_host = urlsplit(_public_url).hostname

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
AUTHENTICATION_BACKENDS = ["webapp.accounts.login.backends.PasswordBackend"]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "gallery_list"
LOGOUT_REDIRECT_URL = "login"
#: How long a link that sets a password works.
PASSWORD_RESET_TIMEOUT = 24 * 3600
#: Who may make an account: nobody, whoever was sent an invitation, or anybody.
SIGN_UP = choice("SIGN_UP", "closed", ("closed", "invited", "open"))
#: Whether people may ask for a code from an app on their phone at each log-in to their account.
TOTP = flag("TOTP", False)
MFA_ADAPTER = "webapp.accounts.own.second_factor.Adapter"
MFA_TOTP_ISSUER = _host or "facequeue"
#: Log-in with an OpenID Connect provider; empty: none.
OIDC_ISSUER = text("OIDC_ISSUER", "").rstrip("/")
OIDC_NAME = text("OIDC_NAME", host_of(OIDC_ISSUER))
#: Whether whom the provider knows gets an account at the first log-in.
OIDC_SIGN_UP = flag("OIDC_SIGN_UP", False)
SOCIALACCOUNT_ADAPTER = "webapp.accounts.login.oidc.Adapter"
SOCIALACCOUNT_LOGIN_ON_GET = True  # a link on the log-in page, without a page in between
SOCIALACCOUNT_PROVIDERS = oidc_provider(OIDC_ISSUER, OIDC_NAME)
# E-mail, with which people reset their passwords. Without EMAIL_URL none is sent, and nothing offers to.
EMAIL_URL = text("EMAIL_URL", "")
DEFAULT_FROM_EMAIL = text("EMAIL_FROM", f"facequeue@{_host or 'localhost'}")
_email = email_options(EMAIL_URL)
if EMAIL_URL and not _public_url:  # a stranger's request must not say where a link leads that somebody else is sent
    raise ConfigError("EMAIL_URL needs PUBLIC_URL, with which the links in messages begin.")
EMAIL_HOST, EMAIL_PORT = _email.get("EMAIL_HOST", ""), _email.get("EMAIL_PORT", 25)
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = _email.get("EMAIL_HOST_USER", ""), _email.get("EMAIL_HOST_PASSWORD", "")
EMAIL_USE_TLS, EMAIL_USE_SSL = _email.get("EMAIL_USE_TLS", False), _email.get("EMAIL_USE_SSL", False)
EMAIL_TIMEOUT = 10  # seconds: whoever waits for the mail server holds a thread
