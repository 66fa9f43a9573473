"""What a message says of its collection, and what the settings say of it, become one configuration."""

from typing import Any

from tasks.messages.base import IndexSettings, Target
from tasks.targets import collection_config, default_target

HNSW = Target(pack="other", collection="faces_other", index=IndexSettings(index_type="HNSW"))


def test_every_key_of_the_dictionary_takes_effect(settings: Any) -> None:
    settings.COLLECTION_CONFIG = {
        "NAME": "mine",
        "DIMENSION": 512,
        "METRIC_TYPE": "IP",
        "INDEX_TYPE": "IVF_FLAT",
        "INDEX_PARAMS": {"nlist": 64},
        "SEARCH_PARAMS": {"nprobe": 8},
        "AUTO_CREATE": False,
        "AUTO_LOAD": False,
        "MAX_CAPACITY": 1000,
    }

    config = collection_config(default_target())

    assert (config.name, config.dimension, config.metric_type) == ("mine", 512, "IP")
    assert (config.index_type, config.index_params, config.search_params) == ("IVF_FLAT", {"nlist": 64}, {"nprobe": 8})
    assert (config.auto_create, config.auto_load, config.max_capacity) == (False, False, 1000)


def test_a_generation_has_an_index_of_its_own_and_everything_else_from_the_settings(settings: Any) -> None:
    settings.COLLECTION_CONFIG = {"INDEX_TYPE": "IVF_FLAT", "INDEX_PARAMS": {"nlist": 64}, "MAX_CAPACITY": 1000}

    config = collection_config(HNSW)

    assert (config.name, config.index_type, config.max_capacity) == ("faces_other", "HNSW", 1000)
    assert set(config.index_params) == {"M", "efConstruction"}


def test_a_collection_of_another_pack_is_never_created(settings: Any) -> None:
    assert not collection_config(HNSW, may_create=False).auto_create
