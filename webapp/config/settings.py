"""Every setting, read from the environment once. `docs/operations.md` lists the variables."""

import os
import tomllib
from pathlib import Path
from typing import get_args
from urllib.parse import urlsplit

from environ import Env

from tasks.dictionaries import FORM_BYTES
from tasks.logs import LogFormat
from webapp.config import variables
from webapp.config.accounts import *  # noqa: F403
from webapp.config.environment import choice, flag, given, names, networks, number, origin, text, whole
from webapp.config.redis_urls import redis_url, tls_options, without_parameters
from webapp.operations.ports import LocalPorts
from webapp.operations.private_files import UMASK, kept_secret, private_folder
from worker.errors import ConfigError
from worker.vector_search.config import LOG_LEVELS

BASE_DIR = Path(__file__).resolve().parent.parent.parent
VERSION = tomllib.loads((BASE_DIR / "pyproject.toml").read_text())["project"]["version"]

# -- where things are -------------------------------------------------------------------------------------

#: All state of this checkout: database, photos, Redis' and Milvus' files, secrets, packs. For its owner alone.
os.umask(UMASK)
DATA_DIR = private_folder(Path(text("FACEQUEUE_DATA_DIR", str(BASE_DIR / "var"))).resolve())
DAY_SECONDS = 24 * 3600
PORTS = LocalPorts(web=whole("PORT", 8000, lowest=1, highest=65535 - 4))  # four more follow

REDIS_URL = redis_url("REDIS_URL", f"redis://127.0.0.1:{PORTS.redis}/0")
REDIS_CACHE_URL = redis_url("REDIS_CACHE_URL", f"redis://127.0.0.1:{PORTS.redis_cache}/0")
#: The Redis servers that run elsewhere; `manage.py up` does not start these.
EXTERNAL_REDIS = frozenset(name for name in ("REDIS_URL", "REDIS_CACHE_URL") if text(name, ""))
#: Where Milvus is unless MILVUS_CONFIG says so.
LOCAL_MILVUS_URI = f"http://127.0.0.1:{PORTS.milvus}"
#: Where staff find Flower: the status page links to it.
FLOWER_URL = text("FLOWER_URL", f"http://127.0.0.1:{PORTS.flower}/")

# -- the face search --------------------------------------------------------------------------------------
# Only what is set: the worker's configuration classes have the defaults. A site may write these dictionaries in a
# settings module of its own. tasks/dictionaries.py checks them, and everybody reads them from there.

FACE_CONFIG = given(variables.FACE)
MILVUS_CONFIG = given(variables.MILVUS)
COLLECTION_CONFIG = given(variables.COLLECTION)
PERFORMANCE_CONFIG = given(variables.PERFORMANCE)
MONITORING_CONFIG = given(variables.MONITORING)
#: How often a canary is sent through each queue, in seconds; 0 sends none.
CANARY_INTERVAL_SECONDS = number("CANARY_INTERVAL", 30.0, highest=DAY_SECONDS)
#: How often the match recall of live searches is measured, in seconds; 0 never.
RECALL_INTERVAL_SECONDS = number("RECALL_INTERVAL", 300.0, highest=DAY_SECONDS)
#: Where a worker serves its metrics; port 0 takes a free one, which the worker's report names.
METRICS_HOST = text("METRICS_HOST", "127.0.0.1")
METRICS_PORT = whole("METRICS_PORT", 0, highest=65535)
#: The bearer token for reading the web's `/metrics`; if it is not set, only this machine may read them.
METRICS_TOKEN = text("METRICS_TOKEN", "")

# -- Django -----------------------------------------------------------------------------------------------

