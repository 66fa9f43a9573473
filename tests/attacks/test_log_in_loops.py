"""Forty loops try passwords without a pause, from as many addresses and for as many accounts as they like.

Each loop asks for the form anew, as its token demands. Their addresses come through a proxy on this machine, which the
web trusts: from one address, fifty wrong passwords would be the end of it.
"""

import asyncio
import itertools
import statistics
import time
from collections import Counter
from collections.abc import Iterator

import httpx
import pytest

from tests.service import RunningService
from tests.waiting import HANG_SECONDS
from tests.web_client import WebClient

pytestmark = [pytest.mark.services, pytest.mark.timeout(HANG_SECONDS)]

LOOPS = 40
PAGES = 60
ADDRESSES = itertools.cycle(f"10.{a}.{b}.1" for a in range(200) for b in range(200))


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    folder = tmp_path_factory.mktemp("web")
    with RunningService(folder, processes=("redis", "redis-cache", "web")) as running:
        running.create_user()
        yield running


async def try_passwords(url: str, name: str, stopped: asyncio.Event, answers: list[httpx.Response]) -> None:
    async with httpx.AsyncClient(base_url=url, timeout=120) as client:
        for number in itertools.count():
            if stopped.is_set():
                return
            await client.get("/login/")
            form = {"username": f"{name}{number}", "password": "guess"}
            form["csrfmiddlewaretoken"] = client.cookies["csrftoken"]
            answers.append(await client.post("/login/", data=form, headers={"X-Forwarded-For": next(ADDRESSES)}))


async def pages_ms(client: httpx.AsyncClient) -> list[float]:
    """Ask for PAGES pages, one after the other; return how long each took."""
    found = []
    for _ in range(PAGES):
        started = time.perf_counter()
        answer = await client.get("/")
        found.append(1000 * (time.perf_counter() - started))
        assert answer.status_code == 200
        await asyncio.sleep(0.02)
    return found


async def test_pages_are_answered_while_forty_loops_try_to_log_in(web: RunningService) -> None:
    alice = await asyncio.to_thread(WebClient, web.url)
    stopped, answers = asyncio.Event(), list[httpx.Response]()
    async with httpx.AsyncClient(base_url=web.url, cookies=alice.http.cookies, timeout=120) as client:
        quiet = await pages_ms(client)
        loops = [asyncio.create_task(try_passwords(web.url, f"user{n}-", stopped, answers)) for n in range(LOOPS)]
        while not any(answer.status_code == 503 for answer in answers):  # the pool is full
            await asyncio.sleep(0.05)
        attacked = await pages_ms(client)
        stopped.set()
        await asyncio.gather(*loops)
    alice.close()

    statuses = Counter(answer.status_code for answer in answers)
    assert set(statuses) <= {200, 429, 503}, statuses
    assert statuses[200] > 0, "some passwords were looked at"
    assert all("Retry-After" in answer.headers for answer in answers if answer.status_code != 200)
    p99 = [statistics.quantiles(times, n=100)[98] for times in (quiet, attacked)]
    print(
        f"\npages: p99 {p99[0]:.0f} ms quiet, {p99[1]:.0f} ms attacked ({p99[1] / p99[0]:.1f} x); log-ins: {statuses}"
    )


def test_an_account_under_attack_stays_usable_from_a_known_browser(web: RunningService) -> None:
    alice = WebClient(web.url)  # makes this browser known
    with httpx.Client(base_url=web.url, timeout=120) as attacker:
        attacker.get("/login/")
        form = {"username": "alice", "password": "guess", "csrfmiddlewaretoken": attacker.cookies["csrftoken"]}
        statuses = []
        while 429 not in statuses:
            address = {"X-Forwarded-For": next(ADDRESSES)}
            statuses.append(attacker.post("/login/", data=form, headers=address).status_code)
        assert len(statuses) <= 20
    alice.http.cookies.delete("sessionid")
    alice.log_in()
    alice.close()
