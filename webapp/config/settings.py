"""Every setting, read from the environment once. `docs/operations.md` lists the variables."""

import json
import re
import tomllib
from math import isfinite
from pathlib import Path
from typing import Any, TypeVar

import environ
from django.core.exceptions import ImproperlyConfigured

from webapp.config.ports import LocalPorts
from webapp.config.secret_files import kept_secret
from worker.config import FaceConfig
from worker.errors import ConfigError

env = environ.Env()
BASE_DIR = Path(__file__).resolve().parent.parent.parent
VERSION = tomllib.loads((BASE_DIR / "pyproject.toml").read_text())["project"]["version"]


Number = TypeVar("Number", int, float)


def _number(name: str, default: Number, *, lowest: float = 0, highest: float = float("inf")) -> Number:
    """Return the variable as a number of the default's type."""
    text = env.str(name, default="")
    if not text:
        return default
    kind = "a whole number" if isinstance(default, int) else "a number"
    try:
        value = type(default)(text)
    except ValueError:
        raise ImproperlyConfigured(f"{name} must be {kind}, not {text!r}.") from None
    if not (lowest <= value <= highest and isfinite(value)):
        raise ImproperlyConfigured(f"{name} must be {kind} from {lowest:g} to {highest:g}, not {text!r}.")
    return value


def _given(**variables: tuple[str, type]) -> dict[str, Any]:
    """Return the variables that are set, by the key each stands for; the worker's dataclasses have the defaults."""
    given = {key: _value(name, kind) for key, (name, kind) in variables.items()}
    return {key: value for key, value in given.items() if value is not None}


def _value(name: str, kind: type) -> Any:
    """Return the variable as a value of that kind, None when it is not set."""
    text = env.str(name, default="")
    if not text:
        return None
    if kind is bool:
        return _flag(name, text)
    if kind is dict:
        return _json_object(name, text)
    if kind is list:
        return [part.strip() for part in text.split(",")]
    return text if kind is str else _number(name, kind())


