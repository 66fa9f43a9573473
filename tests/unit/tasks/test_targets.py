"""A target's collection has the target's own index; all other keys come from COLLECTION_CONFIG."""

from typing import Any

import pytest

from tasks.messages.base import IndexSettings, Target
from tasks.targets import collection_config
from worker.errors import ConfigError
from worker.vector_search.config import CollectionConfig

TARGET = Target(pack="dlib", collection="faces_2", index=IndexSettings(index_type="HNSW"))


def test_every_key_of_the_settings_counts_except_the_first_generations_index(settings: Any) -> None:
    settings.COLLECTION_CONFIG = {
        "NAME": "faces_1",
        "DIMENSION": 512,
        "INDEX_TYPE": "IVF_FLAT",
        "INDEX_PARAMS": {"nlist": 16},
        "SEARCH_PARAMS": {"nprobe": 8},
        "METRIC_TYPE": "IP",
        "AUTO_LOAD": False,
        "MAX_CAPACITY": 10,
    }

    assert collection_config(TARGET) == CollectionConfig(
        name="faces_2", dimension=512, index_type="HNSW", auto_load=False, max_capacity=10
    )
    assert not collection_config(TARGET, may_create=False).auto_create


def test_an_unknown_key_of_the_settings_is_refused(settings: Any) -> None:
    settings.COLLECTION_CONFIG = settings.COLLECTION_CONFIG | {"TYPO": 1}

    with pytest.raises(ConfigError, match=r"^COLLECTION_CONFIG has no key TYPO; its keys are "):
        collection_config(TARGET)
