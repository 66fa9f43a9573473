"""The old service's snippets, as docs/migration.md keeps them, run unchanged against the real service.

Port 19530 is part of the snippets, so the service runs in a network namespace.
"""

import asyncio
import hashlib
import json
import re
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import pytest
import redis
from django.conf import settings

from tasks.dictionaries import FORM_BYTES
from tests.network import own_network
from tests.pictures import saved
from tests.service import RunningService, room_to_hold
from tests.unit.worker.recognition.synthetic_packs import DIMENSION, FIRING_STRIDE, make_pack
from tests.web_client import WebClient
from webapp.operations import local
from webapp.operations.ports import LocalPorts
from worker.canary import CANARY_GALLERY_ID

pytestmark = [pytest.mark.services, pytest.mark.acceptance]

#: Of the snippets as the old service's documentation had them, by their headings in docs/migration.md.
SHA256 = {
    "Settings": "e4616c771f3ccc13829883cdef5b0796e27fbe52f2968ec4aab0ba50246e9689",
    "Search in a view": "588b2f4b3025ff77f1d93e6af9e79451cc68fd415f29480c5f457ac167646283",
    "Template": "ad023634bb031d0eb5d67ec99ce1d3b6c1db90facfb6752875e5bfc032ec12c5",
    "Health": "90a07a91b071462edb1f2ade9bd92b79a139d9ef98db0e91bf28359023e9cb4f",
    "Metrics": "47c0d129fbea57a5b420460664eeddfd0307db8425bebc72a31139a733eab087",
}
PROCESSES = ("redis", "redis-cache", "milvus", "web", "worker-search", "worker-index", "worker-records")
#: Searches held at once: enough to fill every pool of the web process, and then many more.
FEW, MANY = 30, 100


def snippets() -> dict[str, str]:
    text = (settings.BASE_DIR / "docs" / "migration.md").read_text()
    return dict(re.findall(r"^### ([^\n]+)\n\n```(?:python|html)\n(.*?)```$", text, re.DOTALL | re.MULTILINE))


SETTINGS = """\
from pathlib import Path

from webapp.config.settings import *

{snippet}
ROOT_URLCONF = "old_site.urls"
QUERY_IMAGE_PATHS = ["/old/search/"]
TEMPLATES[0]["DIRS"].append(Path(__file__).parent)
"""

#: The view as its user completes it: where the image comes from, and what becomes of the result.
URLS = """\
from django.contrib.auth.decorators import login_required
from django.http import JsonResponse
from django.shortcuts import render
from django.urls import path

from webapp.config.urls import urlpatterns as pages_of_the_service
from webapp.search import FaceSearchService


{head}
    image_file = request.FILES["image"]
{body}
    matches = [match for face in result.faces for match in face.matches]
    return JsonResponse({{"photos": [match.photo.filename for match in matches]}})


def info(request):
    return render(request, "info.html")


urlpatterns = [path("old/search/", milvus_search), path("old/info/", info), *pages_of_the_service]
"""

SCRIPT = """\
import asyncio

import django

django.setup()

from webapp.search import FaceSearchService


async def main():
{health}
{metrics}

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the site's package `old_site`, made of the snippets."""
    found = snippets()
    package = tmp_path_factory.mktemp("site") / "old_site"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "settings.py").write_text(SETTINGS.format(snippet=found["Settings"]))
    head, _, body = found["Search in a view"].partition("(request):\n")
    (package / "urls.py").write_text(URLS.format(head=f"{head}(request):", body=body))
    (package / "info.html").write_text(found["Template"])
    indented = {name.lower(): textwrap.indent(found[name], "    ") for name in ("Health", "Metrics")}
    (package / "script.py").write_text(SCRIPT.format(**indented))
    return package.parent


@pytest.fixture(scope="module")
def service(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    pack = make_pack(tmp_path_factory.mktemp("packs") / "synthetic")
    environment = {
        **local.pack_environment(str(pack)),
        "DJANGO_SETTINGS_MODULE": "old_site.settings",
        "PYTHONPATH": f"{site}:{settings.BASE_DIR}",
        **room_to_hold(MANY),
    }
    folder = tmp_path_factory.mktemp("service")
    with own_network():
        # Milvus Lite listens three ports above the web: where the snippet looks for Milvus.
        ports = LocalPorts(web=19527)
        assert ports.milvus == 19530
        with RunningService(folder, processes=PROCESSES, environment=environment, ports=ports) as running:
            running.create_user()
            yield running


@pytest.fixture(scope="module")
def alice(service: RunningService) -> Iterator[WebClient]:
    client = WebClient(service.url)
    yield client
    client.close()


def picture(seed: int) -> bytes:
    """Return a PNG with one face of the synthetic pack: a bright tile amid noise that tells pictures apart."""
    values = np.random.RandomState(seed).randint(0, 200, (10, 10, 3), np.uint8)
    image = values.repeat(64, axis=0).repeat(64, axis=1)
    image[320 : 320 + FIRING_STRIDE, 320 : 320 + FIRING_STRIDE] = 255
    return saved(image, "PNG")


@pytest.fixture(scope="module")
def indexed(service: RunningService, alice: WebClient) -> dict[str, bytes]:
    """Two photos, each in a gallery of its own."""
    photos = {"one.png": picture(1), "two.png": picture(2)}
    for name, content in photos.items():
        gallery = alice.create_gallery(name)
        alice.upload(gallery, {name: content})
        service.wait_until(lambda id_=gallery: alice.progress(id_)["pending"] == 0, f"{name} is indexed")
        assert alice.progress(gallery)["indexed"] == 1, alice.photos(gallery)
    return photos


def search(alice: WebClient, image: bytes) -> httpx.Response:
    return alice.http.post("/old/search/", files={"image": ("query.png", image)}, headers=alice.headers)


def test_the_documentation_keeps_the_snippets_as_they_were() -> None:
    found = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in snippets().items()}
    assert found == SHA256


