"""The settings dictionaries, checked and frozen: what every process reads instead of the dictionaries themselves.

Each function raises ConfigError, whose sentence names the dictionary, the key, the value and what is allowed. Values
derived from a dictionary are computed here and not in the settings module, so that they also follow from a dictionary
in a site's own settings module. Imports no model and no Milvus client.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

from django.conf import settings

from worker.config import FaceConfig
from worker.settings import Settings
from worker.vector_search.config import CollectionConfig, MilvusConfig, MonitoringConfig, PerformanceConfig

#: Bytes of a search request besides the query image: the other fields of its form.
FORM_BYTES = 64 * 1024


Config = TypeVar("Config", bound=Settings)

#: By class: the dictionary that was checked last, and the configuration made from it.
_checked: dict[type[Settings], tuple[dict[str, Any], Settings]] = {}


def face_config() -> FaceConfig:
    folders = {"PACKS_DIR": settings.DATA_DIR / "packs", "ENGINE_CACHE_DIR": settings.DATA_DIR / "engines"}
    return _config(FaceConfig, folders | _set(settings.FACE_CONFIG))


def milvus_config() -> MilvusConfig:
    """Return where the vector store is: on this machine unless URI or HOST says otherwise."""
    local = {"URI": settings.LOCAL_MILVUS_URI} if milvus_is_local() else {}
    return _config(MilvusConfig, _set(settings.MILVUS_CONFIG) | local)


def collection_config() -> CollectionConfig:
    """Return the collection that the settings describe: the first generation's, named after the pack by default."""
    name = {"NAME": "faces_" + re.sub(r"\W", "_", pack_name())}
    return _config(CollectionConfig, name | _set(settings.COLLECTION_CONFIG))


def performance_config() -> PerformanceConfig:
    return _config(PerformanceConfig, settings.PERFORMANCE_CONFIG)


def monitoring_config() -> MonitoringConfig:
    return _config(MonitoringConfig, settings.MONITORING_CONFIG)


def check_dictionaries() -> None:
    """Raise ConfigError for the first dictionary with an unknown key or a bad value."""
    for config in (face_config, milvus_config, collection_config, performance_config, monitoring_config):
        config()


def pack_name() -> str:
    """Return the pack's name in queues, messages and pages; PACK may also be the path of a folder."""
    return Path(face_config().pack).name


def milvus_is_local() -> bool:
    """Return whether neither URI nor HOST says where Milvus is, so that the one on this machine is used."""
    given = _set(settings.MILVUS_CONFIG)
    return not (given.get("URI") or given.get("HOST"))


def max_request_bytes() -> int:
    """Return the size of the largest request that may carry a query image."""
    return face_config().max_image_bytes + FORM_BYTES


def _config(kind: type[Config], dictionary: Mapping[str, Any]) -> Config:
    """Return the checked dictionary; it is checked again only when it has changed, as in tests."""
    found = _checked.get(kind)
    if found is None or found[0] != dictionary:
        found = _checked[kind] = dict(dictionary), kind.from_settings(dictionary)
    return cast("Config", found[1])


def _set(dictionary: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys that are set: None means "not set"."""
    return {key: value for key, value in dictionary.items() if value is not None}
