"""A target as the configuration of its collection. Imports no pymilvus: the web checks with it what it asks for."""

from django.conf import settings

from tasks.messages import Target
from worker.vector_search.config import CollectionConfig


def collection_config(target: Target, *, may_create: bool = True) -> CollectionConfig:
    """Return the configuration of the target's collection: its own index, everything else from the settings.

    Raises ConfigError for an index that does not exist.
    """
    own = {name.upper(): value or None for name, value in target.index.model_dump().items()}
    config = {**settings.COLLECTION_CONFIG, **own, "NAME": target.collection}
    if not may_create:
        config["AUTO_CREATE"] = False
    return CollectionConfig.from_settings(config)