def test_the_view_finds_a_photo_in_all_galleries(alice: WebClient, indexed: dict[str, bytes]) -> None:
    for name, content in indexed.items():
        answer = search(alice, content + bytes(FORM_BYTES))  # more than the door takes where no query image belongs
        assert answer.status_code == 200, answer.text
        assert answer.json()["photos"][0] == name


def test_the_view_is_for_users_only(service: RunningService) -> None:
    with httpx.Client(base_url=service.url) as visitor:
        visitor.get("/login/")
        answer = visitor.post(
            "/old/search/", files={"image": b"x"}, headers={"X-CSRFToken": visitor.cookies["csrftoken"]}
        )
    assert answer.status_code == 303


def test_the_template_shows_how_many_faces_are_searched(
    service: RunningService, alice: WebClient, indexed: dict[str, bytes]
) -> None:
    assert alice.http.get("/old/info/").text.strip() == str(len(indexed)) == str(len(stored_faces()))
    assert httpx.get(f"{service.url}/old/info/").text.strip() == ""


def test_health_and_metrics_are_printed_by_a_script(
    service: RunningService, site: Path, alice: WebClient, indexed: dict[str, bytes]
) -> None:
    for _ in range(3):
        assert search(alice, indexed["one.png"]).status_code == 200
    found: dict[str, str] = {}

    def is_reported() -> bool:
        done = subprocess.run(
            [sys.executable, site / "old_site" / "script.py"],
            env=service.environment,
            cwd=site,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        found.update(line.split(": ", 1) for line in done.stdout.splitlines())
        return int(found["Total searches"]) >= 3 and found["Service healthy"] == "True"

    service.wait_until(is_reported, "the searches are reported")
    assert found["Connection status"] == "connected"
    assert found["Collection status"] == "loaded"
    assert found["Error rate"] == "0.0%"
    assert float(found["Avg response time"].removesuffix("ms")) > 0


def test_the_dictionaries_reach_milvus(service: RunningService) -> None:
    index = "client.list_indexes('face_embeddings')[0]"
    fields, index_type = in_milvus(
        f"[client.describe_collection('face_embeddings')['fields'], "
        f"client.describe_index('face_embeddings', {index})['index_type']]"
    )
    assert [field["params"]["dim"] for field in fields if "dim" in field["params"]] == [DIMENSION]
    assert index_type == "IVF_FLAT"


def stored_faces() -> list[str]:
    others = f"gallery_id != '{CANARY_GALLERY_ID}'"
    rows = in_milvus(f'client.query("face_embeddings", filter="{others}", output_fields=["face_id"], limit=100)')
    return [row["face_id"] for row in rows]


def in_milvus(expression: str) -> Any:
    """Evaluate the expression, in which `client` is connected to the snippet's Milvus, in a process of its own."""
    program = (
        "import json; from pymilvus import MilvusClient; client = MilvusClient('http://localhost:19530'); "
        f"print(json.dumps({expression}, default=str))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_many_views_at_once_open_no_thread_connection_or_subscription(
    service: RunningService, alice: WebClient, indexed: dict[str, bytes]
) -> None:
    """The last test: it stops the search worker, so that every search waits."""
    service.stop("worker-search")
    few, many = asyncio.run(held(service, alice, indexed["one.png"]))
    assert set(many) == set(few)
    # A thread that had nothing to do before may open its one connection; none is opened for a search.
    assert all(many[name] - few[name] <= (MANY - FEW) / 10 for name in few), (few, many)


async def held(service: RunningService, alice: WebClient, image: bytes) -> list[dict[str, int]]:
    """Return the web process's threads, and the connections to and subscriptions of Redis, while searches are held."""
    web = psutil.Process(service.process("web").pid)
    queue, cache = (redis.Redis.from_url(url) for url in (service.redis_url, service.redis_cache_url))
    measured = []
    searches: list[asyncio.Task[httpx.Response]] = []
    limits = httpx.Limits(max_connections=MANY)
    async with httpx.AsyncClient(base_url=service.url, cookies=dict(alice.http.cookies), limits=limits) as client:
        for count in (FEW, MANY):
            while len(searches) < count:
                request = client.post(
                    "/old/search/", files={"image": ("query.png", image)}, headers=alice.headers, timeout=60
                )
                searches.append(asyncio.create_task(request))
            deadline = time.monotonic() + 60
            while queue.llen("search.synthetic") < count:
                assert time.monotonic() < deadline, "the searches were not accepted"
                await asyncio.sleep(0.05)
            await asyncio.sleep(0.5)  # the last ones have been sent; let them begin to wait
            measured.append(
                {
                    "threads": web.num_threads(),
                    "connections to redis": queue.info("clients")["connected_clients"],
                    "connections to redis-cache": cache.info("clients")["connected_clients"],
                    "subscriptions": queue.pubsub_numpat() + len(queue.pubsub_channels()),
                }
            )
            assert not any(each.done() for each in searches)
        for each in searches:
            each.cancel()
        await asyncio.gather(*searches, return_exceptions=True)
    return measured