def _flag(name: str, text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ImproperlyConfigured(f"{name} must be true or false, not {text!r}.")
    return text.lower() == "true"


def _json_object(name: str, text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise ImproperlyConfigured(f'{name} must be a JSON object such as {{"nprobe": 256}}, not {text!r}.')
    return value


# -- where things are -------------------------------------------------------------------------------------

#: All state of this checkout: database, photos, Redis' and Milvus' files, secrets, packs.
DATA_DIR = Path(env.str("FACEQUEUE_DATA_DIR", default=str(BASE_DIR / "var"))).resolve()
DATA_DIR.mkdir(parents=True, exist_ok=True)
PORTS = LocalPorts(web=_number("PORT", 8000, lowest=1, highest=65535 - 4))  # four more follow

#: Services that the environment says are elsewhere; `manage.py up` does not start those here.
EXTERNAL_SERVICES = frozenset(
    name for name in ("REDIS_URL", "REDIS_CACHE_URL", "MILVUS_URI") if env.str(name, default="")
)
REDIS_URL = env.str("REDIS_URL", default=f"redis://127.0.0.1:{PORTS.redis}/0")
REDIS_CACHE_URL = env.str("REDIS_CACHE_URL", default=f"redis://127.0.0.1:{PORTS.redis_cache}/0")
MILVUS_URI = env.str("MILVUS_URI", default=f"http://127.0.0.1:{PORTS.milvus}")

# -- the face search --------------------------------------------------------------------------------------

FACE_CONFIG = {
    "PACKS_DIR": env.str("FACE_PACKS_DIR", default=str(DATA_DIR / "packs")),
    "ENGINE_CACHE_DIR": env.str("FACE_ENGINE_CACHE_DIR", default=str(DATA_DIR / "engines")),
    **_given(
        PACK=("FACE_PACK", str),
        PROVIDERS=("FACE_PROVIDERS", list),
        ALLOW_PROVIDER_FALLBACK=("FACE_ALLOW_PROVIDER_FALLBACK", bool),
        RUNS_AT_ONCE=("FACE_RUNS_AT_ONCE", int),
        THREADS_PER_RUN=("FACE_THREADS_PER_RUN", int),
        MAX_WAITING=("FACE_MAX_WAITING", int),
        ARENA=("FACE_ARENA", bool),
        SPINNING=("FACE_SPINNING", bool),
        CONVOLUTION_SEARCH=("FACE_CONVOLUTION_SEARCH", str),
        FP16=("FACE_FP16", bool),
        REPAIR_GRAPHS=("FACE_REPAIR_GRAPHS", bool),
        REDUCED_DECODING=("FACE_REDUCED_DECODING", bool),
        DECODE_THREADS=("FACE_DECODE_THREADS", int),
        MAX_IMAGE_BYTES=("FACE_MAX_IMAGE_BYTES", int),
        MAX_IMAGE_PIXELS=("FACE_MAX_IMAGE_PIXELS", int),
        MIN_FACE_SCORE=("FACE_MIN_SCORE", float),
        MIN_FACE_PIXELS=("FACE_MIN_PIXELS", int),
        MIN_FACE_QUALITY=("FACE_MIN_QUALITY", float),
    ),
}
try:
    face_config = FaceConfig.from_settings(FACE_CONFIG)
except ConfigError as error:
    raise ImproperlyConfigured(str(error)) from None
#: The pack's name in queues, messages and pages; FACE_PACK may also be the path of a folder.
PACK_NAME = Path(face_config.pack).name
MILVUS_CONFIG = {
    "URI": MILVUS_URI,
    **_given(
        TOKEN=("MILVUS_TOKEN", str),
        USER=("MILVUS_USER", str),
        PASSWORD=("MILVUS_PASSWORD", str),
        DATABASE=("MILVUS_DATABASE", str),
        CONNECTION_ALIAS=("MILVUS_CONNECTION_ALIAS", str),
        CA_PEM_PATH=("MILVUS_CA_PEM_PATH", str),
        CLIENT_PEM_PATH=("MILVUS_CLIENT_PEM_PATH", str),
        CLIENT_KEY_PATH=("MILVUS_CLIENT_KEY_PATH", str),
        SERVER_PEM_PATH=("MILVUS_SERVER_PEM_PATH", str),
        SERVER_NAME=("MILVUS_SERVER_NAME", str),
        TIMEOUT=("MILVUS_TIMEOUT", float),
        MAX_RETRIES=("MILVUS_MAX_RETRIES", int),
        RETRY_DELAY=("MILVUS_RETRY_DELAY", float),
    ),
}
COLLECTION_CONFIG = {
    "NAME": env.str("MILVUS_COLLECTION", default="faces_" + re.sub(r"\W", "_", PACK_NAME)),
    **_given(
        DIMENSION=("MILVUS_DIMENSION", int),
        METRIC_TYPE=("MILVUS_METRIC_TYPE", str),
        INDEX_TYPE=("MILVUS_INDEX_TYPE", str),
        INDEX_PARAMS=("MILVUS_INDEX_PARAMS", dict),
        SEARCH_PARAMS=("MILVUS_SEARCH_PARAMS", dict),
        AUTO_CREATE=("MILVUS_AUTO_CREATE", bool),
        AUTO_LOAD=("MILVUS_AUTO_LOAD", bool),
        MAX_CAPACITY=("MILVUS_MAX_CAPACITY", int),
    ),
}
PERFORMANCE_CONFIG = _given(
    CONNECTION_POOL_SIZE=("MILVUS_CONNECTION_POOL_SIZE", int),
    MAX_CONNECTIONS=("MILVUS_MAX_CONNECTIONS", int),
    BATCH_SIZE=("MILVUS_BATCH_SIZE", int),
    SEARCH_TIMEOUT=("MILVUS_SEARCH_TIMEOUT", float),
    INSERT_TIMEOUT=("MILVUS_INSERT_TIMEOUT", float),
    HEALTH_TIMEOUT=("MILVUS_HEALTH_TIMEOUT", float),
    ENABLE_CACHING=("ENABLE_CACHING", bool),
    CACHE_TTL=("CACHE_TTL", float),
    CACHE_MAX_SIZE=("CACHE_MAX_SIZE", int),
)
MONITORING_CONFIG = _given(
    ENABLE_METRICS=("ENABLE_METRICS", bool),
    ENABLE_TRACING=("ENABLE_TRACING", bool),
    LOG_LEVEL=("MONITORING_LOG_LEVEL", str),
    LOG_REQUESTS=("LOG_REQUESTS", bool),
    LOG_RESPONSES=("LOG_RESPONSES", bool),
    METRICS_INTERVAL=("METRICS_INTERVAL", float),
    HEALTH_CHECK_INTERVAL=("HEALTH_CHECK_INTERVAL", float),
)
#: How often a canary is sent through each queue, in seconds; 0 sends none.
CANARY_INTERVAL_SECONDS = _number("CANARY_INTERVAL", 30.0)
#: How often the match recall of live searches is measured, in seconds; 0 never.
RECALL_INTERVAL_SECONDS = _number("RECALL_INTERVAL", 300.0)
#: Where a worker shows its metrics; port 0 is a free one, told in the worker's report.
METRICS_HOST = env.str("METRICS_HOST", default="127.0.0.1")
METRICS_PORT = _number("METRICS_PORT", 0, highest=65535)
#: Whoever sends it as a bearer token may read the web's `/metrics`; without it, only this machine may.
METRICS_TOKEN = env.str("METRICS_TOKEN", default="")

# -- Django -----------------------------------------------------------------------------------------------

SECRET_KEY = env.str("SECRET_KEY", default="") or kept_secret(DATA_DIR / "secret_key", length_bytes=50)
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
    "ninja",  # serves the API's documentation pages from here, not from a CDN
    "webapp.accounts",
    "webapp.gallery",
    "webapp.search",
    "webapp.operations",
]
MIDDLEWARE = [  # Django's own in their usual order, each without a thread of its own (direct_middleware.py)
    "webapp.config.direct_middleware.SecurityMiddleware",
    "webapp.config.middleware.StaticFilesMiddleware",  # WhiteNoise's own would hold a thread per open request
    "webapp.config.middleware.ContentSecurityPolicyMiddleware",
    "webapp.config.direct_middleware.SessionMiddleware",
    "webapp.config.direct_middleware.CommonMiddleware",
    "webapp.config.direct_middleware.CsrfViewMiddleware",
    "webapp.config.direct_middleware.AuthenticationMiddleware",
    "webapp.config.direct_middleware.MessageMiddleware",
    "webapp.config.direct_middleware.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "webapp.config.middleware.ProblemMiddleware",
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
# Opening a connection costs more than a query. They are kept by the web's few shared threads (webapp/config/asgi.py),
# so there are as many as threads; without sharing each request would leave one behind.
DATABASES["default"].setdefault("CONN_MAX_AGE", 60)
DATABASES["default"].setdefault("CONN_HEALTH_CHECKS", True)
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
STATICFILES_DIRS = [BASE_DIR / "webapp" / "static"]
MEDIA_ROOT = DATA_DIR / "photos"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
WHITENOISE_USE_FINDERS = True  # straight from the apps' folders: no collectstatic step to forget
WHITENOISE_AUTOREFRESH = False
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SECURE_CONTENT_TYPE_NOSNIFF = True
X_FRAME_OPTIONS = "DENY"

# -- search in the web --------------------------------------------------------------------------------------

#: A search nobody has answered after this many seconds has expired.
SEARCH_TIMEOUT_SECONDS = _number("SEARCH_TIMEOUT_SECONDS", 30.0)
#: The longest `?wait=` that a request may ask for.
SEARCH_MAX_WAIT_SECONDS = _number("SEARCH_MAX_WAIT_SECONDS", 30.0)
#: A search is refused (`busy`) while so many wait for a worker.
SEARCH_QUEUE_BOUND = _number("SEARCH_QUEUE_BOUND", 64, lowest=1)
#: How many photos one index message carries.
INDEX_CHUNK_SIZE = _number("INDEX_CHUNK_SIZE", 8)
#: How many index messages wait in Redis at most; the photos of further ones wait in the database.
INDEX_QUEUE_BOUND = _number("INDEX_QUEUE_BOUND", 200, lowest=1)
#: A photo that is still pending this many seconds after it has left the index queue is sent again.
INDEX_LEASE_SECONDS = _number("INDEX_LEASE_SECONDS", 120.0)
#: A photo that was sent this often without an outcome has failed.
INDEX_MAX_ATTEMPTS = _number("INDEX_MAX_ATTEMPTS", 10)

#: Jobs that ended more than this many days ago are forgotten; their photos stay.
JOB_RETENTION_DAYS = _number("JOB_RETENTION_DAYS", 90.0)

# -- generations -------------------------------------------------------------------------------------------

#: The match recall that a generation must have before it is searched, and of the active one before there is an alert.
RECALL_MIN = _number("RECALL_MIN", 0.99, highest=1)
#: The share of sampled faces whose nearest neighbour must be the same as before.
AGREEMENT_MIN = _number("AGREEMENT_MIN", 0.5, highest=1)

# -- Celery -----------------------------------------------------------------------------------------------
# These are the settings of the web, beat and Flower. A worker process lays CELERY_WORKER_ROLE over them when
# it starts (tasks/lifecycle.py), however it was started: the web must answer quickly when Redis does not, a
# worker must outlast it. docs/operations.md explains each choice.

#: A message that a dead worker held is delivered again after this long. The same for every role: the
#: shortest value of any consumer would win. Every task must end well within it.
VISIBILITY_TIMEOUT_SECONDS = _number("VISIBILITY_TIMEOUT_SECONDS", 600)

CELERY_BROKER_URL = REDIS_URL
CELERY_RESULT_BACKEND = REDIS_URL
CELERY_ACCEPT_CONTENT = ["json"]  # never pickle: a message must not be able to run code
CELERY_RESULT_ACCEPT_CONTENT = ["json"]
CELERY_TIMEZONE = TIME_ZONE
CELERY_RESULT_EXPIRES = 3600  # seconds; a search result is personal data and nobody asks for it later
CELERY_RESULT_EXTENDED = False  # results carry no copy of the arguments
CELERY_RESULT_BACKEND_ALWAYS_RETRY = True  # a result must not be lost because Redis restarts as a task ends
CELERY_RESULT_BACKEND_MAX_RETRIES = 20
CELERY_TASK_ACKS_LATE = True  # a killed worker's task is delivered again
CELERY_TASK_RETRY_ON_WORKER_LOST = True  # counted against max_retries, unlike a requeue of a poison task
CELERY_TASK_REJECT_ON_WORKER_LOST = False
CELERY_TASK_TRACK_STARTED = False  # a STARTED result would be one more write per search
CELERY_TASK_STORE_ERRORS_EVEN_IF_IGNORED = False
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 1, "interval_start": 0, "interval_max": 0.2}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None  # a worker waits for Redis for ever, it does not give up
CELERY_BROKER_POOL_ACQUIRE_TIMEOUT = 2.0
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": VISIBILITY_TIMEOUT_SECONDS,
    "socket_timeout": 1.0,
    "socket_connect_timeout": 1.0,
    "socket_keepalive": True,
    "retry_on_timeout": False,  # a request that waits for a frozen Redis twice helps nobody
}
CELERY_REDIS_SOCKET_TIMEOUT = 2.0
CELERY_REDIS_SOCKET_CONNECT_TIMEOUT = 1.0
CELERY_WORKER_PREFETCH_MULTIPLIER = 1  # with late acks a worker reserves only what it runs
CELERY_WORKER_SEND_TASK_EVENTS = True  # Flower shows what the workers do
CELERY_WORKER_POOL_START_METHOD = "spawn"  # Django, gRPC and onnxruntime do not survive a fork
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = _number("WORKER_SOFT_SHUTDOWN_SECONDS", 20.0)
#: A worker that uses more, its children included, finishes what it runs and ends, to be started again; 0: no bound.
WORKER_MAX_MEMORY_MB = _number("WORKER_MAX_MEMORY_MB", 0)
CELERY_WORKER_HIJACK_ROOT_LOGGER = True
CELERY_BEAT_SCHEDULER = "tasks.beat:BoundedScheduler"  # sends nothing to a queue that nobody consumes
CELERY_BEAT_ENABLE_REMOTE_CONTROL = True  # `manage.py doctor` asks beat whether its clock still ticks

