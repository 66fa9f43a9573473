"""Every setting, read from the environment once. `docs/operations.md` lists the variables."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any, TypeVar

import environ
from django.core.exceptions import ImproperlyConfigured

from webapp.operations.ports import LocalPorts
from webapp.operations.secret_files import kept_secret

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
    if not lowest <= value <= highest:
        raise ImproperlyConfigured(f"{name} must be {kind} from {lowest:g} to {highest:g}, not {text!r}.")
    return value


def _flag(name: str, default: bool) -> bool:
    """Return the variable as true or false."""
    text = env.str(name, default="").lower()
    if text not in ("", "true", "false"):
        raise ImproperlyConfigured(f"{name} must be true or false, not {text!r}.")
    return text == "true" if text else default


def _json_object(name: str) -> dict[str, Any]:
    """Return the variable, a JSON object, as a dictionary; empty when it is not set."""
    text = env.str(name, default="") or "{}"
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise ImproperlyConfigured(f'{name} must be a JSON object such as {{"nprobe": 256}}, not {text!r}.')
    return value


def _milvus_texts(*keys: str) -> dict[str, str]:
    """Return those of the keys whose variable, MILVUS_<key>, is set; the worker has the defaults of the others."""
    texts = {key: env.str(f"MILVUS_{key}", default="") for key in keys}
    return {key: text for key, text in texts.items() if text}


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
    "PACK": env.str("FACE_PACK", default="starter"),
    "PACKS_DIR": env.str("FACE_PACKS_DIR", default=str(DATA_DIR / "packs")),
    "PROVIDERS": env.list("FACE_PROVIDERS", default=["CPUExecutionProvider"]),
    "ALLOW_PROVIDER_FALLBACK": env.bool("FACE_ALLOW_PROVIDER_FALLBACK", default=False),
    "RUNS_AT_ONCE": _number("FACE_RUNS_AT_ONCE", 0) or None,
    "THREADS_PER_RUN": _number("FACE_THREADS_PER_RUN", 0) or None,
    "MAX_WAITING": _number("FACE_MAX_WAITING", 128),
    "ARENA": env.bool("FACE_ARENA", default=True),
    "SPINNING": env.bool("FACE_SPINNING", default=False),
    "CONVOLUTION_SEARCH": env.str("FACE_CONVOLUTION_SEARCH", default="HEURISTIC"),
    "FP16": env.bool("FACE_FP16", default=False),
    "ENGINE_CACHE_DIR": env.str("FACE_ENGINE_CACHE_DIR", default=str(DATA_DIR / "engines")),
    "REPAIR_GRAPHS": env.bool("FACE_REPAIR_GRAPHS", default=True),
    "REDUCED_DECODING": env.bool("FACE_REDUCED_DECODING", default=False),
    "DECODE_THREADS": _number("FACE_DECODE_THREADS", 0) or None,
    "MAX_IMAGE_BYTES": _number("FACE_MAX_IMAGE_BYTES", 20 * 1024 * 1024),
    "MAX_IMAGE_PIXELS": _number("FACE_MAX_IMAGE_PIXELS", 40_000_000),
    "MIN_FACE_SCORE": _number("FACE_MIN_SCORE", 0.5),
    "MIN_FACE_PIXELS": _number("FACE_MIN_PIXELS", 0),
    "MIN_FACE_QUALITY": _number("FACE_MIN_QUALITY", 0.0),
}
#: The pack's name in queues, messages and pages; FACE_PACK may also be the path of a folder.
PACK_NAME = Path(FACE_CONFIG["PACK"]).name
MILVUS_CONFIG = {
    "URI": MILVUS_URI,
    **_milvus_texts("TOKEN", "USER", "PASSWORD", "DATABASE", "CONNECTION_ALIAS"),
    **_milvus_texts("CA_PEM_PATH", "CLIENT_PEM_PATH", "CLIENT_KEY_PATH", "SERVER_PEM_PATH", "SERVER_NAME"),
    "TIMEOUT": _number("MILVUS_TIMEOUT", 10.0),
    "MAX_RETRIES": _number("MILVUS_MAX_RETRIES", 2),
    "RETRY_DELAY": _number("MILVUS_RETRY_DELAY", 0.25),
}
COLLECTION_CONFIG = {
    "NAME": env.str("MILVUS_COLLECTION", default="faces_" + re.sub(r"\W", "_", PACK_NAME)),
    **_milvus_texts("METRIC_TYPE", "INDEX_TYPE"),
    "INDEX_PARAMS": _json_object("MILVUS_INDEX_PARAMS"),
    "SEARCH_PARAMS": _json_object("MILVUS_SEARCH_PARAMS"),
    "AUTO_CREATE": _flag("MILVUS_AUTO_CREATE", True),
    "AUTO_LOAD": _flag("MILVUS_AUTO_LOAD", True),
    "MAX_CAPACITY": _number("MILVUS_MAX_CAPACITY", 0) or None,
}
PERFORMANCE_CONFIG = {
    "CONNECTION_POOL_SIZE": _number("MILVUS_CONNECTION_POOL_SIZE", 8),
    "MAX_CONNECTIONS": _number("MILVUS_MAX_CONNECTIONS", 8),
    "BATCH_SIZE": _number("MILVUS_BATCH_SIZE", 1000),
    "SEARCH_TIMEOUT": _number("MILVUS_SEARCH_TIMEOUT", 5.0),
    "INSERT_TIMEOUT": _number("MILVUS_INSERT_TIMEOUT", 30.0),
    "HEALTH_TIMEOUT": _number("MILVUS_HEALTH_TIMEOUT", 2.0),
    "ENABLE_CACHING": _flag("ENABLE_CACHING", True),
    "CACHE_TTL": _number("CACHE_TTL", 300.0),
    "CACHE_MAX_SIZE": _number("CACHE_MAX_SIZE", 10_000),
}
MONITORING_CONFIG = {
    "ENABLE_METRICS": _flag("ENABLE_METRICS", True),
    "ENABLE_TRACING": _flag("ENABLE_TRACING", False),
    "LOG_LEVEL": env.str("MONITORING_LOG_LEVEL", default="INFO"),
    "LOG_REQUESTS": _flag("LOG_REQUESTS", False),
    "LOG_RESPONSES": _flag("LOG_RESPONSES", False),
    "METRICS_INTERVAL": _number("METRICS_INTERVAL", 60.0),
    "HEALTH_CHECK_INTERVAL": _number("HEALTH_CHECK_INTERVAL", 3.0),
}
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
    "webapp.jobs",
    "webapp.generations",
    "webapp.indexing",
    "webapp.people",
    "webapp.search",
    "webapp.operations",
]
MIDDLEWARE = [  # Django's own in their usual order, each without a thread of its own (direct_middleware.py)
    "webapp.http.direct_middleware.SecurityMiddleware",
    "webapp.http.middleware.StaticFilesMiddleware",  # WhiteNoise's own would hold a thread per open request
    "webapp.http.middleware.ContentSecurityPolicyMiddleware",
    "webapp.http.direct_middleware.SessionMiddleware",
    "webapp.http.direct_middleware.CommonMiddleware",
    "webapp.http.direct_middleware.CsrfViewMiddleware",
    "webapp.http.direct_middleware.AuthenticationMiddleware",
    "webapp.http.direct_middleware.MessageMiddleware",
    "webapp.http.direct_middleware.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "webapp.http.middleware.ProblemMiddleware",
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
DATABASE_URL = env.str("DATABASE_URL", default="") or f"sqlite:///{DATA_DIR / 'db.sqlite3'}"
if DATABASE_URL.partition(":")[0] not in env.DB_SCHEMES:
    raise ImproperlyConfigured("DATABASE_URL must be a URL, such as postgres://user:password@host/name.")
DATABASES = {"default": env.db_url_config(DATABASE_URL)}
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
# it starts (tasks/worker/lifecycle.py), however it was started: the web must answer quickly when Redis does not, a
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
CELERY_BEAT_SCHEDULER = "tasks.beat.scheduler:BoundedScheduler"  # sends nothing to a queue that nobody consumes
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
        # Its lines would show the signed tokens in addresses; ours do not (webapp/http/request_ids.py).
        "uvicorn.access": {"handlers": [], "propagate": False},
    },
}

# -- uploads ------------------------------------------------------------------------------------------------

#: A request body up to this size stays in memory. It must hold the largest query image and its form around it:
#: Django spools a larger body to a temporary file, and a query image never touches a disk.
FILE_UPLOAD_MAX_MEMORY_SIZE = FACE_CONFIG["MAX_IMAGE_BYTES"] + 64 * 1024
#: How many photos one upload may carry.
DATA_UPLOAD_MAX_NUMBER_FILES = 1000