SECRET_KEY = text("SECRET_KEY", "") or kept_secret(DATA_DIR / "secret_key", length_bytes=50)
DEBUG = flag("DEBUG", False)
#: What browsers call the service; empty: it is used from this machine.
PUBLIC_URL = origin("PUBLIC_URL")
_public = urlsplit(PUBLIC_URL)
ALLOWED_HOSTS = [*names("ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]"]), *filter(None, [_public.hostname])]
CSRF_TRUSTED_ORIGINS = [*names("CSRF_TRUSTED_ORIGINS", []), *filter(None, [PUBLIC_URL])]
# With an https address a proxy ends TLS in front of the web, and says so in a header. Nothing then leaves a browser
# unencrypted; health checks and Prometheus, which ask the web itself, still may.
if _public.scheme == "https":
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_SSL_REDIRECT = True
    SECURE_SSL_HOST = _public.netloc
    SECURE_REDIRECT_EXEMPT = ["^health/", "^metrics$"]
    SECURE_HSTS_SECONDS = 365 * 24 * 3600  # what browsers' preload lists ask for at least
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True
# Django knows these three middlewares by its own names only; those of direct_middleware.py do the same.
SILENCED_SYSTEM_CHECKS = ["security.W001", "security.W002", "security.W003"]

INSTALLED_APPS = [
    "webapp.accounts.apps.AdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django_htmx",
    "ninja",  # serves the API's documentation pages from here, not from a CDN
    # Its log-in, pages and forms are not used: docs/decisions/0026-accounts.md.
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    *(["allauth.socialaccount.providers.openid_connect"] if OIDC_ISSUER else []),  # noqa: F405 - brings an HTTP client
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
    "webapp.http.middleware.PageHeadersMiddleware",
    "webapp.http.direct_middleware.SessionMiddleware",
    "webapp.http.direct_middleware.CommonMiddleware",
    "webapp.http.direct_middleware.CsrfViewMiddleware",
    "webapp.http.direct_middleware.AuthenticationMiddleware",
    "webapp.accounts.current_user.CurrentUserMiddleware",
    "allauth.account.middleware.AccountMiddleware",  # its apps do not start without it
    "webapp.http.direct_middleware.MessageMiddleware",
    "webapp.http.direct_middleware.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "webapp.http.middleware.PagePartsMiddleware",
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
                "webapp.accounts.own.profiles.appearance",
                "webapp.operations.service_info.service_info",
            ],
            "libraries": {"durations": "webapp.http.wording.durations"},
        },
    }
]
DATABASE_URL = text("DATABASE_URL", f"sqlite:///{DATA_DIR / 'db.sqlite3'}")
try:
    if DATABASE_URL.partition(":")[0] not in Env.DB_SCHEMES:
        raise ValueError
    DATABASES = {"default": Env.db_url_config(DATABASE_URL)}
except ValueError:  # without the value: it may contain a password
    raise ConfigError("DATABASE_URL must be a URL, such as postgres://user:password@host/name.") from None
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
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "webapp" / "static"]
MEDIA_ROOT = DATA_DIR / "photos"
FILE_UPLOAD_PERMISSIONS = 0o600  # Django would make each photo readable by all, whatever the umask
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
WHITENOISE_USE_FINDERS = True  # straight from the apps' folders: no collectstatic step to forget
WHITENOISE_AUTOREFRESH = False
SESSION_ENGINE = "webapp.accounts.sessions"
SESSION_COOKIE_HTTPONLY = True
CSRF_FAILURE_VIEW = "webapp.http.errors.handlers.csrf_failure"
SESSION_COOKIE_SAMESITE = "Lax"
SECURE_CONTENT_TYPE_NOSNIFF = True
X_FRAME_OPTIONS = "DENY"

# -- search in the web --------------------------------------------------------------------------------------

