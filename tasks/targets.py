"""Targets: which pack and which collection a message is for, and which targets are live now.

The database is the truth about what is live. The records worker publishes it in `redis`, whose file survives a restart,
for processes that do not read the database: so a starting GPU worker knows what it will be asked for. At the very first
start nothing is published, and the settings' target applies. Imports no Milvus client, so the web may use it.
"""

import logging
from dataclasses import replace
from typing import Final

import redis
from django.conf import settings
from pydantic import BaseModel, ConfigDict, ValidationError

from tasks import dictionaries
from tasks.messages.base import IndexSettings, Target
from worker.vector_search.config import CollectionConfig

logger = logging.getLogger(__name__)


def collection_config(target: Target, *, may_create: bool = True) -> CollectionConfig:
    """Return the configuration of the target's collection: its own index, and everything else from the settings.

    Raises ConfigError for an index that does not exist.
    """
    index = {name.upper(): value or None for name, value in target.index.model_dump().items()}
    config = CollectionConfig.from_settings({**settings.COLLECTION_CONFIG, **index, "NAME": target.collection})
    return config if may_create else replace(config, auto_create=False)


def default_target() -> Target:
    """Return the target that the settings describe: the first generation's. Its index holds no filled-in defaults."""
    given = settings.COLLECTION_CONFIG
    index = {name: given[name.upper()] for name in IndexSettings.model_fields if given.get(name.upper())}
    return Target(
        pack=dictionaries.pack_name(),
        collection=dictionaries.collection_config().name,
        index=IndexSettings(**index),
    )


# -- live targets ------------------------------------------------------------------------------------------------

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