CELERY_WORKER_ROLE = {
    "broker_transport_options": {
        "visibility_timeout": VISIBILITY_TIMEOUT_SECONDS,
        "unacked_restore_interval": 5,  # look for abandoned messages every 5 s, not every 100 s
        "unacked_restore_throttle": 1,
        # Who looks holds a lock. A full Redis lets nobody give it back, and for kombu's five minutes nothing would come
        # back to any queue (tests/faults/test_redis.py, fill_up). A look takes milliseconds.
        "unacked_mutex_expire": 10,
        "socket_timeout": 5.0,  # without it a half-open connection silences the worker for ever
        "socket_connect_timeout": 3.0,
        "socket_keepalive": True,
        "health_check_interval": 10,
        # A retry would close the gap between popping a message and noting it as unacked, which the sweep closes too;
        # but kombu 5.7 would also retry its subscription for remote control: once Redis has dropped that connection, it
        # waits there without an end instead of consuming (tests/faults/test_redis.py, drop_connections).
        "retry_on_timeout": False,
    },
    "task_publish_retry_policy": {"max_retries": 10, "interval_start": 0.1, "interval_max": 2.0},
    "redis_socket_timeout": 10.0,
    "redis_retry_on_timeout": True,
    "redis_backend_health_check_interval": 10,
    "broker_pool_acquire_timeout": 20.0,
}