#: A search nobody has answered after this many seconds has expired.
SEARCH_TIMEOUT_SECONDS = number("SEARCH_TIMEOUT_SECONDS", 30.0, lowest=1, highest=DAY_SECONDS)
#: Regular expressions for the paths of a site's own views that take a query image: the door lets through no more than a
#: form elsewhere.
QUERY_IMAGE_PATHS: list[str] = []
#: The longest `?wait=` that a request may ask for.
SEARCH_MAX_WAIT_SECONDS = number("SEARCH_MAX_WAIT_SECONDS", 30.0, highest=DAY_SECONDS)
#: A search is refused (`busy`) while this many are in flight: let in, and not yet answered.
SEARCH_QUEUE_BOUND = whole("SEARCH_QUEUE_BOUND", 64, lowest=1, highest=100_000)
#: How many photos one index message carries.
INDEX_CHUNK_SIZE = whole("INDEX_CHUNK_SIZE", 8, lowest=1, highest=1000)
#: How many index messages wait in Redis at most, except for jobs' first ones; further photos wait in the database.
INDEX_QUEUE_BOUND = whole("INDEX_QUEUE_BOUND", 8, lowest=1, highest=100_000)
#: A photo that is still pending this many seconds after it has left the index queue is sent again.
INDEX_LEASE_SECONDS = number("INDEX_LEASE_SECONDS", 120.0, lowest=1, highest=DAY_SECONDS)
#: A photo that was sent this often without an outcome has failed; attempts of which nothing is known count a third.
INDEX_MAX_ATTEMPTS = whole("INDEX_MAX_ATTEMPTS", 10, lowest=1, highest=1000)

#: How many photos, bytes of photos and galleries a user may have; 0: any number. The admin has exceptions for users.
QUOTA_PHOTOS = whole("QUOTA_PHOTOS", 0, highest=2**60)
QUOTA_BYTES = whole("QUOTA_BYTES", 0, highest=2**60)
QUOTA_GALLERIES = whole("QUOTA_GALLERIES", 0, highest=2**60)

#: Jobs that ended more than this many days ago are forgotten; their photos stay.
JOB_RETENTION_DAYS = number("JOB_RETENTION_DAYS", 90.0, highest=36_500)

# -- generations -------------------------------------------------------------------------------------------

#: The match recall that a generation needs to be activated, and below which the active one is reported.
RECALL_MIN = number("RECALL_MIN", 0.99, highest=1)
#: The share of sampled faces whose nearest neighbour must be the same as before.
AGREEMENT_MIN = number("AGREEMENT_MIN", 0.5, highest=1)

# -- Celery -----------------------------------------------------------------------------------------------
# These are the settings of the web, beat and Flower. A worker process lays CELERY_WORKER_ROLE over them when
# it starts (tasks/worker/lifecycle.py), however it was started: the web must answer quickly when Redis does not, a
# worker must outlast it. docs/operations.md explains each choice.

#: A message that a dead worker held is delivered again after this long. The same for every role: the
#: shortest value of any consumer would win. Every task must end well within it.
VISIBILITY_TIMEOUT_SECONDS = whole("VISIBILITY_TIMEOUT_SECONDS", 600, lowest=1, highest=DAY_SECONDS)

CELERY_BROKER_URL = CELERY_RESULT_BACKEND = without_parameters(REDIS_URL)
CELERY_BROKER_USE_SSL = CELERY_REDIS_BACKEND_USE_SSL = tls_options(REDIS_URL)
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
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = number("WORKER_SOFT_SHUTDOWN_SECONDS", 20.0, highest=3600)
#: A worker that uses more, its children included, finishes what it runs and ends, to be started again; 0: no limit.
#: None: one with a model may grow by what follows from FACE_CONFIG (tasks/worker/memory.py), others have no limit.
WORKER_MAX_MEMORY_MB = whole("WORKER_MAX_MEMORY_MB", 0, highest=2**30) if text("WORKER_MAX_MEMORY_MB", "") else None
CELERY_WORKER_HIJACK_ROOT_LOGGER = True
CELERY_BEAT_SCHEDULER = "tasks.beat.scheduler:BoundedScheduler"  # sends nothing to a queue that nobody consumes
CELERY_BEAT_ENABLE_REMOTE_CONTROL = True  # `manage.py doctor` asks beat whether its clock still ticks

