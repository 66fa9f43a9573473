"""Targets: which pack and which collection a message is for. Imports no Milvus client, so the web may use it."""

from dataclasses import replace

from django.conf import settings

from tasks import dictionaries
from tasks.messages.base import IndexSettings, Target
from worker.vector_search.config import CollectionConfig


def collection_config(target: Target, *, may_create: bool = True) -> CollectionConfig:
    """Return the configuration of the target's collection: its own index, and everything else from the settings.

    Raises ConfigError for an index that does not exist.
    """
    index = {name.upper(): value or None for name, value in target.index.model_dump().items()}
    config = CollectionConfig.from_settings({**settings.COLLECTION_CONFIG, **index, "NAME": target.collection})
    return config if may_create else replace(config, auto_create=False)


def default_target() -> Target:
    """Return the target that the settings describe: the first generation's. Its index is what they set, no default."""
    given = settings.COLLECTION_CONFIG
    index = {name: given[name.upper()] for name in IndexSettings.model_fields if given.get(name.upper())}
    return Target(
        pack=dictionaries.pack_name(),
        collection=dictionaries.collection_config().name,
        index=IndexSettings(**index),
    )
