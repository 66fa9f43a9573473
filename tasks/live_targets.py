"""Which collections are in use, as the records worker last published: for processes that do not read the database.

The database is the truth. The list lives in `redis`, whose file survives a restart, so that a starting GPU worker knows
what it will be asked for. Without it, as at the very first start, the settings' target applies.
"""

import logging
from typing import Final

import redis
from django.conf import settings
from pydantic import BaseModel, ConfigDict, ValidationError

from tasks.messages.base import Target
from tasks.targets import default_target

logger = logging.getLogger(__name__)

KEY: Final = "facequeue:live-targets"


class LiveTargets(BaseModel):
    """The active generation's target, and those of the other generations that are kept filled."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    active: Target
    others: tuple[Target, ...] = ()

    @property
    def all(self) -> tuple[Target, ...]:
        return self.active, *self.others

    @property
    def packs(self) -> tuple[str, ...]:
        """Their packs, the active one's first."""
        return tuple(dict.fromkeys(target.pack for target in self.all))

    def for_pack(self, pack: str) -> Target | None:
        """Return the target that a worker of this pack opens first; None when there is none."""
        return next((target for target in self.all if target.pack == pack), None)


def publish(targets: LiveTargets) -> None:
    """Replace the published list. A failure is logged, not raised: the next tick publishes again."""
    try:
        with _client() as client:
            client.set(KEY, targets.model_dump_json())
    except redis.RedisError as error:
        logger.warning("The live collections could not be published: %s", error)


def published() -> LiveTargets:
    """Return what was last published, or the settings' target."""
    try:
        with _client() as client:
            value = client.get(KEY)
        if isinstance(value, bytes):
            return LiveTargets.model_validate_json(value)
    except (redis.RedisError, ValidationError) as error:
        logger.warning("The live collections are unknown; using the settings' target: %s", error)
    return LiveTargets(active=default_target())


def _client() -> redis.Redis:
    return redis.Redis.from_url(settings.REDIS_URL, socket_timeout=2.0, socket_connect_timeout=1.0)
