"""How much one client may have of what all share: requests per second, bytes of memory, bytes of disk.

Everything here belongs to one event loop of one process; a service with several web processes allows each its own.
"""

import ipaddress
import math
import time
from collections.abc import Callable
from typing import Final, Self

from cachetools import LRUCache

from webapp.http.problems import Problem

#: How many clients are remembered. One that is forgotten starts with a full bucket, as after a quiet while.
CLIENTS_REMEMBERED: Final = 20_000
#: A bucket holds what refills in this time: a page of a grid loads its 60 pictures at once.
BURST_SECONDS: Final = 10.0
#: The longest Retry-After, however low the rate.
LONGEST_WAIT_SECONDS: Final = 3600.0


def address_key(address: str) -> str:
    """Return the client key of an address.

    Whoever has an IPv6 address has all those with the same first bits (RFC 6177: a site gets a /64 at least), so they
    are one client.
    """
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:  # a Unix socket
        return f"address:{address}"
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return f"address:{found.ipv4_mapped}"
        return f"address:{ipaddress.ip_network((found, 64), strict=False).network_address}/64"
    return f"address:{found}"


class Proxies:
    """The addresses that speak for many clients, so that no limit per address applies to them."""

    def __init__(self, addresses: list[str]) -> None:
        """Raises ValueError for one that is neither an address nor a network."""
        self._networks = [ipaddress.ip_network(address, strict=False) for address in addresses]

    def __contains__(self, address: str) -> bool:
        if not address:
            return True  # a Unix socket: what is in front of it is a proxy
        try:
            found = ipaddress.ip_address(address)
        except ValueError:  # what a proxy has written that does not know the client
            return False
        found = getattr(found, "ipv4_mapped", None) or found
        return any(found in network for network in self._networks)


class Rates:
    """A token bucket per client (Turner, "New directions in communications", 1986): a request takes one token."""

    def __init__(self, per_second: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        """With 0 requests per second there is no limit."""
        self._per_second = per_second
        self._size = max(1.0, per_second * BURST_SECONDS)
        self._clock = clock
        self._buckets: LRUCache[str, tuple[float, float]] = LRUCache(CLIENTS_REMEMBERED)  # tokens, as of when

    def take(self, client: str) -> None:
        """Raise Problem when the client asks too often."""
        if not self._per_second:
            return
        now = self._clock()
        tokens = self._tokens(client, now)
        if tokens < 1:
            seconds = math.ceil(min(LONGEST_WAIT_SECONDS, (1 - tokens) / self._per_second))
            raise Problem(
                "too_many_requests",
                "You are sending too many requests; please slow down.",
                status=429,
                retry_after_seconds=max(1, seconds),
            )
        self._buckets[client] = (tokens - 1, now)

    def headers(self, client: str | None) -> dict[str, str]:
        """Say what the limit is, and how much of it a client has left; None for a request that was not counted.

        In the form of draft-ietf-httpapi-ratelimit-headers-10: `q` requests in `w` seconds; `r` are left, and all of
        them again in `t` seconds. Empty without a limit.
        """
        if not self._per_second:
            return {}
        headers = {"RateLimit-Policy": f'"requests";q={int(self._size)};w={math.ceil(self._size / self._per_second)}'}
        if client is not None:
            tokens = self._tokens(client, self._clock())
            seconds = math.ceil((self._size - tokens) / self._per_second)
            headers["RateLimit"] = f'"requests";r={int(tokens)};t={seconds}'
        return headers

    def _tokens(self, client: str, now: float) -> float:
        tokens, as_of = self._buckets.get(client, (self._size, now))
        return min(self._size, tokens + (now - as_of) * self._per_second)


class Budget:
    """A number of bytes for all, of which a client may hold at most as much as it leaves free.

    The rule is that of searches (tasks/web/shares.py): one client alone gets half, two get a third each. What a client
    that holds nothing asks for first may take all that is free, or the largest upload would never find room.
    """

    def __init__(self, total_bytes: int) -> None:
        self._total_bytes = total_bytes
        self._held: dict[str, int] = {}
        self.held_bytes = 0

    def hold(self, client: str, byte_count: int = 0) -> "Hold":
        """Hold so many bytes until the hold is released. Raises Problem when there is no room for them."""
        return Hold(self, client).grow(byte_count)

    def take(self, client: str, byte_count: int) -> None:
        """Called by Hold. Raises Problem."""
        own = self._held.get(client, 0)
        free = self._total_bytes - self.held_bytes
        if byte_count > free or (own and own + byte_count > free - byte_count):
            raise Problem(
                "too_much_arriving",
                "Too much is being sent to this service at once. Please try again in a moment.",
                status=503,
                retry_after_seconds=Problem.some_seconds(),
            )
        self._held[client] = own + byte_count
        self.held_bytes += byte_count

    def give_back(self, client: str, byte_count: int) -> None:
        """Called by Hold."""
        self.held_bytes -= byte_count
        self._held[client] -= byte_count
        if not self._held[client]:
            del self._held[client]


class Hold:
    """Bytes of a budget that one request holds."""

    def __init__(self, budget: Budget, client: str) -> None:
        self._budget = budget
        self._client = client
        self._byte_count = 0

    def grow(self, byte_count: int) -> Self:
        """Hold more. Raises Problem when there is no room for it; the hold then stays as it is."""
        self._budget.take(self._client, byte_count)
        self._byte_count += byte_count
        return self

    def release(self) -> None:
        """Give everything back. Safe to call twice."""
        if self._byte_count:
            self._budget.give_back(self._client, self._byte_count)
        self._byte_count = 0
