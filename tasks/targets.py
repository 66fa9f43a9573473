"""Targets: which pack and which collection a message is for. Imports no pymilvus, so the web may use it."""

from django.conf import settings

from tasks.messages.base import IndexSettings, Target
from worker.vector_search.config import CollectionConfig


def collection_config(target: Target, *, may_create: bool = True) -> CollectionConfig:
    """Return the configuration of the target's collection: its own index, and everything else from the settings.

    Raises ConfigError for an index that does not exist.
    """
    own = {name.upper(): value for name, value in target.index.model_dump().items() if value}
    general = {key: settings.COLLECTION_CONFIG[key] for key in ("AUTO_CREATE", "AUTO_LOAD", "MAX_CAPACITY")}
    if not may_create:
        general["AUTO_CREATE"] = False
    return CollectionConfig.from_settings({**general, **own, "NAME": target.collection})


def default_target() -> Target:
    """Return the target that the settings describe: that of the first generation."""
    config = settings.COLLECTION_CONFIG
    index = {name: config[name.upper()] for name in IndexSettings.model_fields if config.get(name.upper())}
    return Target(pack=settings.PACK_NAME, collection=config["NAME"], index=IndexSettings(**index))
