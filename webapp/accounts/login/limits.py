"""How many log-ins may be tried: per account, and per address. Counted in redis-cache for all web processes.

A sliding window: of any fifteen minutes. An attempt counts from before its password is looked at, so that attempts at
the same moment count too; one that succeeds is taken back. A refused one does not count.
"""

import logging
import math
import secrets
from dataclasses import dataclass
from typing import Final

import redis
from django.conf import settings
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from webapp.accounts.login.devices import account_key
from webapp.http.shares import address_key

logger = logging.getLogger(__name__)

WINDOW_SECONDS: Final = 15 * 60
#: Wrong passwords for an account, from all browsers that are not known to it; and from each one that is.
ACCOUNT_ATTEMPTS: Final = 10
#: Wrong passwords from an address. Many people may share one.
ADDRESS_ATTEMPTS: Final = 50
#: How long redis-cache may take: longer than elsewhere, so that a busy machine is not taken for one that is down.
TIMEOUT_SECONDS: Final = 5.0

#: KEYS: a sorted set of attempts per limit. ARGV: the attempt's id, the window in milliseconds, the limits in the same
#: order. Returns the milliseconds until there is room in all of them; 0: there was, and the attempt is in each.
_BEGIN: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local wait = 0
for i, key in ipairs(KEYS) do
    redis.call('ZREMRANGEBYSCORE', key, '-inf', now - ARGV[2])
    if redis.call('ZCARD', key) >= tonumber(ARGV[2 + i]) then
        local oldest = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
        wait = math.max(wait, oldest[2] + ARGV[2] - now)
    end
end
if wait == 0 then
    for _, key in ipairs(KEYS) do
        redis.call('ZADD', key, now, ARGV[1])
        redis.call('PEXPIRE', key, ARGV[2])
    end
end
return wait
"""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to log in, and what counts it: keys in redis-cache, and how many attempts each allows."""

    id: str
    limits: dict[str, int]


def new_attempt(limits: dict[str, int]) -> Attempt:
    return Attempt(secrets.token_hex(8), limits)


def attempt_of(*, username: str, address: str, device: str) -> Attempt:
    """Return a new attempt. `device` is empty for a browser that is not known to the account."""
    if device:  # counted by itself: neither the account's attackers nor its address' others shut it out
        limits = {f"login:device:{device}": ACCOUNT_ATTEMPTS}
    else:
        limits = {
            f"login:account:{account_key(username)}": ACCOUNT_ATTEMPTS,
            f"login:{address_key(address)}": ADDRESS_ATTEMPTS,
        }
    return new_attempt(limits)


async def attempt_begin(attempt: Attempt) -> int:
    """Count the attempt; return 0. If there were too many, count nothing and return the seconds until there is room.

    While redis-cache does not answer, nothing is counted: only the hashing pool limits how fast passwords are tried.
    """
    try:
        async with _cache() as cache:
            wait_ms = await cache.eval(
                _BEGIN,
                len(attempt.limits),
                *attempt.limits,
                attempt.id,
                WINDOW_SECONDS * 1000,
                *attempt.limits.values(),
            )
    except redis.RedisError as error:
        logger.warning("Attempts to log in are not counted: redis-cache does not answer (%s).", error)
        return 0
    return math.ceil(int(wait_ms) / 1000)


async def attempt_forget(attempt: Attempt) -> None:
    """Take the attempt back: its password was right, or was not looked at. Never raises."""
    try:
        async with _cache() as cache, cache.pipeline() as pipe:
            for key in attempt.limits:
                pipe.zrem(key, attempt.id)
            await pipe.execute()
    except redis.RedisError as error:  # it counts until the window has passed
        logger.info("An attempt to log in was not taken back: %s", error)


def _cache() -> "Redis":
    """Return a client for one use: a kept one would belong to the event loop that made it."""
    return Redis.from_url(
        settings.REDIS_CACHE_URL,
        socket_timeout=TIMEOUT_SECONDS,
        socket_connect_timeout=TIMEOUT_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )
