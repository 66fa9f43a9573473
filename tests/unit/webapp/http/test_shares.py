"""What one client gets of what all share."""

import pytest

from webapp.http.problems import Problem
from webapp.http.shares import BURST_SECONDS, Budget, Proxies, Rates, address_key


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("192.0.2.1", "address:192.0.2.1"),
        ("::ffff:192.0.2.1", "address:192.0.2.1"),
        ("2001:db8:1:2:3::4", "address:2001:db8:1:2::/64"),
        ("", "address:"),
    ],
)
def test_a_client_without_a_name_is_its_address_or_its_network(address: str, key: str) -> None:
    assert address_key(address) == key


def test_a_proxy_is_known_by_address_network_or_socket() -> None:
    proxies = Proxies(["127.0.0.1", "10.0.0.0/8", "fd00::/8"])
    assert all(each in proxies for each in ("127.0.0.1", "::ffff:127.0.0.1", "10.9.9.9", "fd00::1", ""))
    assert "127.0.0.2" not in proxies


def test_a_client_may_burst_and_then_waits_for_its_rate() -> None:
    now = 0.0
    rates = Rates(2, clock=lambda: now)
    for _ in range(int(2 * BURST_SECONDS)):
        rates.take("a")
    with pytest.raises(Problem) as refused:
        rates.take("a")
    assert (refused.value.status, refused.value.retry_after_seconds) == (429, 1)
    rates.take("b")
    now = 0.5
    rates.take("a")
    with pytest.raises(Problem):
        rates.take("a")


def test_asking_while_refused_does_not_prolong_the_wait() -> None:
    times = iter((0.0, 1.0, 5.0, 9.0, 10.0))
    rates = Rates(0.1, clock=lambda: next(times))
    rates.take("a")
    for _ in range(3):
        with pytest.raises(Problem):
            rates.take("a")
    rates.take("a")


def test_a_client_is_told_what_is_left_of_its_rate_and_when_it_has_all_of_it_again() -> None:
    now = 0.0
    rates = Rates(2, clock=lambda: now)
    policy = {"RateLimit-Policy": '"requests";q=20;w=10'}
    assert rates.headers(None) == policy
    assert rates.headers("a") == policy | {"RateLimit": '"requests";r=20;t=0'}
    for _ in range(20):
        rates.take("a")
    assert rates.headers("a") == policy | {"RateLimit": '"requests";r=0;t=10'}
    now = 4.0
    assert rates.headers("a") == policy | {"RateLimit": '"requests";r=8;t=6'}


def test_without_a_limit_nothing_is_told() -> None:
    assert Rates(0).headers("a") == {}


def test_one_client_gets_half_of_a_budget_and_two_get_a_third_each() -> None:
    def most(budget: Budget, client: str) -> int:
        count = 0
        while count < 1000:
            try:
                budget.hold(client, 1)
            except Problem:
                break
            count += 1
        return count

    assert most(Budget(300), "a") == pytest.approx(150, abs=1)
    shared = Budget(300)
    for _ in range(90):
        shared.hold("a", 1)
        shared.hold("b", 1)
    assert (90 + most(shared, "a"), 90 + most(shared, "b")) == pytest.approx((105, 98), abs=10)
    assert shared.hold("c", 50), "there is always room for another"


def test_a_hold_gives_back_what_it_has_once() -> None:
    budget = Budget(100)
    hold = budget.hold("a", 10).grow(10)
    with pytest.raises(Problem):
        hold.grow(90)
    assert budget.held_bytes == 20
    hold.release()
    hold.release()
    assert budget.held_bytes == 0


def test_an_address_that_is_none_is_no_proxy() -> None:
    proxies = Proxies(["127.0.0.1"])
    assert "" in proxies, "a Unix socket"
    assert "unknown" not in proxies


def test_the_lowest_rate_names_a_time_to_return() -> None:
    rates = Rates(1e-320)
    rates.take("user:1")
    with pytest.raises(Problem) as refused:
        rates.take("user:1")
    assert refused.value.retry_after_seconds == 3600