CELERY_WORKER_ROLE = {
    "broker_transport_options": {
        "visibility_timeout": VISIBILITY_TIMEOUT_SECONDS,
        "unacked_restore_interval": 5,  # look for abandoned messages every 5 s, not every 100 s
        "unacked_restore_throttle": 1,
        # The worker that looks holds a lock. It cannot release it while Redis is full, and for kombu's five minutes
        # nothing would return to any queue (tests/faults/test_redis.py, fill_up). Looking takes milliseconds.
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
LOG_FORMAT: LogFormat = choice("LOG_FORMAT", "line", get_args(LogFormat))
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"ours": {"()": "tasks.logs.formatter", "log_format": LOG_FORMAT}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "ours"}},
    "root": {"handlers": ["console"], "level": choice("LOG_LEVEL", "INFO", LOG_LEVELS)},
    "loggers": {
        # A bad upload is a 4xx answer with a sentence, not an event for the operator; and Django's lines would show the
        # tickets in paths. Our line of each request has the code, and webapp/http/errors/handlers.py logs what failed.
        "django.request": {"level": "CRITICAL"},
        "django.security": {"level": "CRITICAL"},
        "uvicorn": {"handlers": ["console"], "level": "INFO", "propagate": False},  # it has handlers of its own
        # Its lines would show the tickets in paths; ours do not (webapp/http/request_ids.py).
        "uvicorn.access": {"handlers": [], "propagate": False},
    },
}

# -- what the web takes in -----------------------------------------------------------------------------------
# webapp/http/door.py and webapp/config/connections.py apply these; docs/operations.md says what they bound.

WEB_HOST = text("WEB_HOST", "127.0.0.1")
#: Addresses and networks whose X-Forwarded-For is believed, and to which no limit per client applies.
TRUSTED_PROXIES = networks("TRUSTED_PROXIES", ["127.0.0.1", "::1"])
#: Connections of one web process, in total and from one address.
WEB_MAX_CONNECTIONS = whole("WEB_MAX_CONNECTIONS", 2000, lowest=10, highest=10**5)
WEB_MAX_CONNECTIONS_PER_CLIENT = whole("WEB_MAX_CONNECTIONS_PER_CLIENT", 200, lowest=1, highest=10**5)
#: Requests of one user, or of one address without a user, in the long run; 0: no limit.
REQUESTS_PER_SECOND = number("REQUESTS_PER_SECOND", 50.0, highest=10**6)
#: What the bodies of unfinished requests may take up of one web process' memory.
BODY_MEMORY_BYTES = whole("BODY_MEMORY_MB", 256, lowest=16, highest=10**6) * 2**20
#: A body that falls ten seconds behind this rate is given up.
BODY_BYTES_PER_SECOND = number("BODY_MIN_KB_PER_SECOND", 16.0, lowest=0.1, highest=10**6) * 1000
#: The largest upload of photos.
UPLOAD_MAX_BYTES = whole("UPLOAD_MAX_MB", 2048, lowest=1, highest=10**6) * 2**20
#: What unfinished uploads may take up of the disk; one of unknown length needs its share, half of it, to itself.
_UPLOAD_MAX_MB = UPLOAD_MAX_BYTES // 2**20
UPLOAD_DISK_BYTES = whole("UPLOAD_DISK_MB", 4 * _UPLOAD_MAX_MB, lowest=2 * _UPLOAD_MAX_MB, highest=10**8) * 2**20
#: How many uploads one user may send at a time.
UPLOADS_PER_USER = whole("UPLOADS_PER_USER", 4, lowest=1, highest=1000)

#: Django parses a larger body's photos into files; on the disk of the photos, so that the storage renames them.
FILE_UPLOAD_MAX_MEMORY_SIZE = FORM_BYTES
FILE_UPLOAD_TEMP_DIR = DATA_DIR / "uploads"
FILE_UPLOAD_TEMP_DIR.mkdir(exist_ok=True)  # Django refuses to start without it
#: How many photos one upload may carry.
DATA_UPLOAD_MAX_NUMBER_FILES = 1000
#: What a body may have besides files, and so the largest JSON.
DATA_UPLOAD_MAX_MEMORY_SIZE = FORM_BYTES
DATA_UPLOAD_MAX_NUMBER_FIELDS = 1000