# -- logging ------------------------------------------------------------------------------------------------

#: "line" for people, "json" for machines; in every process (tasks/logs.py).
LOG_FORMAT = env.str("LOG_FORMAT", default="line")
if LOG_FORMAT not in ("line", "json"):
    raise ImproperlyConfigured(f"LOG_FORMAT must be line or json, not {LOG_FORMAT!r}.")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"ours": {"()": "tasks.logs.formatter", "log_format": LOG_FORMAT}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "ours"}},
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", default="INFO")},
    # A bad upload is a 4xx answer with a sentence, not an event for the operator.
    "loggers": {
        "django.request": {"level": "ERROR"},
        "uvicorn": {"handlers": ["console"], "level": "INFO", "propagate": False},  # it has handlers of its own
        # Its lines would show the signed tokens in addresses; ours do not (webapp/config/requests.py).
        "uvicorn.access": {"handlers": [], "propagate": False},
    },
}

# -- uploads ------------------------------------------------------------------------------------------------

#: A request body up to this size stays in memory. It must hold the largest query image and its form around it:
#: Django spools a larger body to a temporary file, and a query image never touches a disk.
FILE_UPLOAD_MAX_MEMORY_SIZE = face_config.max_image_bytes + 64 * 1024
#: How many photos one upload may carry.
DATA_UPLOAD_MAX_NUMBER_FILES = 1000
