"""One spelling of certificates for everybody who connects to Redis, tried against a server that speaks only TLS."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from django.conf import settings

from tests.servers import free_port, stop
from tests.waiting import eventually

pytestmark = pytest.mark.services

#: What connects: the functions below.
CONSUMERS = ("sending", "receiving", "results", "listener", "log_ins", "flower", "shared_clock", "cache")
#: Connects in each way that the service does, and prints what came of it.
CONNECT = """
import asyncio, json, ssl
import django
django.setup()
import redis, redis.asyncio
from django.conf import settings
from flower.utils.broker import Broker
from tasks import config
from tasks.app import app
from tasks.clock.shared import redis_clock
from tasks.web.results import ResultListener
from webapp.accounts.login.limits import _cache

def sending():
    with app.connection_for_write() as connection:
        connection.ensure_connection(max_retries=1, timeout=5)
        connection.default_channel.client.ping()

def receiving():
    with app.connection_for_read() as connection:
        connection.connect()
        connection.default_channel.client.ping()

def results():
    app.backend.client.ping()

def listener():
    async def listen():
        listener = ResultListener(settings.REDIS_URL)
        await listener.open()
        await listener.close()
        async with redis.asyncio.Redis.from_url(settings.REDIS_URL) as client:
            await client.ping()
    asyncio.run(listen())

def log_ins():
    async def ping():
        async with _cache() as client:
            await client.ping()
    asyncio.run(ping())

def flower():
    options = dict(broker_options={}, broker_use_ssl=app.conf.broker_use_ssl)
    async def ping():
        await Broker(app.connection().as_uri(include_password=True), **options).redis.ping()
    asyncio.run(ping())

def shared_clock():
    with redis_clock() as read:
        read()

found = {}
def cache():
    config.worker_cache().ping()

for each in (sending, receiving, results, listener, log_ins, flower, shared_clock, cache):
    try:
        each()
        found[each.__name__] = "connected"
    except Exception as error:
        cause = error
        while cause and not isinstance(cause, ssl.SSLError) and "certificate" not in str(cause).lower():
            cause = cause.__cause__ or cause.__context__
        found[each.__name__] = "refused" if cause else repr(error)
print(json.dumps(found))
"""


def openssl(*arguments: str, folder: Path) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


def make_certificate(folder: Path, name: str, *options: str) -> None:
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", f"{name}.key")
    to = ("-days", "2", "-subj", f"/CN={name}", "-out", f"{name}.pem")
    openssl("req", "-x509", *key, *to, *options, folder=folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates: of the server, of a client, and of an authority that has signed neither."""
    folder = tmp_path_factory.mktemp("certificates")
    signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-addext")
    make_certificate(folder, "ca")
    make_certificate(folder, "other")
    make_certificate(folder, "server", *signed, "subjectAltName=IP:127.0.0.1")
    make_certificate(folder, "client", *signed, "subjectAltName=DNS:client")
    return folder


@pytest.fixture(scope="module")
def port(folder: Path) -> Iterator[int]:
    """A Redis that answers only clients with a certificate."""
    port = free_port()
    files = ("--tls-cert-file", "server.pem", "--tls-key-file", "server.key", "--tls-ca-cert-file", "ca.pem")
    process = subprocess.Popen(
        ["redis-server", "--port", "0", "--bind", "127.0.0.1", "--tls-port", str(port), *files, "--save", ""],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        text=True,
    )

    def answers() -> bool:
        assert process.poll() is None, "redis-server ended: it may be built without TLS"
        with redis.Redis.from_url(url(folder, port)) as client:
            try:
                return bool(client.ping())
            except redis.ConnectionError:
                return False

    try:
        eventually(answers, "redis-server answers over TLS")
        yield port
    finally:
        stop(process)


def url(folder: Path, port: int, *, authority: str = "ca", host: str = "127.0.0.1", more: str = "") -> str:
    files = f"ssl_certfile={folder}/client.pem&ssl_keyfile={folder}/client.key&ssl_ca_certs={folder}/{authority}.pem"
    return f"rediss://{host}:{port}/0?{files}{more}"


def outcomes(address: str) -> dict[str, str]:
    done = subprocess.run(
        [sys.executable, "-c", CONNECT],
        cwd=settings.BASE_DIR,
        env={
            **os.environ,
            "REDIS_URL": address,
            "REDIS_CACHE_URL": address,
            "DJANGO_SETTINGS_MODULE": "webapp.config.settings",
        },
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("more", ["", "&ssl_cert_reqs=required", "&ssl_cert_reqs=CERT_REQUIRED"])
def test_everybody_connects_with_the_same_address(folder: Path, port: int, more: str) -> None:
    assert outcomes(url(folder, port, more=more)) == dict.fromkeys(CONSUMERS, "connected")


def test_nobody_trusts_a_certificate_of_another_authority(folder: Path, port: int) -> None:
    found = outcomes(url(folder, port, authority="other"))
    assert found == dict.fromkeys(CONSUMERS, "refused")


def test_nobody_trusts_a_certificate_of_another_host_unless_told_so(folder: Path, port: int) -> None:
    found = outcomes(url(folder, port, host="localhost"))
    assert found == dict.fromkeys(CONSUMERS, "refused")
    assert set(outcomes(url(folder, port, host="localhost", more="&ssl_check_hostname=false")).values()) == {
        "connected"
    }


def test_everybody_trusts_any_certificate_when_told_so(folder: Path, port: int) -> None:
    address = url(folder, port, authority="other", host="localhost", more="&ssl_cert_reqs=none")
    assert outcomes(address) == dict.fromkeys(CONSUMERS, "connected")
