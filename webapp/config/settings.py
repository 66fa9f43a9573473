"""Every setting, read from the environment once. `docs/operations.md` lists the variables."""

import secrets
from pathlib import Path

import environ

from webapp.config.ports import LocalPorts

env = environ.Env()
BASE_DIR = Path(__file__).resolve().parent.parent.parent


def _secret(path: Path) -> str:
    """Return the secret kept at `path`, made at the first start and readable by its owner only."""
    try:
        return path.read_text()
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600, exist_ok=True)
        path.write_text(secrets.token_urlsafe(50))
        return path.read_text()


# -- where things are -------------------------------------------------------------------------------------

#: All state of this checkout: database, photos, Redis' and Milvus' files, secrets, packs.
DATA_DIR = Path(env.str("FACEQUEUE_DATA_DIR", default=str(BASE_DIR / "var"))).resolve()
DATA_DIR.mkdir(parents=True, exist_ok=True)
PORTS = LocalPorts(web=env.int("PORT", default=8000))

REDIS_URL = env.str("REDIS_URL", default=f"redis://127.0.0.1:{PORTS.redis}/0")
REDIS_CACHE_URL = env.str("REDIS_CACHE_URL", default=f"redis://127.0.0.1:{PORTS.redis_cache}/0")
MILVUS_URI = env.str("MILVUS_URI", default=f"http://127.0.0.1:{PORTS.milvus}")

# -- the face search --------------------------------------------------------------------------------------

FACE_CONFIG = {
    "PACK": env.str("FACE_PACK", default="starter"),
    "PACKS_DIR": env.str("FACE_PACKS_DIR", default=str(DATA_DIR / "packs")),
    "PROVIDERS": env.list("FACE_PROVIDERS", default=["CPUExecutionProvider"]),
    "MAX_IMAGE_BYTES": env.int("FACE_MAX_IMAGE_BYTES", default=20 * 1024 * 1024),
    "MAX_IMAGE_PIXELS": env.int("FACE_MAX_IMAGE_PIXELS", default=40_000_000),
    "MIN_FACE_SCORE": env.float("FACE_MIN_SCORE", default=0.5),
}
MILVUS_CONFIG = {
    "URI": MILVUS_URI,
    "TOKEN": env.str("MILVUS_TOKEN", default=""),
    "TIMEOUT": env.float("MILVUS_TIMEOUT", default=10.0),
}
COLLECTION_CONFIG = {
    "NAME": env.str("MILVUS_COLLECTION", default=f"faces_{FACE_CONFIG['PACK']}"),
}
PERFORMANCE_CONFIG = {
    "BATCH_SIZE": env.int("MILVUS_BATCH_SIZE", default=1000),
    "SEARCH_TIMEOUT": env.float("MILVUS_SEARCH_TIMEOUT", default=5.0),
    "INSERT_TIMEOUT": env.float("MILVUS_INSERT_TIMEOUT", default=30.0),
}

# -- Django -----------------------------------------------------------------------------------------------

SECRET_KEY = env.str("SECRET_KEY", default="") or _secret(DATA_DIR / "secret_key")
DEBUG = env.bool("DEBUG", default=False)
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django_htmx",
    "webapp.accounts",
    "webapp.gallery",
    "webapp.search",
    "webapp.operations",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]
ROOT_URLCONF = "webapp.config.urls"
ASGI_APPLICATION = "webapp.config.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "webapp" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
DATABASES = {"default": env.db("DATABASE_URL", default=f"sqlite:///{DATA_DIR / 'db.sqlite3'}")}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    # Several processes write: readers must not block them (WAL), and a writer waits for its turn at the
    # start of its transaction instead of failing in the middle of it (IMMEDIATE).
    DATABASES["default"]["OPTIONS"] = {
        "timeout": 20,
        "transaction_mode": "IMMEDIATE",
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "gallery_list"
LOGOUT_REDIRECT_URL = "login"
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = DATA_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "webapp" / "static"]
MEDIA_ROOT = DATA_DIR / "photos"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedStaticFilesStorage"},
}
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SECURE_CONTENT_TYPE_NOSNIFF = True
X_FRAME_OPTIONS = "DENY"

# -- search in the web --------------------------------------------------------------------------------------

#: A search nobody has answered after this many seconds has expired.
SEARCH_TIMEOUT_SECONDS = env.float("SEARCH_TIMEOUT_SECONDS", default=30.0)
#: The longest `?wait=` that a request may ask for.
SEARCH_MAX_WAIT_SECONDS = env.float("SEARCH_MAX_WAIT_SECONDS", default=30.0)
#: How many photos one index message carries.
INDEX_CHUNK_SIZE = env.int("INDEX_CHUNK_SIZE", default=8)
#: A photo that is still pending after this many seconds, with an empty index queue, is sent again.
INDEX_LEASE_SECONDS = env.float("INDEX_LEASE_SECONDS", default=120.0)
#: A photo that was sent this often without an outcome has failed.
INDEX_MAX_ATTEMPTS = env.int("INDEX_MAX_ATTEMPTS", default=10)
